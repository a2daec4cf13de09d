// The scale view: depth, width and resolution of the design as sliders, the rules beside them, and what was measured.

import { chart, ternary } from "./chart.js";
import { byId, h, labelled, onDemand, put, say, select } from "./dom.js";
import { read, write } from "./place.js";
import { newest, post } from "./server.js";
import { onChange, store, type } from "./store.js";
import { t } from "./words.js";

const AXES = ["depth", "width", "resolution"];
const OCTAVES = 2, STEP = 1 / 24; // a slider goes from a quarter to four times, in steps of about three per cent
const PAUSE = 350; // milliseconds of rest after which the slower iso-cost curves are asked for

export function scaleView(main) {
  let answer = null, waiting = 0, left = false;
  const factor = (axis) => { const value = Number(read(`s.${axis}`, "1")); return value > 0 ? value : 1; };
  const ask = newest((values) => post("scale", values)), askIso = newest((values) => post("iso", values)), askRun = newest((id) => post("evidence", { run: id }));
  const values = () => ({ text: store.text, ...Object.fromEntries(AXES.map((axis) => [axis, factor(axis)])), macs: read("s.macs") });
  const runs = store.session.runs;

  const number = (axis) => h("input", { type: "number", id: `scale-${axis}`, min: 0.05, max: 20, step: 0.01, value: factor(axis), on: { input: (event) => set(axis, Number(event.target.value), event.target) } });
  const slide = (axis) => h("input", { type: "range", id: `slide-${axis}`, min: -OCTAVES, max: OCTAVES, step: STEP, value: Math.log2(factor(axis)), "aria-label": t(`scale.${axis}`), on: { input: (event) => set(axis, Math.round(100 * 2 ** Number(event.target.value)) / 100, event.target) } });

  main.append(
    h("div", { id: "fault" }),
    h("div", { class: "beside" },
      h("div", {},
        h("fieldset", { class: "part" }, h("legend", {}, t("scale.factors")), AXES.map((axis) => labelled(t(`scale.${axis}`), number(axis), slide(axis))),
          h("div", { class: "actions" }, h("button", { type: "button", id: "scale-reset", on: { click: reset } }, t("scale.reset")), h("button", { type: "button", id: "scale-take", on: { click: () => take(answer?.design) } }, t("scale.take")))),
        h("div", { id: "scale-result", role: "status", "aria-label": t("scale.result") })),
      h("div", { id: "scale-map" })),
    h("div", { class: "controls" }, labelled(t("scale.budget"), h("input", { type: "text", id: "scale-macs", size: 8, value: read("s.macs"), placeholder: "–", on: { input: (event) => { write({ "s.macs": event.target.value.trim() }); update(); } } }))),
    h("div", { id: "rules" }),
    h("div", { id: "iso" }),
    h("section", { id: "measured" }));

  function set(axis, value, from) {
    if (!(value > 0)) return;
    write({ [`s.${axis}`]: value === 1 ? "" : value });
    if (from.type === "range") byId(`scale-${axis}`).value = value; else byId(`slide-${axis}`).value = Math.log2(value);
    update();
  }
  function reset() {
    write(Object.fromEntries(AXES.map((axis) => [`s.${axis}`, ""])));
    for (const axis of AXES) { byId(`scale-${axis}`).value = 1; byId(`slide-${axis}`).value = 0; }
    update();
  }
  function take(text) {
    if (!text) return;
    type(text);
    reset();
    say(t("scale.taken"));
  }

  async function update() {
    clearTimeout(waiting);
    const found = await ask(values());
    if (!found || left) return;
    put(byId("fault"), found.ok ? "" : h("p", { role: "alert", class: "error" }, found.error.message));
    byId("scale-take").disabled = !found.ok;
    if (!found.ok) return;
    answer = found;
    draw();
    waiting = setTimeout(iso, PAUSE);
  }

  async function iso() {
    const found = await askIso({ text: store.text, macs: read("s.macs") || answer.budget });
    if (!found || left) return;
    put(byId("iso"), found.ok ? chart(found.chart) : h("p", { class: "note" }, found.error.message));
  }

  const draw = onDemand(() => {
    if (!main.isConnected || left) return;
    const { before, after, times, factors, shares } = answer;
    put(byId("scale-result"),
      h("dl", { class: "facts" },
        ["macs", "params"].map((key) => h("div", {}, h("dt", {}, t(`metric.${key}`)), h("dd", { data: { scaled: key } }, `${before[key]} → ${after[key]} (× ${times[key]})`))),
        AXES.map((axis) => h("div", {}, h("dt", {}, t(`scale.${axis}`)), h("dd", {}, t("scale.share", { factor: factors[axis], share: shares[axis] }))))),
      h("p", { class: "soft" }, answer.summary));
    put(byId("scale-map"), ternary(answer.map));
    put(byId("rules"), rules());
  });

  function rules() {
    const head = ["rule", "source", "macs", "params", "depth", "width", "resolution", "design"].map((key) => h("th", { scope: "col" }, t(`rules.${key}`)));
    return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("rules") }, h("table", {},
      h("caption", {}, t("rules.about", { budget: answer.budget })),
      h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, answer.rules.map((row) => h("tr", { data: { rule: row.name } },
        h("th", { scope: "row" }, row.title), h("td", {}, row.source),
        row.ok ? row.cells.map((cell) => h("td", {}, cell)) : h("td", { colspan: 5, class: "soft wide" }, row.error.rule),
        h("td", {}, row.ok ? h("button", { type: "button", title: row.summary, "aria-label": t("rules.take", { rule: row.title }), on: { click: () => take(row.design) } }, t("scale.use")) : ""))))));
  }

  async function measured() {
    if (!runs.length) { put(byId("measured"), h("p", { class: "soft" }, t("scale.unmeasured"))); return; }
    const wanted = Number(read("run", "-1")), id = runs.some((one) => one.id === wanted) ? wanted : runs[0].id;
    const found = await askRun(id);
    if (!found || left) return;
    put(byId("measured"),
      h("h2", {}, t("scale.measured")),
      labelled(t("runs.run"), select(runs.map((one) => [String(one.id), one.reference]), String(id), (value) => { write({ run: value }); measured(); }, { id: "run" })),
      found.ok ? [h("p", { class: "sentence" }, found.sentence), h("div", { class: "beside" }, found.charts.map((one) => chart(one)), found.map ? ternary(found.map) : null),
        found.charts.length ? null : h("p", { class: "note" }, t("scale.nothing"))] : h("p", { role: "alert", class: "error" }, found.error.message));
  }

  const stop = onChange(update);
  update();
  measured();
  return () => { left = true; stop(); clearTimeout(waiting); };
}
