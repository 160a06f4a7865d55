/** The page: joins the pad, the models, the timing and the pictures. */

import {countAlive, decodeMask, drawTiles, inputUse} from './mask.js';
import {FIELD, toMnist} from './mnist.js';
import {createPad, paintPixels} from './pad.js';
import {fetchFile, loadModel, startRuntime} from './runtime.js';
import {compareTimes} from './timing.js';

const $ = (id) => document.getElementById(id);

/** The last input and what the chosen model said: `null` while the pad is empty. */
export let latest = null;

/** What the answer's place says while there is nothing to answer. */
const EMPTY = 'Draw, or take an example: the answer appears here.';

let metadata; // of the models, as `export.web.build` describes it
const models = []; // {run, ...} in the order of metadata.models
let ready = false; // whether all of them are loaded
let chosen; // the index of the model that answers
let alive; // its mask
let nextExample = 0;
let scheduled = false; // an answer, for the next frame
let turn = 0; // counts the answers asked for

const bars = Array.from({length: 10}, (_, digit) => {
  const item = document.createElement('li');
  item.innerHTML = `
    <span class="percent"></span><span class="column"><i></i></span><b>${digit}</b>`;
  $('bars').append(item);
  return item;
});

const pad = createPad($('pad'), {
  changed: scheduleClassify,
  // Screen readers read the status out at the end of a stroke, not at every point of it.
  drawing: (now) => $('status').setAttribute('aria-busy', now),
});

await start();

/** Makes one of the models the one that answers and is pictured. */
function choose(i) {
  chosen = i;
  const {sparsity, mask} = metadata.models[i];
  alive = decodeMask(mask);
  const kept = percent(1 - sparsity);
  $('summary').textContent = `${metadata.network} with ${kept} of its weights.`;
  const {tiles, height, width} = mask;
  const [left, all] = [countAlive(mask, alive), tiles * height * width].map(number);
  $('tiles-caption').textContent =
    `The first layer's mask: ${left} of ${all} weights. ` +
    `Each of the ${tiles} tiles is one unit, each dot a pixel it still looks at.`;
  $('use-caption').textContent = 'All units together: where the network looks most.';
  paint();
  scheduleClassify();
}

function listModels() {
  $('origin').textContent = `Trained on ${metadata.dataset}.`;
  const largest = Math.max(...metadata.models.map((model) => model.bytes));
  metadata.models.forEach((model, i) => {
    const row = document.createElement('label');
    row.className = 'model';
    row.innerHTML = `
      <input type="radio" name="model" value="${i}">
      <span class="name"></span>
      <span class="accuracy"></span>
      <span class="measure size">file <span class="bar"><i></i></span><b></b></span>
      <span class="measure time">time <span class="bar"><i></i></span><b>…</b></span>
      <span class="gain"></span>`;
    row.querySelector('input').checked = i === 0;
    row.querySelector('.name').textContent = model.name;
    row.querySelector('.accuracy').textContent = `${(100 * model.accuracy).toFixed(1)} % right`;
    row.querySelector('.size i').style.width = `${(100 * model.bytes) / largest}%`;
    row.querySelector('.size b').textContent = `${number(Math.round(model.bytes / 1000))} KB`;
    $('models').append(row);
  });
}

/** Draws what takes its colours from the colour scheme. */
function paint() {
  const {mask} = metadata.models[chosen];
  drawTiles($('tiles'), mask, alive);
  const use = $('use');
  paintPixels(use.getContext('2d'), inputUse(mask, alive), getComputedStyle(use).color);
  pad.redraw();
  paintSeen();
}

function paintSeen() {
  const canvas = $('seen');
  const pixels = latest?.pixels ?? new Float32Array(FIELD * FIELD);
  paintPixels(canvas.getContext('2d'), pixels, getComputedStyle(canvas).color);
}

function listen() {
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', paint);
  $('clear').addEventListener('click', () => pad.clear());
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') pad.clear();
  });
  $('undo').addEventListener('click', () => pad.undo());
  $('example').addEventListener('click', showExample);
  $('measure').addEventListener('click', measure);
  $('remove').addEventListener('click', removeOffline);
  $('models').addEventListener('change', (event) => choose(Number(event.target.value)));
}

async function start() {
  let loader;
  try {
    metadata = await (await fetchFile('metadata.json')).json();
    listModels();
    choose(0);
    listen();
    loader = await startRuntime();
    for (const {file} of metadata.models) models.push(await loadModel(file));
    ready = true;
  } catch (error) {
    tell('The network could not be started', error);
    return;
  }
  await classify();
  keepOffline(loader).catch(console.error); // the page works without
  await measure();
}

/** Says in the answer's place what went wrong; the next answer replaces it. */
function tell(what, error) {
  $('status').textContent = `${what}: ${error.message}`;
  console.error(error);
}

