// C of Y = CX on a canvas: a square for each entry, a colour for each weight; rows are outputs, columns input pixels.

import { colorOf, h, put } from "./dom.js";
import { read, write } from "./place.js";
import { post } from "./server.js";
import { t } from "./words.js";

const LARGEST = 22, NUMBERED = 16, MARGIN = 1;

export async function matrixView(box, layer, settings, on) {
  const numbers = new Int32Array(await dataOf(settings));
  const [rows, columns, count] = numbers, entries = numbers.subarray(3), facts = layer.matrix;
  const transposed = () => read("c") === "t";
  const canvas = h("canvas", { id: "c", tabindex: 0, role: "img", on: { pointermove: point, pointerleave: on.leave, keydown: key } });
  const where = h("output", { id: "entry" });
  const flip = (value) => { write({ c: value === "t" ? "t" : "" }); build(); };
  const buttons = [["", "C"], ["t", "Cᵀ"]].map(([value, text]) => h("button", { type: "button", data: { c: value }, on: { click: () => flip(value) } }, text));
  put(box,
    h("h2", {}, t("matrix")),
    h("p", { class: "soft", id: "matrix-facts" }, t("matrix.facts", { rows, columns, count, distinct: facts.distinct_weights, share: Math.round(facts.sparsity * 1000) / 10 })),
    h("div", { class: "actions" }, buttons, where),
    h("div", { class: "scroll" }, canvas));

  let size = 1, base = null, cursor = [0, 0];
  const at = new Map();
  for (let n = 0; n < count; n++) at.set(entries[3 * n] * columns + entries[3 * n + 1], entries[3 * n + 2]);

  const turn = (row, column) => (transposed() ? [column, row] : [row, column]);

  function build() {
    const [high, wide] = turn(rows, columns);
    size = Math.max(1, Math.min(LARGEST, Math.floor((box.clientWidth - 2) / wide)));
    canvas.width = wide * size + 2 * MARGIN;
    canvas.height = high * size + 2 * MARGIN;
    canvas.setAttribute("aria-label", t(transposed() ? "matrix.about.t" : "matrix.about", { rows: high, columns: wide }));
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.c === (transposed() ? "t" : "")));
    base = new OffscreenCanvas(canvas.width, canvas.height);
    const pen = base.getContext("2d");
    pen.fillStyle = colorOf("--panel");
    pen.fillRect(0, 0, base.width, base.height);
    const gap = size > 5 ? 1 : 0;
    pen.font = `${Math.min(12, size * 0.55)}px system-ui, sans-serif`;
    pen.textAlign = "center"; pen.textBaseline = "middle";
    for (let n = 0; n < count; n++) {
      const [row, column] = turn(entries[3 * n], entries[3 * n + 1]), weight = entries[3 * n + 2];
      const x = MARGIN + column * size, y = MARGIN + row * size;
      pen.fillStyle = facts.colors[weight];
      pen.fillRect(x, y, size - gap, size - gap);
      if (size >= NUMBERED && facts.colors.length <= 999) { pen.fillStyle = "#000"; pen.fillText(String(weight), x + size / 2, y + size / 2 + 0.5); }
    }
    paint(last);
  }

  let last = { row: 0, hot: null };
  /** The row of the chosen output if there is one, the column of the pixel and all entries of the weight under the pointer. */
  function paint(now) {
    last = now;
    const pen = canvas.getContext("2d"), ink = colorOf("--ink"), [high, wide] = turn(rows, columns);
    pen.drawImage(base, 0, 0);
    pen.lineWidth = 2;
    const band = (row, column) => {
      const [r, c] = turn(row, column);
      if (r !== null) pen.strokeRect(1, MARGIN + r * size, wide * size, size);
      else pen.strokeRect(MARGIN + c * size, 1, size, high * size);
    };
    pen.strokeStyle = colorOf("--chosen");
    if (now.row !== null) band(now.row, null);
    pen.strokeStyle = ink;
    if (now.hot?.pixel !== undefined) { pen.setLineDash([4, 3]); band(null, now.hot.pixel); pen.setLineDash([]); }
    if (now.hot?.weight !== undefined && now.hot.weight !== null) {
      for (let n = 0; n < count; n++) if (entries[3 * n + 2] === now.hot.weight) {
        const [row, column] = turn(entries[3 * n], entries[3 * n + 1]);
        pen.strokeRect(MARGIN + column * size + 1, MARGIN + row * size + 1, Math.max(size - 3, 1), Math.max(size - 3, 1));
      }
    }
    if (document.activeElement === canvas) {
      const [r, c] = turn(...cursor);
      pen.strokeRect(MARGIN + c * size, MARGIN + r * size, size, size);
    }
  }

  function show(row, column) {
    cursor = [row, column];
    const weight = at.get(row * columns + column) ?? null;
    where.textContent = t(weight === null ? "matrix.blank" : "matrix.entry", { row, column, weight });
    on.entry(row, column, weight);
  }
  function point(event) {
    const frame = canvas.getBoundingClientRect(), [high, wide] = turn(rows, columns);
    const r = Math.floor((event.clientY - frame.top - MARGIN) / size), c = Math.floor((event.clientX - frame.left - MARGIN) / size);
    if (r >= 0 && c >= 0 && r < high && c < wide) show(...turn(r, c));
  }
  function key(event) {
    const move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!move) return;
    event.preventDefault();
    const [down, right] = turn(...move);
    show(Math.min(Math.max(cursor[0] + down, 0), rows - 1), Math.min(Math.max(cursor[1] + right, 0), columns - 1));
  }

  build();
  return { paint, again: build };
}

async function dataOf(settings) {
  const answer = await post("matrix", settings);
  if (!(answer instanceof ArrayBuffer)) throw new Error(answer.error.message);
  return answer;
}
