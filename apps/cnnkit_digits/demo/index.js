// One digit in a picture, laid out as MNIST's are: cnnkit_digits/single.py and glyphs.py in JavaScript, and the pad to draw one.

import { byArea, fitImage, linear, picture, pieces, rounded } from "../inputs/image/pixels.js";

export const pad = { side: 280, pen: 20, ink: "#111111", paper: "#ffffff", label: "Draw a digit" };

const SHAPE = [28, 28, 1];
const [LONGEST, SEEN, SIDES, MIDDLE] = [400, 25, [18, 20], [12.95, 14.55]];
const [SIDE, TALL, STROKES] = [28, 20, [1.7, 4.4]];

/** Cut the digit out of a picture and normalise it: (28, 28), white on black; null where there is no ink. */
export function layout(image) {
  if (image.width === SIDE && image.height === SIDE) {
    const plane = fitImage(image, SHAPE);
    for (const same of [plane, picture(SIDE, SIDE, 1, plane.data.map((value) => 255 - value))]) {
      if (laidOut(same.data)) return same;
    }
  }
  return digit(image);
}

/** Whether a picture is as MNIST's are. */
export function laidOut(ink) {
  const [rows, columns, seenRows, seenColumns] = [0, 1, 2, 3].map(() => new Float64Array(SIDE));
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const value = ink[y * SIDE + x];
      rows[y] += value;
      columns[x] += value;
      if (value > SEEN) seenRows[y] = seenColumns[x] = 1;
    }
  }
  const amount = Math.max(1, rows.reduce((sum, value) => sum + value));
  let longest = 0;
  for (const [sums, seen] of [[columns, seenColumns], [rows, seenRows]]) {
    if (!seen.includes(1)) return false;
    longest = Math.max(longest, seen.lastIndexOf(1) - seen.indexOf(1) + 1);
    const centre = sums.reduce((sum, value, place) => sum + value * place, 0) / amount;
    if (centre < MIDDLE[0] || centre > MIDDLE[1]) return false;
  }
  return longest >= SIDES[0] && longest <= SIDES[1];
}

function digit(image) {
  const scale = Math.min(1, LONGEST / Math.max(image.height, image.width));
  const height = Math.max(1, rounded(image.height * scale));
  const width = Math.max(1, rounded(image.width * scale));
  let plane = Float32Array.from(fitImage(image, [height, width, 1]).data);
  const edges = [];
  for (let x = 0; x < width; x++) edges.push(plane[x], plane[(height - 1) * width + x]);
  for (let y = 0; y < height; y++) edges.push(plane[y * width], plane[(y + 1) * width - 1]);
  const edge = percentile(edges, 50);
  if (edge > percentile(plane, 50) || edge > 127) plane = plane.map((value) => 255 - value);
  const side = Math.floor(Math.max(height, width) / 2) * 2 + 1;
  const reach = Math.max(3, Math.floor(side / 8));
  const shade = blurred(extreme(plane, width, height, reach, -1), width, height, Math.max(1, side / 8));
  let ink = plane.map((value, place) => Math.max(0, value - shade[place]));
  const peak = percentile(ink, 99.5);
  if (peak < 12) return null;
  ink = ink.map((value) => Math.min(1, value / peak));
  const bytes = Uint8Array.from(ink, (value) => Math.fround(value * 255));
  const level = otsu(bytes);
  const { names, areas } = pieces(bytes.map((value) => (value > level ? 1 : 0)), width, height);
  if (!areas.length) return null;
  const least = 0.06 * Math.max(...areas);
  const kept = extreme(Float32Array.from(names, (name) => (name && areas[name - 1] >= least ? 1 : 0)), width, height, 3, 1);
  const share = level / 255;
  const clear = ink.map((value, place) => {
    return kept[place] ? Math.min(1, Math.max(0, (value - 0.5 * share) / Math.max(0.05, 1 - share))) : 0;
  });
  const glyph = cropped({ data: clear, width, height, channels: 1 }, 0.25);
  return glyph && normalised(glyph, strokeWidth(glyph));
}

function percentile(values, share) {
  const sorted = Float32Array.from(values).sort();
  const at = ((sorted.length - 1) * share) / 100;
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
}

