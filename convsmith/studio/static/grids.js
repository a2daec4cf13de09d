// The three grids of the lab: input with its padding and blanks, kernel, output. Built once for a layer, then painted.

import { entered, h, put, s, select } from "./dom.js";
import { t } from "./words.js";

const LARGEST = 38, SMALLEST = 15;

/** Every place of the line that the window slides over: the number of its pixel, or null for padding and blanks. */
function line(axis, size) {
  const before = Math.max(axis.before, 0), after = Math.max(axis.after, 0), end = (size - 1) * axis.gap + 1;
  return Array.from({ length: before + end + after }, (_, index) => {
    const place = index - before;
    return { place, pixel: place >= 0 && place < end && place % axis.gap === 0 ? place / axis.gap : null };
  });
}

export const side = (box, columns, parts) => Math.max(SMALLEST, Math.min(LARGEST, Math.floor((box.clientWidth / parts - 24) / Math.max(columns, 1))));

export function grids(box, layer, chosen, on) {
  const rows = line(layer.rows, layer.input[1]), columns = line(layer.columns, layer.input[2]);
  const parts = box.clientWidth < 620 ? 1 : 2.6;
  const cell = side(box, columns.length, parts), outside = side(box, layer.output[2], parts);
  const each = layer.combines === "sum" ? layer.tap_shape[1] : 1, made = layer.output[0] / layer.groups;
  const first = Math.floor(chosen.plane / made) * each; // the first input channel that this output reads
  if (layer.combines === "sum" && (chosen.channel < first || chosen.channel >= first + each)) chosen.channel = first;
  if (layer.combines !== "sum") chosen.channel = chosen.plane;
  const inputs = layer.combines === "sum" ? Array.from({ length: each }, (_, k) => first + k) : [chosen.channel];
  put(box,
    figure(t(layer.stamps ? "grid.input.zeros" : "grid.input"), inputs.length > 1 ? channels("channel", inputs, chosen.channel, on) : null, input(layer, chosen, rows, columns, cell, on)),
    layer.combines === "sum" ? figure(t("grid.kernel"), null, kernel(layer, chosen, Math.min(cell, LARGEST), on)) : null,
    figure(t("grid.output"), layer.output[0] > 1 ? channels("plane", [...Array(layer.output[0]).keys()], chosen.plane, on) : null, output(layer, chosen, outside, on)));
}

export const figure = (name, chooser, picture) => h("figure", {}, h("figcaption", {}, name, chooser), h("div", { class: "scroll" }, picture));
export const channels = (key, numbers, chosen, on) => select(numbers.map((one) => [String(one), t("channel", { number: one })]), String(chosen), (value) => on.pick({ [key]: Number(value) }), { "aria-label": t("channel.choose") });

export function square(x, y, size, kind, text, properties = {}) {
  return s("g", { class: `cell ${kind}`, ...properties },
    s("rect", { x: x * size + 1, y: y * size + 1, width: size - 2, height: size - 2, rx: 2 }),
    text === null ? null : s("text", { x: (x + 0.5) * size, y: (y + 0.5) * size, "font-size": Math.min(14, size * 0.5) }, text));
}

function input(layer, chosen, rows, columns, size, on) {
  const [, high, wide] = layer.input, lost = layer.dropped;
  const cells = rows.flatMap((row, y) => columns.map((column, x) => {
    const real = row.pixel !== null && column.pixel !== null;
    if (!real) {
      const inside = row.place >= 0 && column.place >= 0 && row.place <= (high - 1) * layer.rows.gap && column.place <= (wide - 1) * layer.columns.gap;
      return square(x, y, size, inside ? "blank" : "padding", "·", { data: { place: `${row.place} ${column.place}` } });
    }
    const pixel = (chosen.channel * high + row.pixel) * wide + column.pixel;
    const dropped = lost.rows.includes(row.pixel) || lost.columns.includes(column.pixel);
    return square(x, y, size, dropped ? "pixel dropped" : "pixel", String(layer.x[pixel]), {
      data: { place: `${row.place} ${column.place}`, pixel }, on: { pointerenter: entered(() => on.over({ pixel })), pointerleave: () => on.over(null) },
    });
  }));
  const marks = cells.length && (lost.rows.length || lost.columns.length) ? lostMarks(rows, columns, lost, size) : null;
  return s("svg", { class: "grid input", width: columns.length * size, height: rows.length * size, role: "img", "aria-label": t("grid.input.about", { size: `${high} × ${wide}` }) }, cells, marks);
}

