// One class an input, as cnnkit/tasks/classification/device.py says it.

import { bars, headline, percent, six } from "../../parts.js";
import { best } from "../../several.js";

export function told({ scores }, { labels, metadata }) {
  const found = named(scores, labels, metadata.screening);
  const limit = metadata.unknown?.below;
  if (limit == null) return found;
  const about = { known: Math.max(...scores) >= limit, known_from: six(limit) };
  return about.known ? { ...found, ...about } : { ...found, label: "unknown", ...about, nearest: found.label };
}

function named(scores, labels, about) {
  if (!about || !Object.keys(about).length) {
    const top = best(scores, labels);
    return { ...top[0], ...(top.length > 1 ? { top } : {}) };
  }
  const place = labels.indexOf(about.finding);
  const score = scores[place];
  const label = labels[score >= about.threshold ? place : 1 - place];
  return { label, score: six(score), finding: about.finding, threshold: six(about.threshold) };
}

export function show(host, answer) {
  if ("finding" in answer) {
    const below = `${answer.finding} ${percent(answer.score)}; it is the answer from ${percent(answer.threshold)} on.`;
    host.append(...headline(answer.label, below, answer.known === false));
    return;
  }
  const unknown = answer.known === false || answer.sure === false;
  let below = percent(answer.score);
  if (answer.nearest) below = `Nearest: ${answer.nearest}, ${below}; known from ${percent(answer.known_from)} on.`;
  else if (answer.known === false) below += ", not sure: hardly a word is known";
  else if (unknown) below += ", not sure";
  host.append(...headline(answer.label, below, unknown));
  const rows = answer.top ?? [answer];
  host.append(bars(rows.map(({ label, score }, place) => ({ name: label, share: score, main: !place && !unknown }))));
}
