/** LiteRT.js: the runtime, and models in it. */

import {loadAndCompile, loadLiteRt, supportsFeature, Tensor} from './litert/index.js';

/**
 * Starts the runtime.
 *
 * The package has one WebAssembly build that needs relaxed SIMD and one for older browsers. Its own
 * choice is repeated here to know the name: the service worker keeps that build for offline use,
 * and not the other 9 MB.
 *
 * @return {Promise<string>} The URL of the build's loader; the `.wasm` beside it has the same name.
 */
export async function startRuntime() {
  const relaxed = await supportsFeature('relaxedSimd');
  const build = relaxed ? 'litert_wasm_internal' : 'litert_wasm_compat_internal';
  const loader = `litert/wasm/${build}.js`;
  await loadLiteRt(loader);
  return loader;
}

/**
 * Loads a model with one input and one output; `startRuntime` comes first.
 *
 * It always runs on the CPU: that is what the sizes and times on the page are about.
 *
 * @param {string} url
 * @return {Promise<{inputShape: number[], run: function(Float32Array): Promise<Float32Array>}>}
 * @throws {Error} When the file cannot be fetched, or the runtime refuses it.
 */
export async function loadModel(url) {
  const bytes = new Uint8Array(await (await fetchFile(url)).arrayBuffer());
  const model = await loadAndCompile(bytes, {accelerator: 'wasm', cpuOptions: {numThreads: 1}});
  const inputShape = Array.from(model.getInputDetails()[0].shape);
  return {
    inputShape,
    async run(values) {
      const input = new Tensor(values, inputShape);
      try {
        const [output] = await model.run(input);
        const result = output.toTypedArray();
        output.delete();
        return result;
      } finally {
        input.delete();
      }
    },
  };
}

/**
 * Fetches a file from where the page comes from.
 *
 * @param {string} url
 * @return {Promise<Response>}
 * @throws {Error} When it cannot be fetched.
 */
export async function fetchFile(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} could not be fetched: ${response.status}`);
  return response;
}
