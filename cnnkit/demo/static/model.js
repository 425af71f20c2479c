// A model in this browser: LiteRT.js, and the halves of its kinds, as cnnkit/device/model.py and cnnkit/verbs/predict.py have them.
//
// model.json says what the model is. Its input and its task each have a half in JavaScript, modules that export what differs:
//   input: mount(host, model, given)   makes what takes inputs, and calls given(sample)
//          sample(entry)               a sample from check.json
//          windows(sample, model)      what the model sees of it: arrays of numbers; none where there is nothing to see
//          answer(model, sample)       only where an answer is more than that of `told`
//          after(host, answer, model, sample)   what it shows below an answer, if anything
//   task:  told(outputs, model)        the answer, as `predict --json` prints it
//          answer(model, sample)       only where an answer is more than that
//          show(host, answer, model, sample)
//   app:   what the app does to inputs; the half of its input knows what

import * as litert from "./litert/core.js";

const TYPES = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };

export class Model {
  constructor(about, halves, compiled) {
    this.about = about;
    this.metadata = about.metadata;
    this.labels = about.labels;
    this.shape = about.shape;
    this.input = halves.input;
    this.task = halves.task;
    this.app = halves.app;
    this.compiled = compiled;
    this.outputs = null; // of the last input
    this.spent = 0; // ms in the model
    this.check = null; // of a check: what inputs were made ready as, what they are replaced by, and the outputs
  }

  /** Answer one input, numbers of the model's shape: its outputs by name, Float32Array each. */
  async run(values) {
    const { name, dtype, scale, zero } = this.about.input;
    let given = new TYPES[dtype](values.length);
    for (let place = 0; place < values.length; place++) {
      let value = values[place];
      if (dtype !== "float32") {
        if (scale && (scale !== 1 || zero !== 0)) value = value / scale + zero;
        value = Math.round(value);
        if (dtype === "uint8") value = Math.min(255, Math.max(0, value));
      }
      given[place] = value;
    }
    if (this.check) {
      this.check.made.push(given);
      given = this.check.instead[this.check.made.length - 1] ?? given;
    }
    const began = performance.now();
    const tensor = new litert.Tensor(given, [1, ...this.shape]);
    const found = await this.compiled.run({ [name]: tensor });
    const outputs = {};
    for (const [own, named] of Object.entries(this.about.outputs)) {
      outputs[named] = Float32Array.from(await found[own].data());
      found[own].delete();
    }
    tensor.delete();
    this.spent += performance.now() - began;
    for (const values of Object.values(outputs)) {
      if (!values.every(Number.isFinite)) throw new Error("The model answers with what is no number: export it again.");
    }
    this.check?.outputs.push(outputs);
    this.outputs = outputs;
    return outputs;
  }

  async answer(sample) {
    const answer = this.task.answer ?? this.input.answer ?? usual;
    return answer(this, sample);
  }
}

/** The answer to a sample by the mean of its windows. */
async function usual(model, sample) {
  const windows = await model.input.windows(sample, model);
  if (!windows.length) return { ...model.about.nothing, nothing: true };
  const sums = {};
  for (const values of windows) {
    for (const [name, found] of Object.entries(await model.run(values))) {
      sums[name] = sums[name] ? sums[name].map((value, place) => value + found[place]) : found;
    }
  }
  for (const name of Object.keys(sums)) sums[name] = sums[name].map((value) => value / windows.length);
  model.outputs = sums;
  return model.task.told(sums, model);
}

async function fetched(name, what) {
  let answer;
  try {
    answer = await fetch(name);
  } catch {
    throw new Error(`${what} cannot be fetched: the server that gave this page does not answer. Start it again.`);
  }
  if (!answer.ok) throw new Error(`${name} does not lie beside this page, and it is ${what}. Copy the whole folder.`);
  return answer;
}

export async function json(name, what) {
  return (await fetched(name, what)).json();
}

export async function bytes(name, what) {
  return new Uint8Array(await (await fetched(name, what)).arrayBuffer());
}

/** Open the model that model.json describes. */
export async function open() {
  const about = await json("model.json", "what says what the model is");
  const [content, input, task, app] = await Promise.all([
    bytes(about.file, "the model"),
    import(`./${about.modules.input}`),
    import(`./${about.modules.task}`),
    about.modules.app ? import(`./${about.modules.app}`) : null,
    litert.loadLiteRt(new URL("litert/litert.js", document.baseURI).href),
  ]);
  if (content.length !== about.bytes) {
    throw new Error(`${about.file} is not the file that this page was made for: it has another size. Make the page again.`);
  }
  const compiled = await litert.loadAndCompile(content, { accelerator: "wasm" });
  return new Model(about, { input, task, app }, compiled);
}