/** The most value of a square around each pixel, or of sign -1 the least; beyond the edges is nothing. */
function extreme(plane, width, height, side, sign) {
  const before = side >> 1;
  const lines = (values, count, length, step, stride) => {
    const found = new Float32Array(values.length);
    for (let line = 0; line < count; line++) {
      for (let place = 0; place < length; place++) {
        const last = Math.min(length - 1, place - before + side - 1);
        let value = sign * values[line * stride + place * step];
        for (let near = Math.max(0, place - before); near <= last; near++) {
          const other = sign * values[line * stride + near * step];
          if (other > value) value = other;
        }
        found[line * stride + place * step] = sign * value;
      }
    }
    return found;
  };
  return lines(lines(plane, height, width, 1, width), width, height, width, 1);
}

/** A Gaussian blur as OpenCV's of float32, mirrored beyond the edges without the edge itself. */
function blurred(plane, width, height, sigma) {
  const size = rounded(sigma * 8 + 1) | 1;
  const half = size >> 1;
  const kernel = Float64Array.from({ length: size }, (_, place) => Math.exp(-((place - half) ** 2) / (2 * sigma * sigma)));
  const total = kernel.reduce((sum, value) => sum + value);
  const mirrored = (place, length) => {
    if (length === 1) return 0;
    while (place < 0 || place >= length) place = place < 0 ? -place : 2 * length - 2 - place;
    return place;
  };
  const lines = (values, count, length, step, stride) => {
    const found = new Float32Array(values.length);
    const line = new Float64Array(length + 2 * half);
    const where = Int32Array.from({ length: length + 2 * half }, (_, place) => mirrored(place - half, length));
    for (let number = 0; number < count; number++) {
      for (let place = 0; place < line.length; place++) line[place] = values[number * stride + where[place] * step];
      for (let place = 0; place < length; place++) {
        let sum = line[place + half] * kernel[half];
        for (let near = 0; near < half; near++) sum += (line[place + near] + line[place + size - 1 - near]) * kernel[near];
        found[number * stride + place * step] = sum / total;
      }
    }
    return found;
  };
  return lines(lines(plane, height, width, 1, width), width, height, width, 1);
}

/** The level that parts dark from light best (Otsu 1979), as OpenCV counts it. */
function otsu(bytes) {
  const counts = new Float64Array(256);
  for (const value of bytes) counts[value]++;
  const scale = 1 / bytes.length;
  const mean = counts.reduce((sum, count, value) => sum + value * count, 0) * scale;
  let [first, own, most, level] = [0, 0, 0, 0];
  for (let value = 0; value < 256; value++) {
    const share = counts[value] * scale;
    own *= first;
    first += share;
    const second = 1 - first;
    if (Math.min(first, second) < 1.1920929e-7 || Math.max(first, second) > 1 - 1.1920929e-7) continue;
    own = (own + value * share) / first;
    const other = (mean - first * own) / second;
    const apart = first * second * (own - other) ** 2;
    if (apart > most) [most, level] = [apart, value];
  }
  return level;
}

/** Cut to what is above a level; null where nothing is. `every`: rows and columns between are left out too. */
function cropped({ data, width, height }, level, every = false) {
  const rows = new Uint8Array(height);
  const columns = new Uint8Array(width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) if (data[y * width + x] > level) rows[y] = columns[x] = 1;
  }
  const kept = (seen) => {
    const [first, last] = [seen.indexOf(1), seen.lastIndexOf(1)];
    return [...seen.keys()].filter((place) => (every ? seen[place] : first >= 0 && place >= first && place <= last));
  };
  const [down, along] = [kept(rows), kept(columns)];
  if (!down.length) return null;
  const found = new Float32Array(down.length * along.length);
  let to = 0;
  for (const y of down) for (const x of along) found[to++] = data[y * width + x];
  return { data: found, width: along.length, height: down.length, channels: 1 };
}

function bordered({ data, width, height }, side) {
  const found = { data: new Float32Array((width + 2 * side) * (height + 2 * side)), width: width + 2 * side, height: height + 2 * side, channels: 1 };
  for (let y = 0; y < height; y++) found.data.set(data.subarray(y * width, (y + 1) * width), (y + side) * found.width + side);
  return found;
}

/** Width of the pen: twice the area over the length of all outlines. */
export function strokeWidth(glyph) {
  const framed = bordered(glyph, 1);
  const grown = linear(framed, 2 * framed.width, 2 * framed.height);
  const mask = Uint8Array.from(grown.data, (value) => (value > 0.45 ? 1 : 0));
  const area = mask.reduce((sum, value) => sum + value, 0);
  return area / Math.max(1, outlines(mask, grown.width, grown.height));
}

