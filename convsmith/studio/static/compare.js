// The compare view: two designs or runs beside each other, their strips on one scale, and the layers that differ.

import { byId, h, labelled, onDemand, put, select, table } from "./dom.js";
import { read, write } from "./place.js";
import { get, newest, post } from "./server.js";
import { onChange, store } from "./store.js";
import { strip } from "./strip.js";
import { t } from "./words.js";

const NOW = "now";
const SIDES = ["first", "second"];

export function compareView(main) {
  let pictures = [], left = false;
  const { opened, runs, zoo } = store.session;
  const options = [[NOW, t("compare.now")], ...opened.map((one) => [`o${one.id}`, one.reference]), ...zoo.map((name) => [`z${name}`, `zoo:${name}`])];
  const known = (value) => options.some(([one]) => one === value);
  const standard = [NOW, opened.length > 1 ? `o${opened.find((one) => one.id !== store.opened).id}` : "zmobilenet-v2"];
  const chosen = (index) => (known(read(`c.${SIDES[index]}`)) ? read(`c.${SIDES[index]}`) : known(standard[index]) ? standard[index] : options.at(-1)[0]);
  const ask = newest((values) => post("compare", values));

  main.append(
    h("div", { class: "controls" }, SIDES.map((side, index) => labelled(t(`compare.${side}`), select(options, chosen(index), (value) => { write({ [`c.${side}`]: value }); update(); }, { id: `compare-${side}` })))),
    h("div", { id: "fault" }),
    h("div", { id: "strips" }),
    h("div", { id: "compared" }));

  async function textOf(value) {
    if (value === NOW) return store.text;
    if (value[0] === "o") return opened.find((one) => `o${one.id}` === value).text;
    return (await get(`/api/zoo/${encodeURIComponent(value.slice(1))}`)).text;
  }

  /** What a run reached, where the side is one. */
  async function accuracyOf(value) {
    const run = runs.find((one) => `o${one.id}` === value);
    if (!run) return "–";
    const found = await post("run", { run: run.id, seen: "" });
    return found.ok ? found.accuracy || t(`status.${found.status}`) : found.error.rule;
  }

  async function update() {
    const sides = [0, 1].map(chosen), [first, second] = await Promise.all(sides.map(textOf));
    const [found, one, other, ...right] = await Promise.all([ask({ first, second }), ...[first, second].map((text) => post("design", { text })), ...sides.map(accuracyOf)]);
    if (!found || left) return;
    put(byId("fault"), found.ok ? "" : h("p", { role: "alert", class: "error" }, found.error.message));
    if (!found.ok) return;
    pictures = [one, other];
    draw();
    show(found, right);
  }

  const draw = onDemand(() => {
    if (left || pictures.length < 2 || !pictures.every((one) => one.ok)) return;
    const width = Math.floor(byId("strips").clientWidth), totals = pictures.map((one) => one.totals.macs.value);
    const on = { choose: () => {}, move: () => {}, nudge: () => {}, explain: ({ block }) => { byId("pointed").textContent = `${block.name}: ${block.costs.macs.text} ${t("metric.macs")}, ${block.costs.params.text} ${t("metric.params")}, → ${block.output}`; } };
    put(byId("strips"), pictures.map((picture, index) => [
      h("p", {}, h("b", {}, picture.name), h("span", { class: "soft" }, ` ${picture.input} · ${picture.totals.macs.text} ${t("metric.macs")}`)),
      strip({ picture, metric: "macs", width: Math.max(Math.round((width * totals[index]) / Math.max(...totals)), 90), chosen: "", part: "", broken: "", on })]),
    h("p", { id: "pointed", class: "reading soft", role: "status" }, t("compare.scale")));
  });

  function show(found, right) {
    const rows = [
      [t("compare.input"), ...found.inputs, ""],
      ...found.totals.map((one) => [t(`total.${one.name}`), ...one.texts, one.ratio]),
      [t("compare.sees"), ...found.sees, ""],
      [t("compare.right"), ...right, ""],
    ];
    const bar = (share) => h("span", { class: "share", css: { "--of": share }, "aria-hidden": "true" });
    put(byId("compared"),
      table(t("compare.totals"), [t("compare.figure"), ...found.names, t("compare.times")], rows),
      table(t("compare.sections"), [t("part"), ...found.names.map((name) => `${name}: ${t("metric.macs")}`), t("compare.shares"), ...found.names.map((name) => `${name}: ${t("metric.params")}`)],
        found.sections.map((one) => [one.name, ...one.macs, h("span", { class: "shares" }, one.shares.map(bar)), ...one.params])),
      h("p", { id: "same" }, t("compare.same", { same: found.same, changed: found.changed })),
      found.layers.length ? h("details", { open: found.layers.length < 30 }, h("summary", {}, t("compare.layers")), table(t("compare.layers"), [t("compare.change"), ...found.names, t("metric.macs"), t("metric.params")],
        found.layers.map(({ change, layers }) => [t(`change.${change}`), ...layers.map((layer) => (layer ? `${layer[0]} · ${layer[1]} → ${layer[2]}` : "–")), ...[3, 4].map((at) => layers.map((layer) => layer?.[at] ?? "–").join(" → "))]))) : "");
  }

  const stop = onChange(update);
  const resized = new ResizeObserver(draw);
  resized.observe(byId("strips"));
  update();
  return () => { left = true; stop(); resized.disconnect(); };
}
