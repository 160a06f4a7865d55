/**
 * The drawing pad: pointer strokes (finger, pen or mouse) on a canvas, kept as lines so that they
 * can be taken back and drawn again at any size.
 */

import {FIELD} from './mnist.js';

/** Width of a pen line, as a part of the pad's side, while drawing. */
const PEN = 0.07;
/** Side of the image handed on, and its pen: MNIST's digits are 20 pixels high, 2.2 thick. */
const INK_SIDE = 240;
const INK_PEN = INK_SIDE * (2.2 / 20);
/** A drawing smaller than this part of the pad (a dot) is not blown up to the size of a digit. */
const SMALLEST = 0.15;

/**
 * Lets the user draw on `canvas`.
 *
 * @param {HTMLCanvasElement} canvas A square canvas; styled with `touch-action: none`.
 * @param {{changed: function(), drawing: function(boolean)}} listeners `changed` follows every new
 *     piece of line, `drawing` tells when a stroke begins (true) and ends (false).
 * @return {{clear: function(), undo: function(), redraw: function(),
 *     show: function(Float32Array), ink: function(): {pixels: Float32Array, width: number}}}
 */
export function createPad(canvas, {changed, drawing}) {
  let strokes = [];
  let picture = null; // 28x28 pixels shown in place of strokes
  let pointer = null; // the one that draws; a second finger is ignored

  const position = (event) => {
    const frame = canvas.getBoundingClientRect();
    return [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
  };

  const redraw = () => {
    const context = canvas.getContext('2d');
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const colour = getComputedStyle(canvas).color;
    if (picture) {
      paintPixels(context, picture, colour);
    } else {
      context.strokeStyle = colour;
      context.scale(canvas.width, canvas.height);
      drawStrokes(context, strokes, PEN);
    }
  };

  const update = () => {
    redraw();
    changed();
  };

  /** Whatever is being drawn ends, and this is on the pad. */
  const replace = (newStrokes, newPicture) => {
    strokes = newStrokes;
    picture = newPicture;
    pointer = null;
    drawing(false);
    update();
  };

  canvas.addEventListener('pointerdown', (event) => {
    if (pointer !== null || event.button !== 0) return;
    event.preventDefault();
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    drawing(true);
    picture = null;
    strokes.push([position(event)]);
    update();
  });
  canvas.addEventListener('pointermove', (event) => {
    if (event.pointerId !== pointer) return;
    // A fast finger moves several points between two frames.
    const steps = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1).push(...(steps.length ? steps : [event]).map(position));
    update();
  });
  const end = (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    drawing(false);
  };
  canvas.addEventListener('pointerup', end);
  canvas.addEventListener('pointercancel', end);

  return {
    redraw,
    clear: () => replace([], null),
    undo: () => replace(strokes.slice(0, -1), null),
    show: (pixels) => replace([], pixels),
    ink: () => (picture ? {pixels: picture, width: FIELD} : strokesAsInk(strokes)),
  };
}

/** The strokes fitted to a square image with a pen of MNIST's thickness, however small they are. */
function strokesAsInk(strokes) {
  const pixels = new Float32Array(INK_SIDE * INK_SIDE);
  if (strokes.length === 0) return {pixels, width: INK_SIDE};
  const points = strokes.flat();
  const [left, right] = range(points.map(([x]) => x));
  const [top, bottom] = range(points.map(([, y]) => y));
  const scale = (INK_SIDE - 2 * INK_PEN) / Math.max(right - left, bottom - top, SMALLEST);

  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = INK_SIDE;
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.translate(INK_PEN - left * scale, INK_PEN - top * scale);
  context.scale(scale, scale);
  drawStrokes(context, strokes, INK_PEN / scale);
  const rgba = context.getImageData(0, 0, INK_SIDE, INK_SIDE).data;
  for (let i = 0; i < pixels.length; i++) pixels[i] = rgba[4 * i + 3] / 255;
  return {pixels, width: INK_SIDE};
}

function range(values) {
  return [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))];
}

/** Draws every stroke as a round line; the context's unit is the pad's side. */
function drawStrokes(context, strokes, pen) {
  context.lineWidth = pen;
  context.lineCap = context.lineJoin = 'round';
  for (const [first, ...rest] of strokes) {
    context.beginPath();
    context.moveTo(...first);
    context.lineTo(...first); // a single point is a dot
    for (const point of rest) context.lineTo(...point);
    context.stroke();
  }
}

/**
 * Fills the whole canvas with a 28x28 image in one colour, value 1 opaque.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {ArrayLike<number>} pixels 784 values in [0, 1].
 * @param {string} colour A CSS colour.
 */
export function paintPixels(context, pixels, colour) {
  const {width, height} = context.canvas;
  context.clearRect(0, 0, width, height);
  context.fillStyle = colour;
  for (let i = 0; i < pixels.length; i++) {
    if (pixels[i] === 0) continue;
    context.globalAlpha = pixels[i];
    const column = i % FIELD;
    const row = (i - column) / FIELD;
    // Whole canvas pixels, so that no seam shows between two squares.
    const [left, right] = [column, column + 1].map((x) => Math.round((x * width) / FIELD));
    const [top, bottom] = [row, row + 1].map((y) => Math.round((y * height) / FIELD));
    context.fillRect(left, top, right - left, bottom - top);
  }
  context.globalAlpha = 1;
}
