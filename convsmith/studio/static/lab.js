// The convolution lab: settings, the three grids, the walk of the window, the products, and the matrix C.

import { byId, h, labelled, onDemand, put, say, select, table } from "./dom.js";
import { grids, paint } from "./grids.js";
import { formula } from "./math.js";
import { matrixView } from "./matrix.js";
import { read, write } from "./place.js";
import { newest, post } from "./server.js";
import { paintStamps, stampCount, stampGrids, stampOf, stepOf } from "./stamps.js";
import { store } from "./store.js";
import { t, translated } from "./words.js";

const KINDS = ["conv", "transposed", "max", "average"];
const FIELDS = ["input", "kernel", "stride", "padding", "dilation", "groups", "out_channels", "output_padding"];
const ONLY_CONV = ["groups", "out_channels", "output_padding"];
const FLAGS = ["ceil", "inside", "global"];
const ALL = ["layer", ...FIELDS, ...FLAGS, "seed"];
const FIRST = { layer: "conv", input: "4x4", kernel: "3", stride: "1", padding: "0", dilation: "1", groups: "1" };
const DEFAULTS = { padding: "0", dilation: "1", groups: "1", output_padding: "0" };
const PRESETS = {
  tutorial: FIRST,
  same: { ...FIRST, input: "5x5", padding: "1" },
  strided: { ...FIRST, input: "6x6", stride: "2" },
  dilated: { ...FIRST, input: "7x7", dilation: "2" },
  fraction: { ...FIRST, input: "3x3", stride: "1/2", padding: "1" },
  transposed: { ...FIRST, layer: "transposed", input: "3x3", stride: "2", padding: "1", output_padding: "1" },
  checkerboard: { ...FIRST, layer: "transposed", input: "4x4", kernel: "3", stride: "2" },
  pointwise: { ...FIRST, input: "3x4x4", kernel: "1", out_channels: "2" },
  depthwise: { ...FIRST, input: "3x5x5", groups: "3", padding: "1" },
  max: { layer: "max", input: "5x5", kernel: "2", stride: "2" },
  average: { layer: "average", input: "4x4", kernel: "2", stride: "2" },
};
const WINDOWS = ["Conv2d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d", "GlobalAvgPool", "GlobalMaxPool"];
const SPEEDS = [["1200", "½"], ["600", "1"], ["200", "3"]];
const READINGS = [["", "zeros"], ["stamps", "stamps"]]; // of a transposed convolution
const PAUSE = 80;
const MOST_PRODUCTS = 60;

