// Several labels an input, or none, as cnnkit/tasks/multilabel/device.py and cnnkit/device/several.py say it.

import { bars, headline } from "../../parts.js";
import { confidence, given, order, rareOf, thresholdsOf } from "../../several.js";

const SHOWN = 8; // labels

export function told({ scores }, model) {
  const thresholds = thresholdsOf(model);
  const top = given(scores, thresholds, model.labels);
  const sure = confidence(scores, thresholds, rareOf(model)) >= (model.metadata.sure ?? 0);
  if (top.length) return { ...top[0], sure, top };
  let nearest = 0;
  for (let place = 1; place < scores.length; place++) {
    if (scores[place] - thresholds[place] > scores[nearest] - thresholds[nearest]) nearest = place;
  }
  return { label: null, score: null, sure, top, nearest: model.labels[nearest] };
}

export function show(host, answer, model) {
  const names = answer.top.map(({ label }) => label).join(", ") || "none of the labels";
  host.append(...headline(names, answer.sure ? "" : "not sure", !answer.sure));
  const { scores } = model.outputs;
  const chosen = new Set(answer.top.map(({ label }) => label));
  const first = order(scores).slice(0, SHOWN);
  host.append(bars(first.map((place) => ({ name: model.labels[place], share: scores[place], main: chosen.has(model.labels[place]) }))));
}
