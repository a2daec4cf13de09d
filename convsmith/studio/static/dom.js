// Elements from plain values. Nothing here takes HTML as text, so nothing that a user types can become markup.

const SVG = "http://www.w3.org/2000/svg", MATH = "http://www.w3.org/1998/Math/MathML";

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "css") for (const [key, one] of Object.entries(value)) node.style.setProperty(key, one);
    else if (name === "value") node.value = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...real(children));
  return node;
}

const real = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

/** Make `children`, lists of them and gaps among them included, all that is in `node`. */
export const put = (node, ...children) => node.replaceChildren(...real(children));

export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children);
export const s = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);
export const m = (tag, properties, ...children) => fill(document.createElementNS(MATH, tag), properties, children);

export const byId = (id) => document.getElementById(id);

/** A colour of the style sheet as canvas takes it. */
export function colorOf(name) {
  const probe = h("span", { css: { color: `var(${name})` } });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

let pointer = [];
addEventListener("pointermove", (event) => { pointer = [event.clientX, event.clientY]; }, true);

/** A listener for a pointer that has come, not for a page that was redrawn under one that rests. */
export const entered = (listener) => (event) => {
  if (event.clientX !== pointer[0] || event.clientY !== pointer[1]) listener(event);
};

/** Say something to screen readers. */
export const say = (text) => { byId("live").textContent = text; };

/** Run `draw` at most once per frame, however often it is asked for; nothing runs while nothing changes. */
export function onDemand(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  };
}

/** A labelled control. */
export const labelled = (text, control, ...more) => h("label", { class: "control" }, h("span", {}, text), control, ...more);

export const select = (options, chosen, change, properties = {}) =>
  h("select", { ...properties, on: { change: (event) => change(event.target.value) } },
    options.map(([value, text]) => h("option", { value, selected: value === chosen }, text ?? value)));

/** A table with a caption; the first column heads its rows. */
export const table = (caption, head, rows) =>
  h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, rows.map(([first, ...others]) =>
        h("tr", {}, h("th", { scope: "row" }, first), others.map((text) => h("td", {}, text)))))));
