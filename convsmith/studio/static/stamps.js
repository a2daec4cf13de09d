// The transposed convolution as stamps: every pixel times the kernel is added to the output, `stride` places apart.
// It is the other reading of the window that slides over inserted zeros, and ends with the same numbers.

import { channels, figure, side, square } from "./grids.js";
import { entered, put, s } from "./dom.js";
import { t } from "./words.js";

const LARGEST = 38;

const each = (layer) => layer.tap_shape[1];
const firstOf = (layer, plane) => Math.floor(plane / (layer.output[0] / layer.groups)) * each(layer);
const pixels = (layer) => layer.input[1] * layer.input[2];

/** How many stamps make one output channel: the pixels of all channels that it reads. */
export const stampCount = (layer) => each(layer) * pixels(layer);

/** The step in which a pixel, counted over all channels, is stamped on an output channel; -1 if it never is. */
export function stepOf(layer, plane, pixel) {
  const step = pixel - firstOf(layer, plane) * pixels(layer);
  return step >= 0 && step < stampCount(layer) ? step : -1;
}

/** Where the stamps of the first pixel begin along an axis: above or left of the output if padding cuts them off. */
const begin = (axis) => axis.before - (axis.kernel - 1) * axis.dilation;

/** What is drawn along an axis: the output, and what padding cuts off around it. */
function span(axis, size, out) {
  const last = begin(axis) + (size - 1) * axis.gap + (axis.kernel - 1) * axis.dilation;
  return { first: Math.min(begin(axis), 0), count: Math.max(last + 1, out) - Math.min(begin(axis), 0) };
}

/** One stamp: the pixel, and each weight of the kernel as it is stored with the place that it is added to. */
export function stampOf(layer, chosen) {
  const [, high, wide] = layer.input, k = Math.floor(chosen.at / (high * wide)), inside = chosen.at % (high * wide);
  const row = Math.floor(inside / wide), column = inside % wide, channel = firstOf(layer, chosen.plane) + k;
  const pixel = channel * high * wide + inside, { rows, columns } = layer, taps = [];
  for (let i = 0; i < rows.kernel; i++) for (let j = 0; j < columns.kernel; j++) {
    taps.push({ weight: weightAt(layer, chosen.plane, k, i, j), y: begin(rows) + row * rows.gap + i * rows.dilation, x: begin(columns) + column * columns.gap + j * columns.dilation });
  }
  return { channel, row, column, pixel, value: layer.x[pixel], taps };
}

/** The number of a weight in the kernel as it is stored; as it slides, it is turned by half. */
const weightAt = (layer, plane, k, i, j) =>
  layer.taps[((plane * each(layer) + k) * layer.rows.kernel + layer.rows.kernel - 1 - i) * layer.columns.kernel + layer.columns.kernel - 1 - j];

/** Sums and numbers of stamps at every drawn place once the stamps up to the chosen one are added. */
function sums(layer, chosen) {
  const rows = span(layer.rows, layer.input[1], layer.output[1]), columns = span(layer.columns, layer.input[2], layer.output[2]);
  const total = new Int32Array(rows.count * columns.count), times = new Int32Array(total.length);
  for (let at = 0; at <= chosen.at; at++) {
    const { value, taps } = stampOf(layer, { plane: chosen.plane, at });
    for (const { weight, y, x } of taps) {
      const place = (y - rows.first) * columns.count + x - columns.first;
      total[place] += value * layer.weights[weight];
      times[place] += 1;
    }
  }
  return { rows, columns, total, times };
}

const written = (value) => (value < 0 ? `−${-value}` : String(value));

export function stampGrids(box, layer, chosen, on) {
  const [, high, wide] = layer.input, columns = span(layer.columns, wide, layer.output[2]), parts = box.clientWidth < 620 ? 1 : 2.6;
  const now = stampOf(layer, chosen), first = firstOf(layer, chosen.plane), size = side(box, wide, parts);
  const inputs = Array.from({ length: each(layer) }, (_, k) => first + k);
  put(box,
    figure(t("grid.input"), inputs.length > 1 ? channels("channel", inputs, now.channel, on) : null, input(layer, now, size, on)),
    figure(t("grid.kernel.stored"), null, kernel(layer, chosen, Math.min(size, LARGEST))),
    figure(t("grid.stamped"), layer.output[0] > 1 ? channels("plane", [...Array(layer.output[0]).keys()], chosen.plane, on) : null, output(layer, chosen, side(box, columns.count, parts))));
}

