// Charts as the server gives them: places from 0 to 1 and texts. SVG lines and points, or a canvas of points where there
// are thousands; a reading line for the pointer, and the same points as a table.

import { h, onDemand, put, s, table } from "./dom.js";
import { MANY, drawnPoints, nearest, thinned, whenThemed } from "./points.js";
import { t } from "./words.js";

const LEFT = 64, FOOT = 44, TOP = 10, RIGHT = 14, LISTED = 150;
const SIZES = { best: 8, chosen: 10, now: 9 }, SHADES = { "going-on": "width", finals: "width" };

const named = (name) => t(`line.${name}`);

/** A chart that follows the width of its place. */
export function chart(one, { height = 260 } = {}) {
  const reading = h("p", { class: "reading soft", role: "status" }, " ");
  const box = h("div", { class: "plot" });
  const draw = onDemand(() => put(box, plot(one, Math.max(box.clientWidth, 200), height, reading)));
  const resized = new ResizeObserver(draw);
  resized.observe(box);
  whenThemed(box, draw);
  const points = one.lines.flatMap((line) => line.points.map((point) => [line, point])), listed = thinned(points, LISTED);
  return h("figure", { class: "chart", data: { chart: one.name } },
    h("figcaption", {}, t(`chart.${one.name}`)),
    one.lines.length > 1 && h("p", { class: "legend" }, one.lines.map((line) => h("span", { class: "key", css: { "--key": `var(--${line.colour})` } }, named(line.name)))),
    box, reading,
    h("details", {}, h("summary", {}, t("numbers")),
      listed.length < points.length && h("p", { class: "soft" }, t("chart.listed", { shown: listed.length, total: points.length })),
      table(t(`chart.${one.name}`), [t("chart.line"), t("chart.point")], listed.map(([line, point]) => [named(line.name), point.text]))));
}

function plot(one, width, height, reading) {
  const wide = width - LEFT - RIGHT, tall = height - TOP - FOOT;
  const x = (at) => LEFT + at * wide, y = (at) => TOP + (1 - at) * tall;
  const all = one.lines.flatMap((line) => line.points.map((point) => ({ line, point, x: x(point.at[0]), y: y(point.at[1]), r: 3, colour: line.colour })));
  const many = all.length > MANY, mark = s("circle", { r: 7, class: "near", visibility: "hidden" });
  const look = (event) => {
    const best = nearest(all, event);
    mark.setAttribute("visibility", best ? "visible" : "hidden");
    if (best) { mark.setAttribute("cx", best.x); mark.setAttribute("cy", best.y); }
    reading.textContent = best ? `${named(best.line.name)} · ${best.point.text}` : " ";
  };
  const picture = s("svg", { width, height, role: "img", "aria-label": `${t(`chart.${one.name}`)}: ${one.lines.map((line) => `${named(line.name)}, ${line.points.at(-1).text}`).join("; ")}`, on: { pointermove: look, pointerleave: () => { mark.setAttribute("visibility", "hidden"); reading.textContent = " "; } } },
    one.y.ticks.map(([at, text]) => [s("path", { d: `M${LEFT} ${y(at)}h${wide}`, class: "rule" }), s("text", { x: LEFT - 8, y: y(at) + 4, class: "soft end" }, text)]),
    one.x.ticks.map(([at, text]) => [s("path", { d: `M${x(at)} ${TOP + tall}v5`, class: "rule" }), s("text", { x: x(at), y: TOP + tall + 18, class: "soft middle" }, text)]),
    s("path", { d: `M${LEFT} ${TOP}v${tall}h${wide}`, class: "rule axis" }),
    s("text", { x: LEFT + wide / 2, y: height - 8, class: "soft middle" }, t(`axis.${one.x.title}`)),
    s("text", { transform: `translate(14 ${TOP + tall / 2}) rotate(-90)`, class: "soft middle" }, t(`axis.${one.y.title}`)),
    one.lines.map((line) => drawn(line, x, y, many && line.points.length > MANY / 4)),
    mark);
  const far = new Set(one.lines.filter((line) => many && line.points.length > MANY / 4));
  return [far.size ? drawnPoints(all.filter((each) => far.has(each.line)), width, height) : null, picture];
}