/** A cross over each pixel that no window reads, so that colour is not needed to tell. */
function lostMarks(rows, columns, lost, size) {
  let path = "";
  rows.forEach((row, y) => columns.forEach((column, x) => {
    if (row.pixel === null || column.pixel === null || !(lost.rows.includes(row.pixel) || lost.columns.includes(column.pixel))) return;
    path += `M${x * size + 4} ${y * size + 4}l${size - 8} ${size - 8}m0 ${8 - size}l${8 - size} ${size - 8}`;
  }));
  return s("path", { d: path, class: "cross" });
}

function kernel(layer, chosen, size, on) {
  const [, each, high, wide] = layer.tap_shape, made = layer.output[0] / layer.groups;
  const k = chosen.channel - Math.floor(chosen.plane / made) * each, cells = [];
  for (let i = 0; i < high; i++) for (let j = 0; j < wide; j++) {
    const weight = layer.taps[((chosen.plane * each + k) * high + i) * wide + j], value = layer.weights[weight];
    cells.push(square(j, i, size, "weight", value < 0 ? `−${-value}` : String(value), {
      css: { "--weight": layer.matrix.colors[weight] }, data: { weight }, on: { pointerenter: entered(() => on.over({ weight })), pointerleave: () => on.over(null) },
    }));
  }
  return s("svg", { class: "grid kernel", width: wide * size, height: high * size, role: "img", "aria-label": t("grid.kernel.about", { size: `${high} × ${wide}` }) }, cells);
}

function output(layer, chosen, size, on) {
  const [, high, wide] = layer.output, cells = [];
  for (let at = 0; at < high * wide; at++) {
    const row = Math.floor(at / wide), column = at % wide;
    cells.push(square(column, row, size, "output", layer.y[chosen.plane * high * wide + at], {
      role: "button", tabindex: at === chosen.at ? 0 : -1, "aria-label": t("grid.cell", { row, column, value: layer.y[chosen.plane * high * wide + at] }),
      data: { at, row, column },
      on: {
        pointerenter: entered(() => on.seek(at)), focus: () => on.seek(at), click: () => on.seek(at),
        keydown: (event) => {
          const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + wide, ArrowUp: at - wide, Home: 0, End: high * wide - 1 }[event.key];
          if (to === undefined) return;
          event.preventDefault();
          event.currentTarget.ownerSVGElement.querySelector(`[data-at="${Math.min(Math.max(to, 0), high * wide - 1)}"]`).focus();
        },
      },
    }));
  }
  return s("svg", { class: "grid output", width: wide * size, height: high * size, role: "group", "aria-label": t("grid.output.about", { size: `${high} × ${wide}` }) }, cells);
}

/** Mark what belongs to the chosen output, and to the pixel or weight under the pointer. */
export function paint(box, layer, chosen, now, hot) {
  const weights = new Map(now.found.filter((one) => one.channel === chosen.channel).map((one) => [one.pixel, one.weight]));
  const taps = new Set();
  for (let i = 0; i < layer.rows.kernel; i++) for (let j = 0; j < layer.columns.kernel; j++) {
    taps.add(`${now.row * layer.rows.step - layer.rows.before + i * layer.rows.dilation} ${now.column * layer.columns.step - layer.columns.before + j * layer.columns.dilation}`);
  }
  for (const cell of box.querySelectorAll(".input .cell")) {
    const pixel = cell.dataset.pixel === undefined ? null : Number(cell.dataset.pixel), weight = pixel === null ? undefined : weights.get(pixel);
    cell.classList.toggle("tap", taps.has(cell.dataset.place));
    cell.classList.toggle("read", weight !== undefined);
    cell.classList.toggle("hot", hot?.pixel !== undefined && pixel === hot.pixel);
    if (weight !== undefined && weight !== null) cell.style.setProperty("--weight", layer.matrix.colors[weight]);
    else cell.style.removeProperty("--weight");
  }
  for (const cell of box.querySelectorAll(".kernel .cell")) cell.classList.toggle("hot", hot?.weight !== undefined && Number(cell.dataset.weight) === hot.weight);
  const reached = hot?.pixel === undefined ? new Set() : outputsOf(layer, chosen, hot.pixel);
  for (const cell of box.querySelectorAll(".output .cell")) {
    const at = Number(cell.dataset.at);
    cell.classList.toggle("chosen", at === chosen.at);
    cell.classList.toggle("reached", reached.has(at));
    cell.setAttribute("tabindex", at === chosen.at ? 0 : -1);
  }
}

/** The outputs that read an input pixel. */
function outputsOf(layer, chosen, pixel) {
  const [, high, wide] = layer.input, across = layer.output[2], found = new Set();
  if (Math.floor(pixel / (high * wide)) !== chosen.channel) return found;
  const y = Math.floor(pixel / wide) % high, x = pixel % wide;
  layer.rows.reads.forEach((row, r) => { if (row.some(([, one]) => one === y)) layer.columns.reads.forEach((column, c) => { if (column.some(([, one]) => one === x)) found.add(r * across + c); }); });
  return found;
}
