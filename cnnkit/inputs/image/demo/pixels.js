// Pictures as a model sees them: what cnnkit/device/image.py and OpenCV do, in JavaScript.
//
// A picture is {data: Uint8Array, width, height, channels}: 1 grey, 3 RGB, 4 RGBA, rows from the top, channels together.
// Sums are rounded to float32 where OpenCV keeps float32, so that a pixel differs by one at most, and hardly any does.

export const MOST_PIXELS = 100_000_000;

/** Return an array's numbers as bytes: rounded, halves to the even, within 0 and 255. */
export function toByte(value) {
  const low = Math.floor(value);
  const rest = value - low;
  const whole = rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
  return whole < 0 ? 0 : whole > 255 ? 255 : whole;
}

/** Round as Python does: halves to the even. */
export function rounded(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

export function picture(width, height, channels, data = new Uint8Array(width * height * channels)) {
  return { data, width, height, channels };
}

/** Bring a picture to a model's shape [height, width, channels]: colours first, then size. */
export function fitImage(image, [height, width, channels]) {
  return resized(toChannels(image, channels), width, height);
}

/** Whether a picture shows nothing: one colour all over, as far as can be seen. */
export function blank(image, faint) {
  const { data, channels } = image.channels === 4 ? overPage(image, faint) : image;
  for (let channel = 0; channel < channels; channel++) {
    if (spread(data, channel, channels) > faint) return false;
  }
  return true;
}

function spread(data, first, step) {
  let low = 255;
  let high = 0;
  for (let place = first; place < data.length; place += step) {
    if (data[place] < low) low = data[place];
    if (data[place] > high) high = data[place];
  }
  return Math.max(0, high - low);
}

/** Lay RGBA over a white page, or over a black one if it shows there only. */
export function overPage(image, faint) {
  const white = over(image, 255);
  if (spread(white.data, 0, 1) <= faint && spread(image.data, 3, 4) > faint) {
    const black = over(image, 0);
    if (spread(black.data, 0, 1) > faint) return black;
  }
  return white;
}

function over({ data, width, height }, paper) {
  const found = picture(width, height, 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const alpha = data[from + 3];
    for (let channel = 0; channel < 3; channel++) {
      found.data[to + channel] = Math.floor((data[from + channel] * alpha + paper * (255 - alpha) + 127) / 255);
    }
  }
  return found;
}

const FAINT = 8; // of 255, as device/image.py has it; a test holds both alike

export function toChannels(image, channels) {
  if (image.channels === 4 && channels !== 4) image = overPage(image, FAINT);
  if (image.channels === channels) return image;
  const count = image.width * image.height;
  const found = picture(image.width, image.height, channels);
  if (channels === 1) {
    for (let place = 0, from = 0; place < count; place++, from += 3) {
      const [red, green, blue] = [image.data[from], image.data[from + 1], image.data[from + 2]];
      found.data[place] = (red * 9798 + green * 19235 + blue * 3735 + 16384) >> 15;
    }
    return found;
  }
  for (let place = 0; place < count; place++) {
    for (let channel = 0; channel < channels; channel++) {
      const own = image.channels === 1 ? place : place * 3 + channel;
      found.data[place * channels + channel] = channel === 3 ? 255 : image.data[own];
    }
  }
  return found;
}

/** Shrink by pixel area, then enlarge: an axis at a time where one shrinks and the other grows. */
export function resized(image, width, height) {
  const smaller = [Math.min(width, image.width), Math.min(height, image.height)];
  if (smaller[0] !== image.width || smaller[1] !== image.height) image = byArea(image, ...smaller);
  return image.width === width && image.height === height ? image : enlarged(image, width, height);
}

/** Which places of an axis a new one covers, and how much each counts: {first, counts, places, shares}. */
function covered(length, wanted) {
  const scale = length / wanted;
  const ends = new Int32Array(wanted + 1);
  const places = [];
  const shares = [];
  for (let to = 0; to < wanted; to++) {
    const start = to * scale;
    const stop = start + scale;
    const cell = Math.min(scale, length - start);
    const last = Math.min(Math.floor(stop), length - 1);
    const first = Math.min(Math.ceil(start), last);
    if (first - start > 1e-3) {
      places.push(first - 1);
      shares.push(Math.fround((first - start) / cell));
    }
    for (let place = first; place < last; place++) {
      places.push(place);
      shares.push(Math.fround(1 / cell));
    }
    if (stop - last > 1e-3) {
      places.push(last);
      shares.push(Math.fround(Math.min(stop - last, 1, cell) / cell));
    }
    ends[to + 1] = places.length;
  }
  return { ends, places, shares };
}

/** Shrink by pixel area, as OpenCV's INTER_AREA; bytes give bytes, floats floats. */
export function byArea(image, width, height) {
  const { data, channels } = image;
  const bytes = data instanceof Uint8Array;
  const found = { data: new data.constructor(width * height * channels), width, height, channels };
  const [wide, high] = [image.width / width, image.height / height];
  const row = width * channels;
  if (Number.isInteger(wide) && Number.isInteger(high)) {
    const share = Math.fround(1 / (wide * high));
    const sums = new Float64Array(row);
    for (let y = 0; y < height; y++) {
      sums.fill(0);
      for (let down = 0; down < high; down++) {
        let from = (y * high + down) * image.width * channels;
        for (let x = 0; x < row; x += channels) {
          for (let along = 0; along < wide; along++) {
            for (let channel = 0; channel < channels; channel++) sums[x + channel] += data[from++];
          }
        }
      }
      for (let x = 0; x < row; x++) {
        const two = bytes && wide === 2 && high === 2;
        const value = two ? (sums[x] + 2) >> 2 : Math.fround(Math.fround(sums[x]) * share);
        found.data[y * row + x] = bytes ? toByte(value) : value;
      }
    }
    return found;
  }
  const across = covered(image.width, width);
  const down = covered(image.height, height);
  const line = new Float32Array(row);
  const sums = new Float32Array(row);
  for (let y = 0; y < height; y++) {
    sums.fill(0);
    for (let k = down.ends[y]; k < down.ends[y + 1]; k++) {
      const start = down.places[k] * image.width * channels;
      const share = down.shares[k];
      line.fill(0);
      for (let x = 0; x < width; x++) {
        for (let j = across.ends[x]; j < across.ends[x + 1]; j++) {
          const from = start + across.places[j] * channels;
          for (let channel = 0; channel < channels; channel++) {
            line[x * channels + channel] += data[from + channel] * across.shares[j];
          }
        }
      }
      for (let x = 0; x < row; x++) sums[x] += line[x] * share;
    }
    for (let x = 0; x < row; x++) found.data[y * row + x] = bytes ? toByte(sums[x]) : sums[x];
  }
  return found;
}

/** Between which two places of an axis each new one lies, and how near to the second. */
function between(length, wanted) {
  const low = new Int32Array(wanted);
  const share = new Float64Array(wanted);
  for (let to = 0; to < wanted; to++) {
    const at = ((to + 0.5) * length) / wanted - 0.5;
    low[to] = Math.min(Math.max(Math.floor(at), 0), length - 1);
    share[to] = at < 0 || at >= length - 1 ? 0 : at - low[to];
  }
  return { low, share };
}

/** Enlarge bytes as OpenCV's INTER_LINEAR_EXACT: in whole 256ths. */
export function enlarged(image, width, height) {
  const { data, channels } = image;
  const found = picture(width, height, channels);
  const across = between(image.width, width);
  const down = between(image.height, height);
  const row = width * channels;
  const lines = new Map();
  const line = (y) => {
    if (!lines.has(y)) {
      if (lines.size > 2) lines.delete(lines.keys().next().value);
      const made = new Uint16Array(row);
      for (let x = 0; x < width; x++) {
        const part = rounded(256 * across.share[x]);
        const from = (y * image.width + across.low[x]) * channels;
        const next = part ? channels : 0;
        for (let channel = 0; channel < channels; channel++) {
          made[x * channels + channel] = data[from + channel] * (256 - part) + data[from + next + channel] * part;
        }
      }
      lines.set(y, made);
    }
    return lines.get(y);
  };
  for (let y = 0; y < height; y++) {
    const part = rounded(256 * down.share[y]);
    const upper = line(down.low[y]);
    const lower = part ? line(down.low[y] + 1) : upper;
    for (let x = 0; x < row; x++) {
      found.data[y * row + x] = Math.min(255, (upper[x] * (256 - part) + lower[x] * part + 32768) >>> 16);
    }
  }
  return found;
}

/** Resize linearly, as OpenCV's INTER_LINEAR: floats as they are, bytes in whole 2048ths. */
export function linear(image, width, height) {
  const { data, channels } = image;
  const bytes = data instanceof Uint8Array;
  const found = { data: new data.constructor(width * height * channels), width, height, channels };
  const shares = ({ share }) => {
    const second = Float32Array.from(share);
    const first = second.map((value) => 1 - value);
    return bytes ? [first.map((value) => rounded(value * 2048)), second.map((value) => rounded(value * 2048))] : [first, second];
  };
  const across = between(image.width, width);
  const down = between(image.height, height);
  const [[left, right], [above, below]] = [shares(across), shares(down)];
  for (let y = 0, to = 0; y < height; y++) {
    const upper = down.low[y] * image.width;
    const lower = Math.min(down.low[y] + 1, image.height - 1) * image.width;
    for (let x = 0; x < width; x++) {
      const one = across.low[x];
      const other = Math.min(one + 1, image.width - 1);
      for (let channel = 0; channel < channels; channel++, to++) {
        const line = (start) => data[(start + one) * channels + channel] * left[x] + data[(start + other) * channels + channel] * right[x];
        const [high, low] = [line(upper), line(lower)];
        found.data[to] = bytes
          ? ((((above[y] * (high >> 4)) >> 16) + ((below[y] * (low >> 4)) >> 16) + 2) >> 2)
          : high * above[y] + low * below[y];
      }
    }
  }
  return found;
}

/** What hangs together, corners included: numbers from 1, and how many pixels each has. */
export function pieces(mask, width, height) {
  const names = new Int32Array(mask.length);
  const areas = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || names[start]) continue;
    areas.push(0);
    const waiting = [start];
    names[start] = areas.length;
    while (waiting.length) {
      const place = waiting.pop();
      areas[areas.length - 1]++;
      const [x, y] = [place % width, Math.floor(place / width)];
      for (let down = Math.max(0, y - 1); down <= Math.min(height - 1, y + 1); down++) {
        for (let along = Math.max(0, x - 1); along <= Math.min(width - 1, x + 1); along++) {
          const near = down * width + along;
          if (mask[near] && !names[near]) {
            names[near] = areas.length;
            waiting.push(near);
          }
        }
      }
    }
  }
  return { names, areas };
}
