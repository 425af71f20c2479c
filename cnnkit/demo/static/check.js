// The page held to what LiteRT answers for Python: inputs made ready, outputs, and answers, by what lies in check.json.
//
// Each is compared by itself: the model is given what Python made ready, as a pixel that differs by one may turn an answer.

import { bytes, json } from "./model.js";
import { make } from "./parts.js";

const TYPES = { uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array, float32: Float32Array };

function array({ offset, shape, dtype }, content) {
  const count = shape.reduce((product, side) => product * side, 1);
  return new TYPES[dtype](content.buffer, content.byteOffset + offset, count);
}

/** The largest difference of two arrays; what is larger than 1 counts by its own size. */
export function apart(one, other) {
  if (one.length !== other.length) return Infinity;
  let most = 0;
  for (let place = 0; place < one.length; place++) {
    const off = Math.abs(one[place] - other[place]) / Math.max(1, Math.abs(other[place]));
    if (!(off <= most)) most = off;
  }
  return most;
}

/** Where two answers differ: "" where they are alike, numbers up to `most`. */
export function unlike(one, other, most, where = "answer") {
  if (typeof one === "number" && typeof other === "number") {
    return Math.abs(one - other) <= most * Math.max(1, Math.abs(other)) ? "" : `${where}: ${one} for ${other}`;
  }
  if (one && other && typeof one === "object" && typeof other === "object") {
    for (const key of new Set([...Object.keys(one), ...Object.keys(other)])) {
      const found = unlike(one[key], other[key], most, `${where}.${key}`);
      if (found) return found;
    }
    return "";
  }
  return one === other ? "" : `${where}: ${JSON.stringify(one)} for ${JSON.stringify(other)}`;
}

async function compared(model, entry, content, bars) {
  const { sample: about } = entry;
  const sample = model.input.sample("offset" in about ? { ...about, values: array(about, content) } : about);
  const instead = entry.runs.map(({ given }) => array(given, content));
  model.check = { made: [], instead, outputs: [] };
  const answer = await model.answer(sample);
  const { made, outputs: found } = model.check;
  model.check = null;
  if (made.length !== instead.length) return { faults: [`${made.length} inputs for ${instead.length}`] };
  let [ready, outputs] = [0, 0];
  for (const [place, run] of entry.runs.entries()) {
    ready = Math.max(ready, difference(made[place], instead[place]));
    for (const [name, values] of Object.entries(run.outputs)) outputs = Math.max(outputs, apart(found[place][name], array(values, content)));
  }
  const faults = [];
  if (!(ready <= bars.ready)) faults.push(`made ready otherwise, by ${ready}`);
  if (!(outputs <= bars.outputs)) faults.push(`outputs differ by ${outputs}`);
  const other = unlike(answer, entry.answer, bars.answer);
  if (other) faults.push(other);
  return { ready, outputs, faults };
}

function difference(one, other) {
  if (one.length !== other.length) return Infinity;
  let most = 0;
  for (let place = 0; place < one.length; place++) most = Math.max(most, Math.abs(one[place] - other[place]));
  return most;
}

export async function check(model, host, status) {
  const [about, content] = await Promise.all([
    json("check.json", "what the page is checked by"),
    bytes("check.bin", "what the page is checked by"),
  ]);
  const rows = [];
  for (const entry of about.entries) rows.push(await compared(model, entry, content, about.bars));
  const good = rows.filter((row) => !row.faults.length).length;
  status.textContent = `${good} of ${rows.length} inputs are made ready and answered here as LiteRT ${about.litert} does in Python.`;
  status.className = good === rows.length ? "" : "bad";
  status.hidden = false;
  const head = make("tr", {}, ...["input", "made ready, largest difference", "outputs, largest difference", ""].map((cell) => make("th", {}, cell)));
  const body = rows.map((row, place) =>
    make(
      "tr",
      {},
      make("td", {}, `${place + 1}`),
      make("td", {}, row.ready === undefined ? "" : String(row.ready)),
      make("td", {}, row.outputs === undefined ? "" : row.outputs.toExponential(1)),
      make("td", { class: row.faults.length ? "bad words" : "good" }, row.faults.join("; ") || "alike"),
    ),
  );
  host.replaceChildren(make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body))));
  host.hidden = false;
  document.body.dataset.check = JSON.stringify({ good, rows });
  document.body.dataset.state = "checked";
}