/** One path for the line, one for all bars, one for all dots that are not on the canvas. */
function drawn(line, x, y, dotted) {
  const breaks = new Set(line.breaks), stroke = `var(--${line.colour})`, joined = line.joined && line.breaks.length < line.points.length;
  const path = joined ? line.points.map(({ at }, index) => `${index === 0 || breaks.has(index) ? "M" : "L"}${x(at[0])} ${y(at[1])}`).join("") : "";
  const bars = line.points.filter((point) => point.bar).map(({ at, bar }) => `M${x(at[0])} ${y(bar[0])}V${y(bar[1])}M${x(at[0]) - 4} ${y(bar[0])}h8M${x(at[0]) - 4} ${y(bar[1])}h8`).join("");
  const dots = line.points.length <= 40 || !joined ? line.points.map(({ at }) => `M${x(at[0])} ${y(at[1])}h0`).join("") : "";
  return s("g", { data: { line: line.name } },
    joined ? s("path", { d: path, css: { stroke }, class: "line" }) : null,
    bars ? s("path", { d: bars, css: { stroke }, class: "bars" }) : null,
    dots && !dotted ? s("path", { d: dots, css: { stroke }, class: "dots" }) : null);
}

/** The map of shares. */
export function ternary(one, { most = 520 } = {}) {
  const reading = h("p", { class: "reading soft", role: "status" }, " ");
  const box = h("div", { class: "plot" });
  const draw = onDemand(() => put(box, triangle(one, Math.min(Math.max(box.clientWidth, 200), most), reading)));
  const resized = new ResizeObserver(draw);
  resized.observe(box);
  whenThemed(box, draw);
  return h("figure", { class: "chart", data: { chart: "map" } }, h("figcaption", {}, t("map.title")), box, reading,
    h("p", { class: "hint soft" }, t("map.reads"), one.outside ? ` ${t("map.outside")}` : ""));
}

function triangle(one, width, reading) {
  const [left, bottom, right, top] = one.box, scale = width / (right - left), height = (top - bottom) * scale;
  const at = ([x, y]) => [(x - left) * scale, (top - y) * scale];
  const line = (points) => points.map((point, index) => `${index ? "L" : "M"}${at(point).join(" ")}`).join("");
  const all = one.marks.map((mark) => { const [x, y] = at(mark.at); return { mark, x, y, r: SIZES[mark.kind] ?? 5, colour: SHADES[mark.kind] ?? "even" }; });
  const plain = ({ mark }) => !["rule", "best", "chosen", "now"].includes(mark.kind), many = all.filter(plain).length > MANY;
  const look = (event) => { const best = nearest(all, event); if (best) reading.textContent = best.mark.text; };
  const picture = s("svg", { width, height, class: "ternary", role: "img", "aria-label": `${t("map.about")} ${one.marks.map((mark) => mark.text).slice(0, 40).join("; ")}`, on: { pointermove: look } },
    one.grid.map((segment) => s("path", { d: line(segment), class: "rule" })),
    s("path", { d: line(one.outline), class: "rule axis" }),
    all.filter((each) => !many || !plain(each)).map(({ mark, x, y, r }) => s("g", { class: `dot ${mark.kind}` },
      mark.kind === "rule" ? s("path", { d: `M${x} ${y - 7}l7 7l-7 7l-7 -7z` }) : s("circle", { cx: x, cy: y, r }))),
    one.labels.map((label) => {
      const [x, y] = at(label.at), [across, up] = label.side;
      return s("text", { x: x + across * 11, y: y - up * 12 + 4, class: across ? (across > 0 ? "" : "end") : "middle" }, label.text);
    }));
  return [many ? drawnPoints(all.filter(plain).map((each) => ({ ...each, r: 2.5 })), width, height) : null, picture];
}
