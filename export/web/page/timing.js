/** Times several functions against each other on a machine that is never quiet: a phone. */

/** The browser recompiles busy WebAssembly in the background; until then it is slow. */
const WARM_UP_MS = 250;

/**
 * The median time of one call of each function, in milliseconds.
 *
 * The functions take turns, in blocks just long enough for the browser's coarse clock, so that most
 * blocks are not interrupted; the order turns around from round to round, so that a slow moment
 * hits all of them alike.
 *
 * @param {Array<function(): Promise<*>>} functions
 * @param {{rounds: number, blockMs: number}} effort Number of rounds; length of one block.
 * @return {Promise<Array<{median: number, low: number, high: number}>>} For each function its
 *     median and quartiles.
 */
export async function compareTimes(functions, {rounds, blockMs}) {
  const calls = [];
  for (const call of functions) {
    const warmUp = performance.now();
    while (performance.now() - warmUp < WARM_UP_MS) await timeBlock(call, 10).then(nextTask);
    calls.push(await callsPerBlock(call, blockMs));
  }
  const times = functions.map(() => []);
  const order = functions.map((_, i) => i);
  for (let round = 0; round < rounds; round++) {
    for (const i of order) {
      times[i].push((await timeBlock(functions[i], calls[i])) / calls[i]);
      await nextTask(); // the page stays usable
    }
    order.reverse();
  }
  return times.map((list) => {
    list.sort((a, b) => a - b);
    return {median: quantile(list, 0.5), low: quantile(list, 0.25), high: quantile(list, 0.75)};
  });
}

async function timeBlock(call, count) {
  const begin = performance.now();
  for (let i = 0; i < count; i++) await call();
  return performance.now() - begin;
}

/** Doubles the number of calls until they fill a block. */
async function callsPerBlock(call, blockMs) {
  let count = 1;
  while ((await timeBlock(call, count)) < blockMs) count *= 2;
  return count;
}

function quantile(sorted, q) {
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const above = Math.ceil(at);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
}

function nextTask() {
  return new Promise((resolve) => setTimeout(resolve));
}
