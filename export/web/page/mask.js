/** Pictures of the first layer's mask. */

/**
 * Decodes a mask from the page's metadata.
 *
 * @param {{tiles: number, height: number, width: number, bits: string}} record One tile per unit
 *     of the layer, each the unit's view of the input; `bits` is base64, one bit per weight, the
 *     first weight in the highest bit.
 * @return {function(number, number): number} (tile, pixel) -> 1 where the weight is alive, else 0.
 */
export function decodeMask({bits, height, width}) {
  const bytes = Uint8Array.from(atob(bits), (character) => character.charCodeAt(0));
  return (tile, pixel) => {
    const i = tile * height * width + pixel;
    return (bytes[i >> 3] >> (7 - (i & 7))) & 1;
  };
}

/**
 * Draws every unit's tile side by side, each living weight one pixel, in the canvas's own colours.
 *
 * @param {HTMLCanvasElement} canvas Resized to the number of weights.
 * @param {{tiles: number, height: number, width: number}} shape
 * @param {function(number, number): number} alive From `decodeMask`.
 */
export function drawTiles(canvas, {tiles, height, width}, alive) {
  const across = Math.ceil(Math.sqrt((tiles * height) / width) * 1.15);
  const down = Math.ceil(tiles / across);
  canvas.width = across * (width + 1) - 1;
  canvas.height = down * (height + 1) - 1;
  const context = canvas.getContext('2d');
  const style = getComputedStyle(canvas);
  for (let tile = 0; tile < tiles; tile++) {
    const left = (tile % across) * (width + 1);
    const top = Math.floor(tile / across) * (height + 1);
    context.fillStyle = style.getPropertyValue('--tile');
    context.fillRect(left, top, width, height);
    context.fillStyle = style.color;
    for (let pixel = 0; pixel < width * height; pixel++) {
      if (!alive(tile, pixel)) continue;
      context.fillRect(left + (pixel % width), top + Math.floor(pixel / width), 1, 1);
    }
  }
}

/**
 * For every input, the number of units that still look at it, as a part of the largest such number.
 *
 * @return {Float32Array} height * width values in [0, 1].
 */
export function inputUse({tiles, height, width}, alive) {
  const use = new Float32Array(height * width);
  for (let tile = 0; tile < tiles; tile++) {
    for (let pixel = 0; pixel < use.length; pixel++) use[pixel] += alive(tile, pixel);
  }
  const most = Math.max(...use, 1);
  return use.map((count) => count / most);
}

/** The number of living weights. */
export function countAlive({tiles, height, width}, alive) {
  let count = 0;
  for (let tile = 0; tile < tiles; tile++) {
    for (let pixel = 0; pixel < height * width; pixel++) count += alive(tile, pixel);
  }
  return count;
}
