// Masks: scaling, windows, blending and decoding as cnnkit/device/segmentation.py and windows.py have them, of pictures.

import { headline, list, make } from "../../parts.js";
import { byArea, linear, overPage, pieces, picture, rounded, toByte, toChannels } from "../../inputs/image/pixels.js";

const FAINT = 8; // of 255, as device/image.py has it

function planOf(model) {
  return { ...model.about.known.plan, ...model.metadata.segmentation };
}

/** The values of each channel that become 0 and 255: {low, high}; null: a picture stays as it is. */
export function stretch(image, plan, known) {
  if (plan.values === known.alike) {
    if (Math.max(...plan.high) - Math.min(...plan.low) > 4 * 255) {
      throw new Error(`This model takes values from ${Math.min(...plan.low)} to ${Math.max(...plan.high)}, and a browser reads 8 bits. Use \`predict\`.`);
    }
    return { low: plan.low.map(Math.fround), high: plan.high.map(Math.fround) };
  }
  if (plan.values !== known.each) return null;
  const step = Math.max(1, Math.floor(Math.sqrt((image.width * image.height) / known.sample)));
  const [low, high] = [[], []];
  for (let channel = 0; channel < image.channels; channel++) {
    const some = [];
    for (let y = 0; y < image.height; y += step) {
      for (let x = 0; x < image.width; x += step) some.push(image.data[(y * image.width + x) * image.channels + channel]);
    }
    some.sort((one, other) => one - other);
    const at = (share) => {
      const place = ((some.length - 1) * share) / 100;
      const first = Math.floor(place);
      return some[first] + (some[Math.min(first + 1, some.length - 1)] - some[first]) * (place - first);
    };
    low.push(Math.fround(at(known.tails[0])));
    high.push(Math.fround(at(known.tails[1])));
  }
  return { low, high };
}

/** A picture as a network takes it: bytes, of its channels. */
export function asBytes(image, limits, channels) {
  if (limits) {
    const { low, high } = limits;
    const wide = Math.max(image.channels, low.length);
    const found = picture(image.width, image.height, wide);
    for (let to = 0; to < found.data.length; to++) {
      const channel = to % wide;
      const value = image.data[Math.floor(to / wide) * image.channels + (image.channels === 1 ? 0 : channel)];
      const [least, most] = low.length === 1 ? [low[0], high[0]] : [low[channel], high[channel]];
      found.data[to] = toByte(Math.fround(Math.fround(value - least) * Math.fround(255 / Math.max(most - least, 1e-6))));
    }
    image = found;
  }
  if (image.channels !== channels && image.channels !== 1 && !(image.channels === 3 && channels === 1)) {
    throw new Error(`This picture has ${image.channels} channels, and the model takes ${channels}.`);
  }
  if (image.channels === channels || channels === 1 || channels === 3) return toChannels(image, channels);
  const found = picture(image.width, image.height, channels);
  for (let to = 0; to < found.data.length; to++) found.data[to] = image.data[Math.floor(to / channels)];
  return found;
}

function tooSlender(extent, plan, known) {
  const slender = plan.scale == null && plan.lengths.length && plan.slender;
  return Boolean(slender) && Math.max(...extent) > known.slender * plan.slender * Math.min(...extent);
}

/** Px of the network's input for one of a picture of this extent [height, width]. */
export function scaleOf(extent, sides, plan, known) {
  if (plan.scale != null) return plan.scale;
  const fitted = sides.map((side, axis) => side / extent[axis]);
  if (!tooSlender(extent, plan, known)) return Math.min(...fitted);
  return Math.min(Math.max(...fitted), Math.max(Math.min(...fitted), Math.min(...sides) / plan.lengths[1]));
}

export function scaled(image, scale) {
  if (scale === 1) return image;
  const [width, height] = [Math.max(1, rounded(scale * image.width)), Math.max(1, rounded(scale * image.height))];
  if (width === image.width && height === image.height) return image;
  return scale < 1 ? byArea(image, width, height) : linear(image, width, height);
}

/** A picture with a margin below and beside it, mirrored with its edge. */
export function mirrored(image, width, height) {
  const { channels } = image;
  const found = picture(width, height, channels);
  const inside = (place, length) => {
    while (place >= length || place < 0) place = place < 0 ? -1 - place : 2 * length - 1 - place;
    return place;
  };
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (inside(y, image.height) * image.width + inside(x, image.width)) * channels;
      for (let channel = 0; channel < channels; channel++) found.data[(y * width + x) * channels + channel] = image.data[from + channel];
    }
  }
  return found;
}

/** Where windows begin along an axis; the last ends at its end. */
export function starts(length, side, overlap) {
  if (length <= side) return [0];
  const step = Math.max(1, Math.floor(side * (1 - overlap)));
  const count = Math.ceil((length - side) / step) + 1;
  return Array.from({ length: count }, (_, number) => Math.min(number * step, length - side));
}