/** The length of all outlines of a mask, of holes too (Suzuki and Abe 1985): steps from pixel to pixel. */
function outlines(mask, width, height) {
  const labels = Int32Array.from(mask);
  const wide = width;
  const ways = [1, -wide + 1, -wide, -wide - 1, -1, wide - 1, wide, wide + 1]; // counter-clockwise, from the right
  const at = (place, way) => {
    const x = place % wide;
    const [along, down] = [[1, 1, 0, -1, -1, -1, 0, 1][way], [0, -1, -1, -1, 0, 1, 1, 1][way]];
    const y = Math.floor(place / wide) + down;
    return x + along < 0 || x + along >= wide || y < 0 || y >= height ? 0 : labels[place + ways[way]];
  };
  let length = 0;
  let number = 1;
  for (let start = 0; start < labels.length; start++) {
    if (!labels[start]) continue;
    const x = start % wide;
    const outer = labels[start] === 1 && (x === 0 || !labels[start - 1]);
    const hole = !outer && labels[start] >= 1 && (x === wide - 1 || !labels[start + 1]);
    if (!outer && !hole) continue;
    number++;
    let way = outer ? 4 : 0; // where the search begins
    const begin = way;
    do way = (way + 7) % 8;
    while (!at(start, way) && way !== begin);
    if (!at(start, way)) {
      labels[start] = -number;
      continue;
    }
    const first = start + ways[way];
    let [before, here] = [first, start];
    let back = way;
    for (;;) {
      let next = back;
      let right = false;
      do {
        next = (next + 1) % 8;
        if (next === 0 && !at(here, 0)) right = true;
      } while (!at(here, next));
      if (right) labels[here] = -number;
      else if (labels[here] === 1) labels[here] = number;
      length += next % 2 ? Math.SQRT2 : 1;
      before = here;
      here += ways[next];
      if (here === start && before === first) break;
      back = (next + 4) % 8;
    }
  }
  return length;
}

/** Make a digit look as MNIST's do. */
function normalised(glyph, stroke) {
  const ink = restroked(glyph, stroke, Math.max(glyph.width, glyph.height) / TALL);
  const scale = TALL / Math.max(ink.height, ink.width);
  const [width, height] = [Math.max(1, rounded(ink.width * scale)), Math.max(1, rounded(ink.height * scale))];
  const same = width === ink.width && height === ink.height;
  const small = same ? ink : scale < 1 ? byArea(ink, width, height) : linear(ink, width, height);
  let [total, down, along] = [0, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = small.data[y * width + x];
      total += value;
      down += value * y;
      along += value * x;
    }
  }
  const found = picture(SIDE, SIDE, 1);
  if (total <= 0) return found;
  const top = Math.min(Math.max(rounded(SIDE / 2 - down / total), 0), SIDE - height);
  const left = Math.min(Math.max(rounded(SIDE / 2 - along / total), 0), SIDE - width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      found.data[(top + y) * SIDE + left + x] = Math.min(255, Math.max(0, small.data[y * width + x] * 255 + 0.5));
    }
  }
  return found;
}

/** Thicken hair lines and thin felt pens towards MNIST's range; `unit` is a px of 20 in px of the ink. */
function restroked(ink, stroke, unit) {
  const [low, high] = STROKES;
  const width = stroke / unit;
  if (width < low) {
    const grow = Math.max(0, rounded((low + 0.3 - width) * unit));
    if (!grow) return ink;
    return cropped(rounder(bordered(ink, grow + 1), grow + 1, Math.max), 0.25, true);
  }
  if (width <= high) return ink;
  const shrink = rounded((width - high) * unit);
  const thin = rounder(ink, shrink + 1, Math.min);
  const sum = (values) => values.reduce((found, value) => found + value, 0);
  return shrink && sum(thin.data) > 0.3 * sum(ink.data) ? cropped(thin, 0.25, true) : ink;
}

/** The least or most value of an ellipse around each pixel, as OpenCV's MORPH_ELLIPSE is. */
function rounder({ data, width, height }, side, choose) {
  const radius = side >> 1;
  const spans = Array.from({ length: side }, (_, row) => {
    const down = row - radius;
    const along = radius ? rounded(radius * Math.sqrt((radius * radius - down * down) / (radius * radius))) : 0;
    return [Math.max(radius - along, 0) - radius, Math.min(radius + along + 1, side) - radius, down];
  });
  const found = new Float32Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let value = data[y * width + x];
      for (const [first, stop, down] of spans) {
        if (y + down < 0 || y + down >= height) continue;
        const last = Math.min(width, x + stop);
        for (let near = Math.max(0, x + first); near < last; near++) value = choose(value, data[(y + down) * width + near]);
      }
      found[y * width + x] = value;
    }
  }
  return { data: found, width, height, channels: 1 };
}
