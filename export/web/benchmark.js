/** Runs inside the benchmark's browser; `compare` is called by `benchmark.py`. */

import {loadModel, startRuntime} from './runtime.js';
import {compareTimes} from './timing.js';

/**
 * Times models against each other on the same made-up input.
 *
 * @param {string[]} urls
 * @param {{rounds: number, blockMs: number}} effort
 * @return {Promise<Array<{median: number, low: number, high: number, output: number[],
 *     outputs: number}>>} Milliseconds; the first output values, for a file that this runtime
 *     miscomputes is fast, too; and how many there are.
 */
export async function compare(urls, effort) {
  await startRuntime();
  const models = [];
  for (const url of urls) models.push(await loadModel(url));
  const inputs = models.map(({inputShape}) => {
    const length = inputShape.reduce((a, b) => a * b, 1);
    return Float32Array.from({length}, (_, i) => ((i * 7919) % 1009) / 1008);
  });
  const times = await compareTimes(
    models.map((model, i) => () => model.run(inputs[i])),
    effort,
  );
  for (const [i, model] of models.entries()) {
    const values = await model.run(inputs[i]);
    times[i].output = Array.from(values.slice(0, 1000));
    times[i].outputs = values.length;
  }
  return times;
}
