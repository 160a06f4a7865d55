/**
 * Keeps the whole page for offline use: all of its files, of the WebAssembly builds only the one
 * that this browser runs.
 *
 * The page registers it as `service-worker.js?loader=litert/wasm/<build>.js`. The build writes
 * `files.js`, which sets `kept = {version, files}`; a new version is a new cache, and takes over at
 * once: the page then reloads itself. Requests for anything but the page's own files pass it by, and
 * caches of other pages at this address are left alone. The page's button Remove unregisters it.
 */

/* global kept */
importScripts('files.js');

const PREFIX = `keras-lottery ${self.registration.scope} `;
const CACHE = PREFIX + kept.version;
const LOADER = new URL(self.location.href).searchParams.get('loader');
const OWN = new Set(ownFiles().map((file) => new URL(file, self.registration.scope).href));

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
self.addEventListener('fetch', (event) => {
  const {method, url} = event.request;
  const [file] = url.split(/[?#]/);
  if (method === 'GET' && OWN.has(file)) event.respondWith(answer(event.request));
});

function ownFiles() {
  // The address by which a worker is registered is no secret of the page's.
  if (!/^litert\/wasm\/\w+\.js$/.test(LOADER)) throw new Error(`${LOADER} is no loader`);
  return ['./', ...kept.files, LOADER, LOADER.replace(/\.js$/, '.wasm')];
}

async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll([...OWN].map((url) => new Request(url, {cache: 'no-cache'})));
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const found = await caches.match(request, {cacheName: CACHE, ignoreSearch: true});
  return found ?? fetch(request);
}