function showExample() {
  const {count, pixels} = metadata.examples;
  const bytes = Uint8Array.from(atob(pixels), (character) => character.charCodeAt(0));
  const begin = (nextExample++ % count) * FIELD * FIELD;
  const digit = bytes.subarray(begin, begin + FIELD * FIELD);
  pad.show(Float32Array.from(digit, (byte) => byte / 255));
}

/** At most one answer a frame. */
function scheduleClassify() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    classify();
  });
}

async function classify() {
  try {
    await answer();
  } catch (error) {
    tell('The network could not answer', error);
  }
}

async function answer() {
  const mine = ++turn;
  const {pixels: ink, width} = pad.ink();
  const pixels = toMnist(ink, width);
  $('hint').hidden = pixels !== null;
  let found = null;
  if (pixels !== null && ready) {
    const probabilities = asProbabilities(await models[chosen].run(pixels));
    found = {pixels, probabilities, digit: probabilities.indexOf(Math.max(...probabilities))};
  }
  if (mine !== turn) return; // the pad has changed meanwhile
  latest = found;
  paintSeen();
  bars.forEach((bar, digit) => {
    const p = latest?.probabilities[digit] ?? 0;
    bar.style.setProperty('--p', p);
    bar.classList.toggle('best', digit === latest?.digit);
    bar.querySelector('.percent').textContent = latest ? percent(p) : '';
  });
  $('digit').textContent = latest?.digit ?? '';
  // Until then it says that something is being loaded, or what went wrong.
  if (ready) $('status').textContent = latest ? sentence(latest) : EMPTY;
}

function sentence({probabilities, digit}) {
  return `${percent(probabilities[digit])} sure it is a ${digit}`;
}

function asProbabilities(values) {
  if (metadata.output === 'probabilities') return Array.from(values);
  const largest = Math.max(...values);
  const exponentials = Array.from(values, (value) => Math.exp(value - largest));
  const sum = exponentials.reduce((a, b) => a + b);
  return exponentials.map((value) => value / sum);
}

async function measure() {
  $('measure').disabled = true;
  try {
    await showTimes();
  } catch (error) {
    tell('The models could not be timed', error);
  } finally {
    $('measure').disabled = false;
  }
}

async function showTimes() {
  const input = latest?.pixels ?? new Float32Array(FIELD * FIELD);
  const calls = models.map((model) => () => model.run(input));
  const times = await compareTimes(calls, {rounds: 51, blockMs: 2});
  const slowest = Math.max(...times.map(({median}) => median));
  const dense = {bytes: metadata.models.at(-1).bytes, time: times.at(-1).median};
  document.querySelectorAll('.model').forEach((row, i) => {
    const time = times[i].median;
    row.querySelector('.time i').style.width = `${(100 * time) / slowest}%`;
    row.querySelector('.time b').textContent = duration(time);
    if (i === models.length - 1) return;
    row.querySelector('.gain').textContent = gain({bytes: metadata.models[i].bytes, time}, dense);
  });
}

/** What a ticket gains over the dense model; a tenth of the time is within the noise. */
function gain(ticket, dense) {
  const smaller = `${factor(dense.bytes / ticket.bytes)} times smaller`;
  const faster = dense.time / ticket.time;
  if (faster > 1.1) return `${smaller} than the dense model, ${factor(faster)} times faster`;
  if (faster < 0.9) return `${smaller} than the dense model, ${factor(1 / faster)} times slower`;
  return `${smaller} than the dense model, as fast`;
}

function factor(value) {
  return value < 10 ? value.toFixed(1) : Math.round(value);
}

async function keepOffline(loader) {
  if (!('serviceWorker' in navigator)) return; // an insecure origin, or a private window
  if (navigator.serviceWorker.controller) {
    // This page came out of the cache; another worker means that there is a newer one.
    navigator.serviceWorker.addEventListener('controllerchange', () => location.reload());
  }
  await navigator.serviceWorker.register(`service-worker.js?loader=${loader}`);
  await navigator.serviceWorker.ready;
  $('offline').textContent = 'It works without a network now.';
  $('remove').hidden = false;
}

/** Takes back what `keepOffline` did: the worker, and the files it kept for this page. */
async function removeOffline() {
  const registration = await navigator.serviceWorker.getRegistration('./');
  if (registration) {
    const prefix = `keras-lottery ${registration.scope} `;
    const names = (await caches.keys()).filter((name) => name.startsWith(prefix));
    await registration.unregister();
    await Promise.all(names.map((name) => caches.delete(name)));
  }
  $('offline').textContent = 'Nothing of it is kept on this device.';
  $('remove').hidden = true;
}

function percent(fraction) {
  return `${Math.round(100 * fraction)} %`;
}

function number(value) {
  return value.toLocaleString('en');
}

function duration(milliseconds) {
  if (milliseconds < 1) return `${Math.round(1000 * milliseconds)} µs`;
  return `${milliseconds.toFixed(1)} ms`;
}
