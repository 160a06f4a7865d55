/**
 * From a drawing to MNIST's convention: the digit's box, scaled to fit 20x20 pixels with its
 * proportions kept and antialiased, lies in a 28x28 field with its centre of mass in the middle.
 *
 * Source: the description of the data set by its authors. The rounding was read off the data: in
 * each of the 10,000 test images the centre of mass falls on the pixel in row 14, column 14
 * (counted from 0).
 */

export const FIELD = 28;
const BOX = 20;
const CENTRE = 14;

/**
 * The 28x28 network input for an image of a digit.
 *
 * @param {ArrayLike<number>} ink Row by row, 0 (paper) to 1 (ink), any size.
 * @param {number} width Pixels in a row of `ink`.
 * @return {?Float32Array} 784 values in [0, 1], row by row; null where there is no ink.
 */
export function toMnist(ink, width) {
  const box = boundingBox(ink, width);
  if (box === null) return null;
  const scale = BOX / Math.max(box.right - box.left, box.bottom - box.top);
  const small = shrink(ink, width, box, scale);
  return centre(small);
}

/** The smallest box around all ink; `right` and `bottom` are the first column and row beyond. */
function boundingBox(ink, width) {
  const box = {left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity};
  for (let i = 0; i < ink.length; i++) {
    if (ink[i] === 0) continue;
    const column = i % width;
    const row = (i - column) / width;
    box.left = Math.min(box.left, column);
    box.right = Math.max(box.right, column + 1);
    box.top = Math.min(box.top, row);
    box.bottom = Math.max(box.bottom, row + 1);
  }
  return box.left === Infinity ? null : box;
}

/**
 * The box as a 20x20 image that begins at its top left corner. Each pixel is the mean over the area
 * that it covers, which antialiases; the directions are independent, so columns first, then rows.
 */
function shrink(ink, width, box, scale) {
  const height = box.bottom - box.top;
  const columns = new Float64Array(height * BOX);
  eachOverlap(box.right - box.left, scale, (from, to, share) => {
    for (let row = 0; row < height; row++) {
      columns[row * BOX + to] += share * ink[(box.top + row) * width + box.left + from];
    }
  });
  const small = new Float64Array(BOX * BOX);
  eachOverlap(height, scale, (from, to, share) => {
    for (let column = 0; column < BOX; column++) {
      small[to * BOX + column] += share * columns[from * BOX + column];
    }
  });
  return small;
}

/** Visits every source pixel `from` that covers a part, `share`, of a target pixel `to`. */
function eachOverlap(length, scale, visit) {
  for (let from = 0; from < length; from++) {
    const begin = from * scale;
    const end = Math.min(begin + scale, BOX);
    for (let to = Math.floor(begin); to < end; to++) {
      visit(from, to, Math.min(end, to + 1) - Math.max(begin, to));
    }
  }
}

/**
 * The 20x20 image moved, by whole pixels, so that its centre of mass is in the middle of the field,
 * or as near to it as keeps the whole image in the field: no digit of MNIST needs that, but a shape
 * with nearly all its mass at one end does.
 */
function centre(small) {
  let mass = 0;
  let massX = 0;
  let massY = 0;
  let [width, height] = [0, 0];
  small.forEach((value, i) => {
    if (value === 0) return;
    width = Math.max(width, (i % BOX) + 1);
    height = Math.max(height, Math.floor(i / BOX) + 1);
    mass += value;
    massX += value * ((i % BOX) + 0.5);
    massY += value * (Math.floor(i / BOX) + 0.5);
  });
  const left = inside(CENTRE - Math.floor(massX / mass), width);
  const top = inside(CENTRE - Math.floor(massY / mass), height);
  const field = new Float32Array(FIELD * FIELD);
  small.forEach((value, i) => {
    if (value === 0) return;
    const column = left + (i % BOX);
    const row = top + Math.floor(i / BOX);
    field[row * FIELD + column] = Math.min(value, 1);
  });
  return field;
}

function inside(begin, length) {
  return Math.max(0, Math.min(FIELD - length, begin));
}
