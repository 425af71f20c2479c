// Texts: typed, and read as cnnkit/device/text.py reads them; what is said of them is that of cnnkit/inputs/text/predict.py.

import { make } from "../../parts.js";
import { best, confidence, given as due, rareOf, thresholdsOf } from "../../several.js";

const [PAD, UNKNOWN, FIRST] = [0, 1, 2];
const PAUSE = 150; // ms without a key, after which a text is answered
const NAMED = 12; // words that are named as not known

export function sample({ value }) {
  return value;
}

/** Whether sorted ranges [[first, last], ...] hold a code point. */
function within(ranges, code) {
  let [low, high] = [0, ranges.length - 1];
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (code < ranges[middle][0]) high = middle - 1;
    else if (code > ranges[middle][1]) low = middle + 1;
    else return true;
  }
  return false;
}

/** The words of a text; characters of scripts without spaces apart, where the file says so. */
export function split(text, { ranges, single }, apart) {
  const words = [];
  let word = "";
  const end = () => {
    if (word) words.push(word);
    word = "";
  };
  for (const character of text) {
    if (character === "\0") break;
    const code = character.codePointAt(0);
    if (!within(ranges, code)) end();
    else if (apart && within(single, code)) {
      end();
      words.push(character);
    } else word += character;
  }
  end();
  return words;
}

/** FNV-1a of a text's UTF-8 bytes, 32 bits. */
export function fnv1a(text) {
  let value = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

function ngrams(word, n) {
  const marked = [...`<${word.toLowerCase()}>`];
  return Array.from({ length: Math.max(1, marked.length - n + 1) }, (_, place) => marked.slice(place, place + n).join(""));
}

/** What makes ids of texts. Of one model there is one. */
export class Tokenizer {
  constructor(about, known) {
    Object.assign(this, about, { known });
    this.table = new Map();
    for (const line of about.vocabulary.replace(/^\ufeff/, "").split(/\r?\n/)) {
      const place = line.lastIndexOf(" ");
      if (place > 0) this.table.set(line.slice(0, place), Number(line.slice(place + 1)));
    }
    this.table.delete("<PAD>");
    this.table.delete("<UNKNOWN>");
  }

  /** The ids of a text, `length` of them, padded at the end. */
  ids(text) {
    const found = new Int32Array(this.length).fill(PAD);
    const every = this.kind === "characters" ? this.letters(text) : this.words(text).flatMap((word) => this.of(word));
    found.set(every.slice(0, this.length));
    return found;
  }

  words(text) {
    return split(text, this.known, this.apart === true).slice(0, this.length);
  }

  letters(text) {
    return [...text].slice(0, this.length).map((character) => {
      const letter = character.codePointAt(0) < 128 ? character.toLowerCase() : "";
      const place = letter ? this.known.alphabet.indexOf(letter) : -1;
      return place < 0 ? PAD : FIRST + place;
    });
  }

  of(word) {
    const id = this.table.get(word);
    if (id !== undefined) return [id];
    if (!this.buckets) return [UNKNOWN];
    return ngrams(word, this.ngram).map((gram) => this.size - this.buckets + (fnv1a(gram) % this.buckets));
  }

  /** Whether ids say anything to a model: a word at least, and a share of all, is in the vocabulary. */
  says(ids) {
    const words = ids.filter((id) => id >= FIRST && id < this.size - this.buckets).length;
    return words > 0 && words >= this.known.share * ids.filter((id) => id !== PAD).length;
  }
}

const made = new WeakMap();

export function tokenizer(model) {
  if (!made.has(model)) made.set(model, new Tokenizer(model.metadata.text, model.about.known));
  return made.get(model);
}

export async function answer(model, text) {
  const ids = tokenizer(model).ids(text);
  const known = tokenizer(model).says(ids);
  let { scores } = await model.run(ids);
  const least = model.metadata.sure ?? 0;
  if (model.metadata.task === "multilabel") {
    const thresholds = thresholdsOf(model);
    const sure = known && confidence(scores, thresholds, rareOf(model)) >= least;
    scores = scores.map((score) => score * known);
    model.outputs = { scores };
    const top = due(scores, thresholds, model.labels);
    return { ...(top[0] ?? { label: null, score: null }), sure, known, top };
  }
  const top = best(scores, model.labels);
  return { ...top[0], sure: known && Math.max(...scores) >= least, known, top };
}

/** Say below an answer which words told nothing. */
export function after(host, answer, model, text) {
  const own = tokenizer(model);
  if (own.kind === "characters") return;
  const strange = [...new Set(own.words(text).filter((word) => !own.table.has(word)))];
  if (!strange.length) return;
  const more = strange.length > NAMED ? ` and ${strange.length - NAMED} more` : "";
  host.append(make("p", { class: "hint" }, `Words that training did not have: ${strange.slice(0, NAMED).join(", ")}${more}.`));
}

export function mount(host, model, given) {
  const area = make("textarea", { id: "text", rows: 5, autofocus: true, spellcheck: false, placeholder: "Write or paste a text." });
  const label = make("label", { for: "text", class: "hint" }, "A text: the answer follows while you write.");
  let waiting = 0;
  const answered = () => given(area.value.trim() ? area.value : null);
  area.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(answered, PAUSE);
  });
  const clear = () => {
    area.value = "";
    answered();
    area.focus();
  };
  host.append(label, area, make("div", { class: "buttons" }, make("button", { type: "button", onclick: clear }, "Clear")));
  area.focus();
}