function bell(side, known) {
  const own = Float32Array.from({ length: side }, (_, place) => {
    const off = (place - (side - 1) / 2) / (side * known.deviation);
    return Math.exp(-0.5 * off * off);
  });
  return own;
}

function cut(image, top, left, height, width) {
  const found = picture(width, height, image.channels);
  const row = width * image.channels;
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * image.channels;
    found.data.set(image.data.subarray(from, from + row), y * row);
  }
  return found;
}

function flipped(values, height, width, channels, axes) {
  if (!axes.length) return values;
  const found = new values.constructor(values.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = ((axes.includes(0) ? height - 1 - y : y) * width + (axes.includes(1) ? width - 1 - x : x)) * channels;
      const to = (y * width + x) * channels;
      for (let channel = 0; channel < channels; channel++) found[to + channel] = values[from + channel];
    }
  }
  return found;
}

/** The scores of a picture at the plan's scale: {values, height, width, channels}. */
async function blended(model, image, plan, known) {
  const [high, wide, channels] = model.shape;
  const limits = stretch(image, plan, known);
  const small = scaled(image, scaleOf([image.height, image.width], [high, wide], plan, known));
  const [height, width] = [Math.max(small.height, high), Math.max(small.width, wide)];
  const page = height === small.height && width === small.width ? small : mirrored(small, width, height);
  const [down, along] = [bell(high, known), bell(wide, known)];
  const ways = (plan.mirrors ?? []).reduce((some, axis) => some.concat(some.map((axes) => [...axes, axis])), [[]]);
  let sums = null;
  let count = 0;
  const total = new Float32Array(height * width);
  for (const top of starts(height, high, plan.overlap)) {
    for (const left of starts(width, wide, plan.overlap)) {
      const seen = asBytes(cut(page, top, left, high, wide), limits, channels).data;
      let scores = null;
      for (const axes of ways) {
        const found = await model.run(flipped(seen, high, wide, channels, axes));
        count = found.scores.length / (high * wide);
        const own = flipped(found.scores, high, wide, count, axes);
        scores = scores ? scores.map((value, place) => value + own[place]) : own;
      }
      if (ways.length > 1) scores = scores.map((value) => value / ways.length);
      sums ??= new Float32Array(height * width * count);
      for (let y = 0; y < high; y++) {
        for (let x = 0; x < wide; x++) {
          const weight = Math.max(Math.fround(down[y] * along[x]), known.least);
          const place = (top + y) * width + left + x;
          total[place] += weight;
          for (let channel = 0; channel < count; channel++) {
            sums[place * count + channel] += scores[(y * wide + x) * count + channel] * weight;
          }
        }
      }
    }
  }
  for (let place = 0; place < sums.length; place++) sums[place] /= total[Math.floor(place / count)];
  return { values: sums, stride: width, height: small.height, width: small.width, channels: count };
}

function between(length, wanted) {
  return Array.from({ length: wanted }, (_, number) => {
    const place = Math.min(length - 1, Math.max(0, ((number + 0.5) * length) / wanted - 0.5));
    const low = Math.floor(place);
    return [low, Math.min(low + 1, length - 1), Math.fround(place - low)];
  });
}

/** The code of one pixel by its scores. */
function decoded(scores, plan) {
  if (plan.regions.length) {
    const order = plan.order.length ? plan.order : plan.regions.map((_, number) => number + 1);
    return order.reduce((found, code, number) => (scores[number] >= plan.threshold ? code : found), 0);
  }
  if (scores.length === 1 || plan.background) return scores[scores.length - 1] >= plan.threshold ? 1 : 0;
  return scores.reduce((best, score, place) => (score > scores[best] ? place : best), 0);
}

/** What each pixel of a picture belongs to: a code a pixel, row by row. */
export async function segment(model, image) {
  const { known } = model.about;
  const plan = planOf(model);
  const { values, stride, height, width, channels } = await blended(model, image, plan, known);
  const codes = new Uint8Array(image.width * image.height);
  const across = between(width, image.width);
  const down = between(height, image.height);
  const pixel = new Float32Array(channels);
  for (let y = 0; y < image.height; y++) {
    const [upper, lower, share] = down[y];
    for (let x = 0; x < image.width; x++) {
      const [left, right, part] = across[x];
      for (let channel = 0; channel < channels; channel++) {
        const at = (row, column) => values[(row * stride + column) * channels + channel];
        const above = Math.fround(at(upper, left) * (1 - part) + at(upper, right) * part);
        const below = Math.fround(at(lower, left) * (1 - part) + at(lower, right) * part);
        pixel[channel] = above * (1 - share) + below * share;
      }
      codes[y * image.width + x] = decoded(pixel, plan);
    }
  }
  return cleaned(codes, image, plan, model.labels);
}

