// The page: a model, what takes inputs for it, and its answers. All work is done in this browser.

import { open } from "./model.js";
import { make } from "./parts.js";

const at = (id) => document.getElementById(id);

function failed(error) {
  at("status").textContent = error.message || String(error);
  at("status").className = "bad";
  at("status").hidden = false;
  document.body.dataset.state = "failed";
}

/** What answers samples one after the other: of many that come while one is answered, the last is next. */
function answering(model) {
  let waiting = null;
  let busy = false;
  return async function given(sample) {
    waiting = { sample };
    if (busy) return;
    busy = true;
    try {
      while (waiting) {
        const { sample } = waiting;
        waiting = null;
        await show(model, sample);
      }
    } catch (error) {
      failed(error);
    } finally {
      busy = false;
    }
  };
}

async function show(model, sample) {
  const host = at("answer");
  if (sample === null) {
    host.replaceChildren(make("p", { class: "hint" }, "The answer comes here."));
    delete document.body.dataset.answer;
    return;
  }
  at("status").hidden = true;
  model.spent = 0;
  const began = performance.now();
  const answer = await model.answer(sample);
  const all = performance.now() - began;
  host.replaceChildren();
  if (answer.nothing) host.append(make("p", { class: "big" }, "nothing on it"));
  else model.task.show(host, answer, model, sample);
  model.input.after?.(host, answer, model, sample);
  const times = `${model.spent.toFixed(1)} ms in the model, ${Math.max(0, all - model.spent).toFixed(1)} ms to make it ready and read the answer.`;
  host.append(make("p", { class: "times" }, times));
  document.body.dataset.answer = JSON.stringify(answer);
}

function describe(model) {
  const { about } = model;
  document.title = `cnnkit ${about.app}`;
  at("kicker").replaceChildren(`cnnkit ${about.app}`, make("span", {}, about.title));
  at("title").textContent = about.title;
  at("kicker").textContent = `cnnkit ${about.app}`;
  if (about.notice) {
    at("notice").textContent = about.notice;
    at("notice").hidden = false;
  }
  const size = about.bytes < 1e6 ? `${(about.bytes / 1e3).toFixed(0)} kB` : `${(about.bytes / 1e6).toFixed(1)} MB`;
  at("footer").textContent =
    `${about.name}, ${size}, runs in this browser on its processor by LiteRT.js ${about.runtime}. ` +
    "What you draw, drop or write stays here: this page contacts nobody.";
}

async function start() {
  const model = await open();
  describe(model);
  if (new URLSearchParams(location.search).has("check")) {
    const { check } = await import("./check.js");
    await check(model, at("check"), at("status"));
    return;
  }
  const given = answering(model);
  at("status").hidden = true;
  at("try").hidden = false;
  await given(null);
  model.input.mount(at("input"), model, given, failed);
  document.body.dataset.state = "ready";
}

start().catch(failed);
