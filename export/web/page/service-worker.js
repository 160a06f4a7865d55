/**
 * Keeps the whole page for offline use: all of its files, of the WebAssembly builds only the one
 * that this browser runs.
 *
 * The page registers it as `service-worker.js?loader=litert/wasm/<build>.js`. The build writes
 * `files.js`, which sets `kept = {version, files}`; a new version is a new cache, and takes over at
 * once: the page then reloads itself.
 */

/* global kept */
importScripts('files.js');

const PREFIX = 'keras-lottery-';
const CACHE = PREFIX + kept.version;

self.addEventListener('install', (event) => event.waitUntil(install()));
self.addEventListener('activate', (event) => event.waitUntil(activate()));
self.addEventListener('fetch', (event) => {
  if (event.request.method === 'GET') event.respondWith(answer(event.request));
});

async function install() {
  const loader = new URL(self.location.href).searchParams.get('loader');
  const urls = ['./', ...kept.files, loader, loader.replace(/\.js$/, '.wasm')];
  const cache = await caches.open(CACHE);
  await cache.addAll(urls.map((url) => new Request(url, {cache: 'no-cache'})));
  await self.skipWaiting();
}

async function activate() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  return (await cache.match(request, {ignoreSearch: true})) ?? fetch(request);
}
