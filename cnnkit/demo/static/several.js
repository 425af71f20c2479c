// Labels by their scores, as cnnkit/device/kinds.py and cnnkit/device/several.py choose them.

import { six } from "./parts.js";

const SHOWN = 5; // labels

/** The places of scores, the highest first. */
export function order(scores) {
  return [...scores.keys()].sort((one, other) => scores[other] - scores[one] || one - other);
}

/** The best labels of scores, the best first: {label, score}. */
export function best(scores, labels, top = SHOWN) {
  return order(scores)
    .slice(0, top)
    .map((place) => ({ label: labels[place], score: six(scores[place]) }));
}

export function thresholdsOf({ metadata, labels }) {
  return metadata.thresholds?.length ? metadata.thresholds : labels.map(() => 0.5);
}

/** How sure an answer is: by the label whose probability is nearest to its threshold. */
export function confidence(scores, thresholds, rare) {
  const logit = (value) => {
    const kept = Math.min(1 - 1e-7, Math.max(1e-7, value));
    return Math.log(kept / (1 - kept));
  };
  const each = [...scores].map((score, place) => {
    if (rare[place] && score >= thresholds[place]) return 0;
    return 1 / (1 + Math.exp(-Math.abs(logit(score) - logit(thresholds[place]))));
  });
  return Math.min(...each);
}

/** Labels that are given, the best first: {label, score}. */
export function given(scores, thresholds, labels) {
  const chosen = order(scores).filter((place) => scores[place] >= thresholds[place]);
  return chosen.map((place) => ({ label: labels[place], score: six(scores[place]) }));
}

export function rareOf({ metadata, labels }) {
  return labels.map((label) => label in (metadata.rare ?? {}));
}
