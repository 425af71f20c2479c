// What pages are made of. Words from a model are text, never markup.

export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "share") made.style.setProperty("--share", String(value));
    else if (name === "colour") made.style.background = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, String(value));
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/** Shares as bars, a line each: {name, share, main}. */
export function bars(rows) {
  const cells = rows.flatMap(({ name, share, main }) => [
    make("span", {}, name),
    make("div", { class: main ? "bar main" : "bar", share: Math.min(1, Math.max(0, share)) }),
    make("b", {}, percent(share)),
  ]);
  return make("div", { class: "bars" }, ...cells);
}

/** The answer in large, and a line below it. */
export function headline(text, below = "", unsure = false) {
  return [
    make("p", { class: unsure ? "big unsure" : "big" }, text),
    make("p", { class: "sub" }, below),
  ];
}

/** Lines with a colour, a name and a number: {colour, name, value}. */
export function list(rows) {
  const items = rows.map(({ colour, name, value }) =>
    make("li", {}, colour ? make("span", { class: "swatch", colour }) : null, name, make("b", {}, value)),
  );
  return make("ul", { class: "list" }, ...items);
}

export function six(value) {
  return Math.round(value * 1e6) / 1e6;
}
