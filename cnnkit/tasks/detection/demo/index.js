// Boxes around objects: tiles, decoding and suppression as cnnkit/device/detection.py has them.

import { headline, list, percent, six } from "../../parts.js";
import { fitImage, picture, rounded } from "../../inputs/image/pixels.js";

const MOST = 100; // boxes of a picture
const LISTED = 12;

/** Where tiles lie on an image of these sides: [top, left], the first and the last at its edges. */
export function tiles(height, width, [high, wide], overlap) {
  const starts = (length, side) => {
    if (length <= side) return [0];
    const count = Math.ceil((length - side) / Math.max(1, side - overlap)) + 1;
    return Array.from({ length: count }, (_, place) => rounded(((length - side) / (count - 1)) * place));
  };
  return starts(height, high).flatMap((top) => starts(width, wide).map((left) => [top, left]));
}

function sides({ height, width }, scale) {
  return [Math.max(1, rounded(height * scale)), Math.max(1, rounded(width * scale))];
}

/** Cut a window out of an image; grey beyond its edges. */
function padded(image, top, left, [height, width, channels], grey) {
  const page = picture(width, height, channels);
  page.data.fill(grey);
  const wide = Math.min(width, image.width - left);
  for (let y = 0; y < Math.min(height, image.height - top); y++) {
    const from = ((top + y) * image.width + left) * channels;
    page.data.set(image.data.subarray(from, from + wide * channels), y * width * channels);
  }
  return page.data;
}

/** What a model is to see of an image: {page, top, left, height, width}, the last two of the scaled image. */
export function inputs(image, plan, shape, grey) {
  const found = [];
  const whole = plan.scale == null;
  if (whole || plan.whole) {
    const [height, width] = sides(image, Math.min(shape[0] / image.height, shape[1] / image.width));
    const page = padded(fitImage(image, [height, width, shape[2]]), 0, 0, shape, grey);
    found.push({ page, top: 0, left: 0, height, width });
  }
  if (!whole) {
    const [height, width] = sides(image, plan.scale);
    const large = fitImage(image, [height, width, shape[2]]);
    for (const [top, left] of tiles(height, width, shape, plan.overlap ?? 0)) {
      found.push({ page: padded(large, top, left, shape, grey), top, left, height, width });
    }
  }
  return found;
}

/** The cells of a detector's maps, in the order of its outputs: [centre x, centre y, stride]. */
export function cells([height, width], strides) {
  const found = [];
  for (const stride of strides) {
    for (let y = 0; y < Math.ceil(height / stride); y++) {
      for (let x = 0; x < Math.ceil(width / stride); x++) found.push([(x + 0.5) * stride, (y + 0.5) * stride, stride]);
    }
  }
  return found;
}

/** What a model says of one input: boxes in px of the image, and which end at an inner edge of a tile. */
export function read({ boxes, scores }, { top, left, height, width }, grid, threshold, shape, image, known) {
  const classes = scores.length / grid.length;
  let chosen = [];
  const least = Math.fround(threshold);
  for (let place = 0; place < scores.length; place++) {
    if (scores[place] >= least) chosen.push(place);
  }
  if (chosen.length > known.candidates) {
    chosen = chosen.sort((one, other) => scores[other] - scores[one]).slice(0, known.candidates);
  }
  const [across, down] = [Math.fround(width / image.width), Math.fround(height / image.height)];
  const clip = (value, most) => Math.fround(Math.min(most, Math.max(0, value)));
  return chosen.map((place) => {
    const [cell, code] = [Math.floor(place / classes), place % classes];
    const [x, y, stride] = grid[cell];
    const raw = boxes.subarray(4 * cell, 4 * cell + 4);
    const [middleY, middleX] = [y + raw[0] * stride, x + raw[1] * stride];
    const halfHeight = (Math.exp(Math.min(raw[2], known.largest)) * stride) / 2;
    const halfWidth = (Math.exp(Math.min(raw[3], known.largest)) * stride) / 2;
    const box = [middleX - halfWidth, middleY - halfHeight, middleX + halfWidth, middleY + halfHeight].map(Math.fround);
    const cut =
      (left > 0 && box[0] < known.edge) ||
      (top > 0 && box[1] < known.edge) ||
      (left + shape[1] < width && box[2] > shape[1] - known.edge) ||
      (top + shape[0] < height && box[3] > shape[0] - known.edge);
    const own = [(box[0] + left) / across, (box[1] + top) / down, (box[2] + left) / across, (box[3] + top) / down];
    const ends = [image.width, image.height, image.width, image.height];
    return { box: own.map((value, side) => clip(value, ends[side])), score: scores[place], code, cut };
  });
}