export function labView(main) {
  let windows = [], answer = null, chosen = { channel: 0, plane: 0, at: 0 }, hot = null, playing = 0, waiting = 0, matrix = null, built = 0, stamps = false, left = false;
  const settings = () => {
    const asked = Object.fromEntries(ALL.filter((key) => read(key)).map((key) => [key, read(key)]));
    return asked.layer ? asked : { ...FIRST, ...asked };
  };
  /** Whether a transposed convolution is shown as stamps, not as a window over inserted zeros. */
  const stamping = () => stamps && Boolean(answer?.drawn?.stamps);
  const steps = () => (stamping() ? stampCount(answer.drawn) : answer.drawn.output[1] * answer.drawn.output[2]);
  const explain = newest((values) => post("lab", values));

  function change(values, whole = false) {
    write({ ...(whole ? Object.fromEntries(ALL.map((key) => [key, ""])) : {}), ...values, at: "" });
    clearTimeout(waiting);
    if (whole) form();
    waiting = setTimeout(load, whole ? 0 : PAUSE);
  }

  /** The layers of the design that have a window, for the list to choose from. */
  async function findWindows() {
    const found = store.good && (await post("operators", { text: store.good.text, block: "" }));
    if (!found?.ok || left) return;
    windows = found.operators.filter(({ op }) => WINDOWS.includes(op)).map(({ name, op }) => [name, `${name}: ${op}`]);
    byId("from-design").replaceWith(loader());
  }

  const loader = () => select([["", t("lab.choose")], ...windows], "", fromDesign, { id: "from-design" });

  async function fromDesign(name) {
    if (!name) return;
    const found = await post("settings", { text: store.text, layer: name });
    if (found.ok) change(found.settings, true); else fail(found.error);
  }

  function form() {
    const now = settings(), conv = now.layer === "conv" || now.layer === "transposed";
    const text = (key) => labelled(t(`lab.${key}`), h("input", {
      type: "text", id: `lab-${key}`, size: key === "input" ? 9 : 5, value: now[key] ?? "", placeholder: DEFAULTS[key] ?? "",
      on: { input: (event) => change({ layer: settings().layer, [key]: event.target.value }), keydown: (event) => bump(event, key) },
    }));
    const flag = (key) => labelled(t(`lab.${key}`), h("input", { type: "checkbox", checked: Boolean(now[key]), on: { change: (event) => { change({ layer: settings().layer, [key]: event.target.checked ? "1" : "" }); form(); } } }));
    const shown = FIELDS.filter((key) => (conv ? key !== "output_padding" || now.layer === "transposed" || (now.stride ?? "").includes("/") : !ONLY_CONV.includes(key) && !(key === "dilation" && now.layer === "average") && !(now.global && key !== "input")));
    put(byId("settings"),
      labelled(t("lab.preset"), select([["", t("lab.choose")], ...Object.keys(PRESETS).map((name) => [name, t(`preset.${name}`)])], "", (name) => name && change(PRESETS[name], true), { id: "preset" })),
      labelled(t("lab.load"), loader()),
      labelled(t("lab.layer"), select(KINDS.map((kind) => [kind, t(`kind.${kind}`)]), now.layer, (kind) => { change({ ...now, layer: kind }); form(); }, { id: "kind" })),
      shown.map(text), conv ? null : [flag("global"), now.global ? null : [flag("ceil"), now.layer === "average" ? flag("inside") : null]],
      h("button", { type: "button", id: "dice", on: { click: () => change({ layer: settings().layer, seed: String(1 + Math.floor(Math.random() * 9999)) }) } }, t("lab.dice")));
  }

  /** Arrow up and down change a single whole number. */
  function bump(event, key) {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || !/^\d+(x\d+)*$/.test(event.target.value)) return;
    event.preventDefault();
    const parts = event.target.value.split("x").map(Number), first = key === "input" && parts.length === 3 ? 1 : 0;
    event.target.value = parts.map((part, index) => (index < first ? part : Math.max(0, part + by))).join("x");
    change({ layer: settings().layer, [key]: event.target.value });
  }

  main.append(
    h("form", { id: "settings", class: "controls", "aria-label": t("lab.settings"), on: { submit: (event) => event.preventDefault() } }),
    h("div", { id: "fault" }),
    h("div", { id: "facts" }),
    h("div", { id: "reading", class: "actions", role: "group", "aria-label": t("reading") }),
    h("div", { class: "timeline", role: "group", "aria-label": t("lab.walk") },
      h("button", { type: "button", id: "back", "aria-label": t("lab.back"), on: { click: () => step(-1) } }, "◀"),
      h("button", { type: "button", id: "play", on: { click: () => play(!playing) } }, t("lab.play")),
      h("button", { type: "button", id: "forth", "aria-label": t("lab.forth"), on: { click: () => step(1) } }, "▶"),
      h("input", { type: "range", id: "time", min: 0, value: 0, "aria-label": t("lab.time"), on: { input: (event) => seek(Number(event.target.value)) } }),
      labelled(t("lab.speed"), select(SPEEDS, "600", () => { if (playing) { play(false); play(true); } }, { id: "speed" }))),
    h("div", { id: "products", role: "status", "aria-label": t("lab.products") }),
    h("div", { id: "grids" }),
    h("section", { id: "matrix", "aria-label": t("matrix") }),
    h("details", { id: "reads" }, h("summary", {}, t("numbers")), h("div", {})),
  );

  const fail = (error) => put(byId("fault"), h("p", { role: "alert", class: "error" }, h("b", {}, error.rule), error.received ? h("span", {}, t("received", { value: error.received })) : null, error.remedy ? h("span", { class: "remedy" }, error.remedy) : null));

  async function load() {
    const asked = settings(), found = await explain(asked);
    if (!found || left) return;
    if (!found.ok) return fail(found.error); // the last good layer stays
    put(byId("fault"));
    play(false);
    answer = found;
    stamps = read("v") === "stamps";
    const last = answer.drawn ? steps() - 1 : 0;
    chosen = { channel: 0, plane: 0, at: Math.min(Number(read("at", "0")) || 0, last) };
    hot = null;
    facts();
    readings();
    if (answer.drawn) {
      build();
      matrix = answer.drawn.matrix ? await matrixView(byId("matrix"), answer.drawn, asked, { entry, leave: () => over(null) }) : null;
    }
    if (!answer.drawn) put(byId("grids"));
    if (!matrix) put(byId("matrix"), answer.drawn ? h("p", { class: "soft" }, t("matrix.none")) : "");
    reads();
    draw();
    byId("grids").dataset.shown = new URLSearchParams({ ...asked, v: read("v") }); // what the grids stand for, once they are there
  }

  function facts() {
    const { facts: one, drawn, reduced } = answer;
    const said = (name) => answer.formulas[name] && formula(translated(answer.formulas[name]));
    const lost = [...one.dropped.rows.length ? [t("dropped.rows", { places: one.dropped.rows.join(", ") })] : [], ...one.dropped.columns.length ? [t("dropped.columns", { places: one.dropped.columns.join(", ") })] : []];
    const pairs = [
      ["size", said("size") ?? one.formula], ["output", one.output_shape.join(" × ")], ["dropped", lost.join("; ") || t("dropped.none")],
      ["params", said("params") ?? String(one.params)], [one.macs ? "macs" : "pooled", said("taps") ?? said("pool") ?? String(one.macs)], ["connections", `${one.connections} (${t("dense", { dense: one.dense.connections })})`],
      ["field", said("field") ?? one.receptive_field.size.join(" × ")], ...("overlap" in one ? [["overlap", `${one.overlap.rows.slice(0, 12).join(" ")}${one.overlap.even ? "" : ` · ${t("uneven")}`}`]] : []),
    ];
    put(byId("facts"),
      h("dl", { class: "facts formulas" }, pairs.map(([key, text]) => h("div", {}, h("dt", {}, t(`fact.${key}`)), h("dd", { data: { fact: key } }, text)))),
      reduced ? h("p", { class: "note" }, drawn ? t("lab.reduced", { size: drawn.input.join(" × ") }) : t("lab.large")) : "");
  }

  function readings() {
    put(byId("reading"), answer.drawn?.stamps ? READINGS.map(([value, name]) => h("button", {
      type: "button", data: { reading: name }, "aria-pressed": String(stamping() === (value !== "")),
      on: { click: () => { write({ v: value, at: "" }); stamps = value !== ""; chosen.at = 0; readings(); build(); draw(); byId("reading").querySelector(`[data-reading=${name}]`).focus(); } },
    }, t(`reading.${name}`))) : "");
  }

  function build() {
    byId("time").max = steps() - 1;
    byId("time").setAttribute("aria-label", t(stamping() ? "lab.time.stamps" : "lab.time"));
    if (stamping()) stampGrids(byId("grids"), answer.drawn, chosen, { seek, pick, plane: () => chosen.plane });
    else grids(byId("grids"), answer.drawn, chosen, { seek, over, pick });
    built = stamping() ? stampOf(answer.drawn, chosen).channel : 0;
  }

  /** What the chosen output reads: the products, in the order in which the window has them. */
  function terms() {
    const one = answer.drawn, [, , wide] = one.output, [high, across] = one.input.slice(1);
    const row = Math.floor(chosen.at / wide), column = chosen.at % wide, found = [];
    const each = one.combines === "sum" ? one.tap_shape[1] : 1, made = one.output[0] / one.groups;
    for (let k = 0; k < each; k++) {
      const channel = one.combines === "sum" ? Math.floor(chosen.plane / made) * each + k : chosen.plane;
      for (const [i, y] of one.rows.reads[row]) for (const [j, x] of one.columns.reads[column]) {
        const place = ((chosen.plane * each + k) * one.rows.kernel + i) * one.columns.kernel + j;
        const pixel = (channel * high + y) * across + x;
        found.push({ channel, pixel, weight: one.combines === "sum" ? one.taps[place] : null, x: one.x[pixel], y, column: x });
      }
    }
    return { row, column, found, number: chosen.plane * one.output[1] * wide + chosen.at };
  }

  function products({ row, column, found, number }) {
    const one = answer.drawn, color = (weight) => (weight === null ? null : { "--weight": one.matrix.colors[weight] });
    const shown = found.slice(0, MOST_PRODUCTS).map(({ weight, x }, index) => [
      index ? (one.combines === "sum" ? " + " : ", ") : "",
      one.combines === "sum" ? h("span", { class: "product", css: color(weight) }, `${bracketed(one.weights[weight])}×${x}`) : h("span", { class: "product plain" }, String(x))]);
    const name = { sum: "", mean: `${t("mean")}(`, max: `${t("max")}(` }[one.combines];
    put(byId("products"),
      h("b", {}, `y(${row}, ${column}) = `), name, found.length ? shown : one.combines === "sum" ? "0" : "–",
      found.length > MOST_PRODUCTS ? t("more.products", { count: found.length - MOST_PRODUCTS }) : "", name ? ")" : "", " = ",
      h("output", { id: "value" }, one.y[number]));
  }

  function stamped(now, same) {
    const one = answer.drawn, left = stampCount(one) - 1 - chosen.at, ends = (key) => [now.taps[0][key], now.taps.at(-1)[key]].join(" … ");
    put(byId("products"),
      h("b", {}, `x(${now.row}, ${now.column}) = ${now.value}: `),
      now.taps.slice(0, MOST_PRODUCTS).map(({ weight }, index) => [index ? ", " : "", h("span", { class: "product", css: { "--weight": one.matrix.colors[weight] } }, `${bracketed(one.weights[weight])}×${now.value}`)]),
      now.taps.length > MOST_PRODUCTS ? t("more.products", { count: now.taps.length - MOST_PRODUCTS }) : "",
      " ", t("stamp.places", { rows: ends("y"), columns: ends("x") }),
      h("p", { id: "agree", class: left || same ? "soft" : "warning" }, t(left ? "stamp.left" : same ? "stamp.same" : "stamp.other", { left })));
  }
  const bracketed = (value) => (value < 0 ? `(−${-value})` : String(value));

  const draw = onDemand(() => {
    if (!answer?.drawn || left) return;
    byId("time").value = chosen.at;
    if (stamping()) {
      const stamp = stampOf(answer.drawn, chosen);
      if (stamp.channel !== built) build();
      stamped(stamp, paintStamps(byId("grids"), answer.drawn, chosen));
      matrix?.paint({ row: null, hot: { pixel: stamp.pixel } });
      return;
    }
    const now = terms();
    products(now);
    paint(byId("grids"), answer.drawn, chosen, now, hot);
    matrix?.paint({ row: now.number, hot });
  });

  function seek(at) {
    if (!answer?.drawn) return;
    chosen.at = Math.min(Math.max(at, 0), steps() - 1);
    write({ at: chosen.at || "" });
    draw();
  }
  function step(by) {
    if (!answer?.drawn) return;
    seek((chosen.at + by + steps()) % steps());
  }
  function play(on) {
    clearInterval(playing);
    playing = on ? setInterval(() => step(1), Number(byId("speed").value)) : 0;
    byId("play").textContent = t(on ? "lab.pause" : "lab.play");
    byId("play").setAttribute("aria-pressed", String(on));
  }
  /** An input pixel or a weight under the pointer; null where there is none. */
  function over(what) { hot = what; draw(); }
  function pick(change) {
    Object.assign(chosen, change);
    if (stamping()) chosen.at = "channel" in change ? stepOf(answer.drawn, chosen.plane, change.channel * answer.drawn.input[1] * answer.drawn.input[2]) : 0;
    build();
    draw();
  }
  /** An entry of C: its row is an output, its column an input pixel. */
  function entry(row, column, weight) {
    const one = answer.drawn, size = one.output[1] * one.output[2];
    const plane = Math.floor(row / size), inside = Math.floor(column / (one.input[1] * one.input[2]));
    const step = stepOf(one, plane, column), moved = plane !== chosen.plane || inside !== chosen.channel;
    if (stamping() && step < 0) return;
    Object.assign(chosen, { plane, channel: inside, at: stamping() ? step : row % size });
    if (moved) build();
    hot = { pixel: column, weight };
    say(t(weight === null ? "matrix.blank" : "matrix.entry", { row, column, weight }));
    draw();
  }

  function reads() {
    const one = answer.drawn;
    put(byId("reads").lastChild, one ? table(t("reads.about"), [t("reads.output"), t("reads.rows"), t("reads.columns")],
      Array.from({ length: Math.max(one.rows.reads.length, one.columns.reads.length) }, (_, index) => [String(index), ...[one.rows, one.columns].map((axis) => (axis.reads[index] ?? []).map(([, pixel]) => pixel).join(", ") || "–")])) : "");
  }

  form();
  load();
  findWindows();
  const themed = () => { matrix?.again(); draw(); };
  addEventListener("themed", themed);
  return () => { left = true; play(false); clearTimeout(waiting); removeEventListener("themed", themed); };
}
