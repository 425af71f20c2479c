// Numbers of a picture, as cnnkit/tasks/regression/device.py says them.

import { headline, list } from "../../parts.js";

function rounded(value) {
  return Number(value.toPrecision(6));
}

export function told({ values }, { metadata }) {
  const { names, units, interval = {} } = metadata.regression;
  const found = {};
  for (const [place, name] of names.entries()) {
    found[name] = { value: rounded(values[place]), unit: units[place] };
    if (interval.half) {
      const half = interval.half[place];
      found[name].interval = [rounded(values[place] - half), rounded(values[place] + half)];
      found[name].level = interval.level;
    }
  }
  const every = Object.values(found);
  return every.length === 1 ? every[0] : { values: found };
}

/** Write a number as people read it: three digits that mean something, and all before the point. */
export function figure(value) {
  if (Math.abs(value) >= 999.5) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  return String(Number(value.toPrecision(3)));
}

function within({ interval, level, unit }) {
  if (!interval) return "";
  return `${figure(interval[0])} to ${figure(interval[1])} ${unit}, ${(100 * level).toFixed(0)} % of the time`;
}

export function show(host, answer) {
  if (!answer.values) {
    host.append(...headline(`${figure(answer.value)} ${answer.unit}`, within(answer)));
    return;
  }
  const rows = Object.entries(answer.values).map(([name, entry]) => ({ name, value: `${figure(entry.value)} ${entry.unit}  ${within(entry)}` }));
  host.append(list(rows));
}
