// A drawing -> the network's input, prepared as MNIST was. The same steps as in data/digit_images.py: change both.

const FAINT = 0.25, SOLID = 0.75;  // coverage up to which a pixel is background, and from which it is full ink
const TIE = 1e-4;  // values this close to one half are rounded up, here and in Python

const rounded = (value) => Math.floor(value + 0.5 + TIE);

/** The ink, 0..1, of each pixel of a canvas that is drawn on in black: {values, height, width}. */
export function inkOf({data, width, height}) {
  const values = new Float64Array(width * height);
  for (let i = 0; i < values.length; i++) {
    values[i] = Math.min(Math.max((data[4 * i + 3] / 255 - FAINT) / (SOLID - FAINT), 0), 1);
  }
  return {values, height, width};
}

/** The ink scaled to the digit's box and centred by mass: Float32Array of side * side whole numbers 0..255; null if blank. */
export function place(ink, side) {
  ink = cropped(ink);
  if (!ink) return null;
  const scale = rounded(side * 20 / 28) / Math.max(ink.height, ink.width);
  const digit = resized(ink, Math.max(1, rounded(ink.height * scale)), Math.max(1, rounded(ink.width * scale)));
  const [middleDown, middleAcross] = centre(digit);
  const top = Math.min(Math.max(rounded(side / 2 - middleDown), 0), side - digit.height);
  const left = Math.min(Math.max(rounded(side / 2 - middleAcross), 0), side - digit.width);
  const pixels = new Float32Array(side * side);
  for (let y = 0; y < digit.height; y++) {
    for (let x = 0; x < digit.width; x++) {
      pixels[(top + y) * side + left + x] = rounded(255 * digit.values[y * digit.width + x]);
    }
  }
  return pixels;
}

function cropped({values, height, width}) {
  let top = height, bottom = -1, left = width, right = -1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (values[y * width + x] > 0) {
        top = Math.min(top, y);
        bottom = y;
        left = Math.min(left, x);
        right = Math.max(right, x);
      }
    }
  }
  if (bottom < 0) return null;
  const crop = {height: bottom - top + 1, width: right - left + 1};
  crop.values = new Float64Array(crop.height * crop.width);
  for (let y = 0; y < crop.height; y++) {
    const start = (top + y) * width + left;
    crop.values.set(values.subarray(start, start + crop.width), y * crop.width);
  }
  return crop;
}

/** The centre of mass, [down, across], in pixels from 0. */
function centre({values, height, width}) {
  let mass = 0, down = 0, across = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = values[y * width + x];
      mass += value;
      down += y * value;
      across += x * value;
    }
  }
  return [down / mass, across / mass];
}

/** The same as Pillow's Image.resize with Resampling.HAMMING. */
function resized({values, height, width}, newHeight, newWidth) {
  const across = weights(width, newWidth), down = weights(height, newHeight);
  const narrow = new Float64Array(height * newWidth);
  for (let y = 0; y < height; y++) {
    across.forEach(({first, shares}, x) => {
      narrow[y * newWidth + x] = shares.reduce((sum, share, i) => sum + share * values[y * width + first + i], 0);
    });
  }
  const result = new Float64Array(newHeight * newWidth);
  down.forEach(({first, shares}, y) => {
    for (let x = 0; x < newWidth; x++) {
      result[y * newWidth + x] = shares.reduce((sum, share, i) => sum + share * narrow[(first + i) * newWidth + x], 0);
    }
  });
  return {values: result, height: newHeight, width: newWidth};
}

/** For each new pixel along one side: the first old pixel that counts and the shares of it and those after it. */
function weights(oldLength, newLength) {
  const scale = oldLength / newLength, support = Math.max(scale, 1);
  return Array.from({length: newLength}, (_, i) => {
    const middle = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(middle - support + 0.5), 0);
    const end = Math.min(Math.trunc(middle + support + 0.5), oldLength);
    const raw = Array.from({length: end - first}, (_, k) => hamming((first + k - middle + 0.5) / support));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    return {first, shares: raw.map((weight) => weight / sum)};
  });
}

function hamming(x) {
  if (x === 0) return 1;
  if (Math.abs(x) >= 1) return 0;
  return Math.sin(Math.PI * x) / (Math.PI * x) * (0.54 + 0.46 * Math.cos(Math.PI * x));
}