function input(layer, now, size, on) {
  const [, high, wide] = layer.input, base = now.channel * high * wide, cells = [];
  const go = (inside, focus) => { on.seek(stepOf(layer, on.plane(), base + inside)); if (focus) document.querySelector(`.grid.input [data-pixel="${base + inside}"]`)?.focus(); };
  for (let inside = 0; inside < high * wide; inside++) {
    const row = Math.floor(inside / wide), column = inside % wide, value = layer.x[base + inside];
    cells.push(square(column, row, size, "pixel", String(value), {
      role: "button", tabindex: base + inside === now.pixel ? 0 : -1, "aria-label": t("grid.cell", { row, column, value }), data: { place: `${row} ${column}`, pixel: base + inside },
      on: {
        pointerenter: entered(() => go(inside)), click: () => go(inside),
        keydown: (event) => {
          const to = { ArrowRight: inside + 1, ArrowLeft: inside - 1, ArrowDown: inside + wide, ArrowUp: inside - wide, Home: 0, End: high * wide - 1 }[event.key];
          if (to === undefined) return;
          event.preventDefault();
          go(Math.min(Math.max(to, 0), high * wide - 1), true);
        },
      },
    }));
  }
  return s("svg", { class: "grid input", width: wide * size, height: high * size, role: "group", "aria-label": t("grid.input.about", { size: `${high} × ${wide}` }) }, cells);
}

function kernel(layer, chosen, size) {
  const [, , high, wide] = layer.tap_shape, k = Math.floor(chosen.at / pixels(layer)), cells = [];
  for (let i = 0; i < high; i++) for (let j = 0; j < wide; j++) {
    const weight = weightAt(layer, chosen.plane, k, i, j);
    cells.push(square(j, i, size, "weight", written(layer.weights[weight]), { css: { "--weight": layer.matrix.colors[weight] }, data: { weight } }));
  }
  return s("svg", { class: "grid kernel", width: wide * size, height: high * size, role: "img", "aria-label": t("grid.kernel.about", { size: `${high} × ${wide}` }) }, cells);
}

function output(layer, chosen, size) {
  const [, high, wide] = layer.output, { rows, columns } = sums(layer, chosen), cells = [];
  for (let y = rows.first; y < rows.first + rows.count; y++) for (let x = columns.first; x < columns.first + columns.count; x++) {
    const inside = y >= 0 && x >= 0 && y < high && x < wide;
    cells.push(square(x - columns.first, y - rows.first, size, inside ? "output stamped" : "padding", "0", { data: inside ? { at: y * wide + x, place: `${y} ${x}` } : { place: `${y} ${x}` } }));
  }
  return s("svg", { class: "grid output", width: columns.count * size, height: rows.count * size, role: "img", "aria-label": t("grid.stamped.about", { size: `${high} × ${wide}` }) }, cells);
}

/** Show the sums after the chosen stamp, and the stamp itself; gives whether they are those of the sliding window. */
export function paintStamps(box, layer, chosen) {
  const [, high, wide] = layer.output, { rows, columns, total, times } = sums(layer, chosen), now = stampOf(layer, chosen);
  const stamp = new Map(now.taps.map((tap) => [`${tap.y} ${tap.x}`, tap.weight])), most = Math.max(...times, 1);
  let same = true;
  for (const cell of box.querySelectorAll(".output .cell")) {
    const [y, x] = cell.dataset.place.split(" ").map(Number), place = (y - rows.first) * columns.count + x - columns.first, weight = stamp.get(cell.dataset.place);
    cell.lastChild.textContent = written(total[place]);
    cell.style.setProperty("--times", times[place] / most);
    cell.classList.toggle("tap", weight !== undefined);
    cell.classList.toggle("read", weight !== undefined);
    if (weight === undefined) cell.style.removeProperty("--weight"); else cell.style.setProperty("--weight", layer.matrix.colors[weight]);
    if (cell.dataset.at) same &&= written(total[place]) === layer.y[(chosen.plane * high) * wide + Number(cell.dataset.at)];
  }
  for (const cell of box.querySelectorAll(".input .cell")) {
    const pixel = Number(cell.dataset.pixel);
    cell.classList.toggle("chosen", pixel === now.pixel);
    cell.classList.toggle("done", pixel < now.pixel);
    cell.setAttribute("tabindex", pixel === now.pixel ? 0 : -1);
  }
  return same;
}