/** The codes of each label's pixels. */
function regionsOf(plan, labels) {
  return plan.regions.length ? plan.regions : labels.map((_, number) => [number + 1]);
}

function piecesOf(codes, region, { width, height }) {
  return pieces(codes.map((code) => (region.includes(code) ? 1 : 0)), width, height);
}

/** Leave out pieces that the plan says cannot be. */
function cleaned(codes, image, plan, labels) {
  for (const [number, region] of regionsOf(plan, labels).entries()) {
    const label = labels[number];
    const least = plan.smallest?.[label] ?? 0;
    const one = (plan.largest ?? []).includes(label);
    if (!least && !one) continue;
    const { names, areas } = piecesOf(codes, region, image);
    const most = areas.reduce((best, area, place) => (area > areas[best] ? place : best), 0);
    codes = codes.map((code, place) => {
      const name = names[place];
      if (!name) return code;
      return areas[name - 1] >= Math.max(1, least) && (!one || name - 1 === most) ? code : 0;
    });
  }
  return codes;
}

/** Say that a picture's size is far from those of training; "" where it is not. */
export function unlike(image, plan, known) {
  if (!plan.lengths.length) return "";
  const extent = [image.height, image.width];
  const [least, , most] = plan.lengths;
  const inWindows = plan.scale != null || tooSlender(extent, plan, known);
  const own = inWindows ? Math.min(...extent) : Math.max(...extent);
  if (own <= known.far * most && known.far * Math.max(...extent) >= least) return "";
  const size = `It has ${image.width}x${image.height} px, the longest side of training pictures ${least === most ? least : `${least} to ${most}`}`;
  return inWindows
    ? `${size}. Right only if a pixel shows as much as theirs do; else resize it.`
    : `${size}, and is seen whole. Right only if it shows as much as they do; else cut it.`;
}

export async function answer(model, image) {
  if (image.channels === 4) image = overPage(image, FAINT);
  const plan = planOf(model);
  const codes = await segment(model, image);
  model.codes = codes;
  const labels = {};
  for (const [number, region] of regionsOf(plan, model.labels).entries()) {
    const { areas } = piecesOf(codes, region, image);
    const area = areas.reduce((sum, value) => sum + value, 0);
    labels[model.labels[number]] = { area, share: Math.round((1e6 * area) / codes.length) / 1e6, pieces: areas.length };
    if (plan.spacing) labels[model.labels[number]].mm2 = Math.round(1000 * area * plan.spacing.reduce((one, other) => one * other)) / 1000;
  }
  return { width: image.width, height: image.height, labels };
}

function colour(model, number) {
  const { colours } = model.about.known;
  return colours[number % colours.length];
}

export function show(host, { labels }, model, image) {
  const seen = Object.values(labels).filter(({ area }) => area).length;
  host.append(...headline(seen ? `${seen} of ${model.labels.length} seen` : "nothing seen", model.labels.length === 1 ? model.labels[0] : ""));
  const rows = model.labels.map((label, number) => {
    const { share, pieces, mm2 } = labels[label];
    const size = mm2 === undefined ? "" : `${mm2.toLocaleString("en", { maximumFractionDigits: 1 })} mm², `;
    const value = `${size}${(100 * share).toFixed(2)} %, ${pieces} piece${pieces === 1 ? "" : "s"}`;
    return { colour: `rgb(${colour(model, number).join(" ")})`, name: label, value };
  });
  host.append(list(rows));
  const plan = planOf(model);
  if (plan.spacing) host.append(make("p", { class: "hint" }, `mm² are of pixels of ${plan.spacing.join(" x ")} mm, as the training pictures have them.`));
  const far = unlike(image, plan, model.about.known);
  if (far) host.append(make("p", { class: "hint" }, far));
  draw(model, image, plan);
}

/** Lay the labels' colours over the picture. */
function draw(model, image, plan) {
  const { width, height } = model.canvas;
  const layer = new ImageData(width, height);
  const regions = regionsOf(plan, model.labels);
  const colours = new Map();
  for (const [number, region] of regions.entries()) for (const code of region) colours.set(code, colour(model, number));
  const code = (x, y) => model.codes[Math.min(image.height - 1, Math.floor(y / model.scale)) * image.width + Math.min(image.width - 1, Math.floor(x / model.scale))];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const own = code(x, y);
      if (!own) continue;
      const edge = code(Math.max(0, x - 1), y) !== own || code(x, Math.max(0, y - 1)) !== own || code(x + 1, y) !== own || code(x, y + 1) !== own;
      layer.data.set([...colours.get(own), edge ? 255 : 90], 4 * (y * width + x));
    }
  }
  const over = new OffscreenCanvas(width, height);
  over.getContext("2d").putImageData(layer, 0, 0);
  model.canvas.getContext("2d").drawImage(over, 0, 0);
}