function area([left, top, right, bottom]) {
  return Math.max(0, right - left) * Math.max(0, bottom - top);
}

/** Keep of boxes of a class that overlap the one with the highest score; those that may be parts come last. */
export function suppress(found, known) {
  let waiting = [...found.keys()]
    .sort((one, other) => found[one].cut - found[other].cut || found[other].score - found[one].score || one - other)
    .slice(0, known.candidates)
    .map((place) => found[place]);
  const kept = [];
  let solid = 0;
  while (waiting.length) {
    const [best, ...rest] = waiting;
    solid += best.cut ? 0 : 1;
    if (solid <= MOST || best.cut) kept.push(best);
    const own = area(best.box);
    waiting = rest.filter((other) => {
      if (other.code !== best.code) return true;
      const wide = Math.min(best.box[2], other.box[2]) - Math.max(best.box[0], other.box[0]);
      const high = Math.min(best.box[3], other.box[3]) - Math.max(best.box[1], other.box[1]);
      const shared = Math.max(0, wide) * Math.max(0, high);
      const size = area(other.box);
      const union = Math.max(own + size - shared, 1e-9);
      return !(shared > known.iou * union || (other.cut && shared > known.covered * Math.max(size, 1e-9)));
    });
  }
  return kept.sort((one, other) => other.score - one.score).slice(0, MOST);
}

export async function answer(model, image) {
  const { known } = model.about;
  const plan = { ...known.plan, ...model.metadata.detection };
  const grid = cells(model.shape, plan.strides);
  let found = [];
  for (const [number, place] of inputs(image, plan, model.shape, known.grey).entries()) {
    let part = read(await model.run(place.page), place, grid, plan.threshold, model.shape, image, known);
    if (plan.scale != null && plan.whole && !number) {
      const least = (known.long * plan.overlap) / plan.scale;
      part = part.filter(({ box }) => Math.max(box[2] - box[0], box[3] - box[1]) >= least);
    }
    found = found.concat(part);
  }
  found = suppress(found.filter(({ box }) => box[2] > box[0] && box[3] > box[1]), known);
  const boxes = found.map(({ box, score, code }) => {
    return { label: model.labels[code], score: six(score), box: box.map((value) => Math.round(value * 100) / 100) };
  });
  return { width: image.width, height: image.height, boxes };
}

function colour(model, label) {
  const { colours } = model.about.known;
  return `rgb(${colours[model.labels.indexOf(label) % colours.length].join(" ")})`;
}

export function show(host, { boxes }, model) {
  const counts = new Map();
  for (const { label } of boxes) counts.set(label, (counts.get(label) ?? 0) + 1);
  const threshold = model.metadata.detection?.threshold ?? model.about.known.plan.threshold;
  const below = boxes.length ? [...counts].map(([label, count]) => `${count} ${label}`).join(", ") : "";
  const what = boxes.length ? `${boxes.length} found` : "nothing found";
  host.append(...headline(what, below || `No score reaches ${percent(threshold)}.`));
  const rows = boxes.slice(0, LISTED).map(({ label, score }) => ({ colour: colour(model, label), name: label, value: percent(score) }));
  if (boxes.length > LISTED) rows.push({ name: `and ${boxes.length - LISTED} more`, value: "" });
  host.append(list(rows));
  draw(model, boxes);
}

function draw(model, boxes) {
  const context = model.canvas.getContext("2d");
  const line = Math.max(2, model.canvas.width / 320);
  const size = Math.max(11, Math.round(model.canvas.width / 48));
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = "bottom";
  for (const { label, score, box } of [...boxes].reverse()) {
    const [left, top, right, bottom] = box.map((value) => value * model.scale);
    context.lineWidth = line;
    context.strokeStyle = colour(model, label);
    context.strokeRect(left, top, right - left, bottom - top);
    const text = `${label} ${Math.round(100 * score)} %`;
    const wide = context.measureText(text).width + 8;
    const at = Math.max(0, Math.min(left, model.canvas.width - wide));
    const under = Math.max(size + 4, top);
    context.fillStyle = colour(model, label);
    context.fillRect(at, under - size - 4, wide, size + 4);
    context.fillStyle = "#000000";
    context.fillText(text, at + 4, under - 1);
  }
}
