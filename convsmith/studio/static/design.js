// The design view: strip, ribbon, operators and formulas, the chosen part as a form, and the file's text beside it.

import { byId, h, labelled, onDemand, put, say, table } from "./dom.js";
import { nudge, partForm, wholeDesign } from "./editor.js";
import { formula } from "./math.js";
import { read, write } from "./place.js";
import { newest, post } from "./server.js";
import { METRICS, canRedo, canUndo, changed, onChange, redo, refresh, save, source, store, type, undo } from "./store.js";
import { operators, ribbon, strip } from "./strip.js";
import { t, translated } from "./words.js";

const PAUSE = 150; // milliseconds without a key after which typed text is read

export function designView(main) {
  let chosen = read("block"), formulas = { text: "", lines: {} }, typing = 0, explained = null, unfolded = {};
  const metric = () => (METRICS.includes(read("metric")) ? read("metric") : "macs");
  const section = () => (chosen || "stem").split(".")[0];

  const area = h("textarea", { id: "text", spellcheck: "false", autocomplete: "off", rows: 18, "aria-label": t("text"), on: {
    input: () => { clearTimeout(typing); typing = setTimeout(() => type(area.value), PAUSE); },
    blur: () => { clearTimeout(typing); type(area.value); },
  } });
  const name = h("input", { type: "text", id: "file", value: fileName(), "aria-label": t("file"), size: 18 });
  main.append(
    h("div", { id: "tiles", role: "group", "aria-label": t("metrics") }),
    h("div", { id: "error" }),
    h("div", { id: "figure" }),
    h("p", { class: "hint soft" }, t("strip.keys")),
    h("div", { id: "inside" }),
    h("div", { id: "formula", role: "status", "aria-label": t("formula") }),
    h("div", { class: "beside" },
      h("div", { id: "forms" }),
      h("section", { class: "file", "aria-label": t("text") },
        h("div", { class: "actions" },
          h("button", { type: "button", id: "undo", on: { click: undo } }, t("undo")),
          h("button", { type: "button", id: "redo", on: { click: redo } }, t("redo")),
          labelled(t("file"), name),
          h("button", { type: "button", id: "save", on: { click: () => keep(name.value) } }, t("save"))),
        area)),
    h("details", { id: "numbers", on: { toggle: () => numbers() } }, h("summary", {}, t("numbers")), h("div", {})),
    h("datalist", { id: "strides" }, ["1", "2", "4", "1/2"].map((value) => h("option", { value }))),
    h("dialog", { id: "ask", "aria-label": t("overwrite") }),
  );

  async function keep(file, overwrite = false) {
    const done = await save(file.trim(), overwrite);
    if (done.exists) return askFirst(file, done.changed);
    say(done.failed ?? t("saved", { path: done.saved }));
    put(byId("formula"), h("p", done.failed ? { class: "error", role: "alert" } : { class: "done" }, done.failed ?? t("saved", { path: done.saved })));
  }

  function askFirst(file, differs) {
    const dialog = byId("ask");
    const close = (value) => { dialog.close(); if (value) keep(file, true); };
    put(dialog,
      h("p", {}, t(differs ? "overwrite.changed" : "overwrite.exists", { file })),
      h("div", { class: "actions" },
        h("button", { type: "button", id: "keep", on: { click: () => close(false) } }, t("overwrite.no")),
        h("button", { type: "button", id: "replace", on: { click: () => close(true) } }, t("overwrite.yes"))));
    dialog.showModal();
  }

  async function explain(what) {
    explained = what;
    if (what.layer && formulas.text !== store.text) {
      const text = store.text, answer = await post("layers", { text });
      if (answer.ok) formulas = { text, lines: answer.lines };
      if (explained !== what) return;
    }
    const one = what.layer ?? what.block;
    const lines = what.layer ? (formulas.lines[one.name] ?? []) : METRICS.filter((key) => one.costs[key]).map((key) => `${one.costs[key].text} ${t(`metric.${key}`)}`);
    put(byId("formula"), h("b", {}, one.name), h("span", { class: "soft" }, what.layer ? "" : `→ ${one.output}`), h("ul", {}, lines.map((line) => h("li", {}, formula(translated(line))))));
    for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
    document.querySelector(what.layer ? `[data-layer="${one.name}"]` : `[data-block="${one.name}"]`)?.classList.add("lit");
  }

  const on = {
    explain, nudge,
    choose: (block) => { chosen = chosen === block ? "" : block; write({ block: chosen }); draw(); byFocus(block); },
    move: (block) => { document.querySelector(`[data-block="${block}"]`)?.focus(); },
  };
  const byFocus = (block) => queueMicrotask(() => document.querySelector(`[data-block="${block}"]`)?.focus({ preventScroll: true }));

  function tiles() {
    const { totals, memory } = store.good;
    return [METRICS.filter((key) => totals[key]).map((key) => {
      const budget = store.budgets?.[key], over = budget?.ok && totals[key].value > budget.value;
      return h("div", { class: over ? "tile over" : "tile" },
        h("button", { type: "button", "aria-pressed": String(key === metric()), data: { metric: key }, on: { click: () => { write({ metric: key === "macs" ? "" : key }); draw(); } } },
          h("span", {}, t(`metric.${key}`)), h("b", {}, totals[key].text),
          key === "bytes" ? h("small", {}, t("memory", memory)) : null,
          key === "params" ? h("small", {}, memory.weights) : null),
        labelled(t("budget"), h("input", { type: "text", size: 7, id: `budget-${key}`, value: read(`b.${key}`), placeholder: "–", on: { change: (event) => { write({ [`b.${key}`]: event.target.value.trim() }); refresh(); } } })),
        over ? h("small", { class: "warning" }, t("over")) : null,
        budget && !budget.ok ? h("small", { class: "warning" }, budget.error.rule) : null);
    }), totals.seconds ? null : h("p", { class: "soft tile" }, t("no.time"))];
  }

  function fault() {
    const { error } = store;
    put(byId("error"), (error ? [h("div", { role: "alert", class: "error" },
      h("b", {}, error.error.rule),
      error.error.received ? h("span", {}, t("received", { value: error.error.received })) : null,
      error.layer || error.section ? h("span", {}, t("at", { place: error.layer || error.section })) : null,
      error.reads ? h("span", {}, t("reads.shape", { section: error.section, shape: error.reads })) : null,
      error.error.remedy ? h("span", { class: "remedy" }, error.error.remedy) : null,
      h("small", { class: "soft" }, t("last.good")))] : []));
  }

  /** The table of all blocks, made when it is looked at. */
  function numbers() {
    if (!byId("numbers").open) return;
    const keys = METRICS.filter((key) => store.good.totals[key]);
    put(byId("numbers").lastChild, table(t("numbers.about"), [t("part"), t("output"), ...keys.map((key) => t(`metric.${key}`))],
      store.good.sections.flatMap((part) => [part, ...(part.blocks.length > 1 ? part.blocks : [])]).map((one) => [one.name, one.output, ...keys.map((key) => one.costs[key].text)])));
  }

  /** Redraw a part of the page and leave the focus where it was: an input in use stays the same element. */
  function inPlace(box, ...content) {
    const active = document.activeElement, id = box.contains(active) ? active.id : "";
    const fresh = content.flat(Infinity).filter(Boolean);
    if (id && box.id === "forms" && active.matches("input")) {
      for (const one of fresh.flatMap((part) => [...part.querySelectorAll("[id]")])) {
        const old = byId(one.id);
        if (old && old !== active && "value" in old) old.value = one.value;
      }
      return;
    }
    const open = [...box.querySelectorAll("details")].map((one) => one.open);
    put(box, ...fresh);
    box.querySelectorAll("details").forEach((one, index) => { one.open = open[index] ?? false; });
    if (id) byId(id)?.focus();
  }

  const inside = newest((text, block) => post("operators", { text, block }));

  /** The operators of the chosen block, which come after the rest: a slider need not wait for them. */
  async function unfold(block, metric) {
    const box = byId("inside"), { text } = store.good;
    if (block && (unfolded.text !== text || unfolded.block !== block)) {
      const answer = await inside(text, block.name);
      if (!answer?.ok) return;
      unfolded = { text, block, operators: answer.operators };
    }
    const focused = document.activeElement?.dataset.layer;
    put(box, block && operators({ ...unfolded, metric, on }));
    if (focused) document.querySelector(`[data-layer="${focused}"]`)?.focus({ preventScroll: true });
  }

  function paint() {
    if (!main.isConnected || main.dataset.view !== "design") return;
    if (area.value !== store.text && document.activeElement !== area) area.value = store.text;
    byId("undo").disabled = !canUndo();
    byId("redo").disabled = !canRedo();
    byId("save").disabled = Boolean(store.error);
    fault();
    const picture = store.good;
    if (!picture) return;
    const width = Math.floor(byId("figure").clientWidth), metrics = METRICS.filter((key) => picture.totals[key]);
    const shared = { picture, metric: metrics.includes(metric()) ? metric() : "macs", metrics, width, budgets: store.budgets };
    const focused = document.activeElement?.dataset.block;
    put(byId("figure"),
      strip({ ...shared, chosen, part: section(), broken: store.error?.section ?? "", on }),
      ribbon(shared));
    if (focused) document.querySelector(`[data-block="${focused}"]`)?.focus({ preventScroll: true });
    const block = picture.sections.flatMap((part) => part.blocks).find((one) => one.name === chosen);
    unfold(block, shared.metric);
    inPlace(byId("tiles"), tiles());
    inPlace(byId("forms"), wholeDesign(picture.design), partForm(picture.sections.some((part) => part.name === section()) ? section() : "stem"));
    numbers();
  }
  const draw = onDemand(paint);

  const keys = (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const key = event.key.toLowerCase(), inside = event.target.matches("input[type=text]");
    if (inside || !(key === "z" || key === "y")) return;
    event.preventDefault();
    if (event.target === area) { clearTimeout(typing); type(area.value); }
    (key === "y" || event.shiftKey ? redo : undo)();
    area.value = store.text;
  };
  const told = () => { if (!changed()) name.value = fileName(); paint(); }; // at once: a frame later is a frame late
  const stop = onChange(told);
  const resized = new ResizeObserver(draw);
  resized.observe(byId("figure"));
  addEventListener("keydown", keys);
  area.value = store.text;
  put(byId("formula"), h("p", { class: "soft" }, t("formula.hint")));
  draw();
  return () => { stop(); resized.disconnect(); removeEventListener("keydown", keys); };
}

function fileName() {
  if (store.zoo) return `${store.zoo}.toml`;
  const { file, reference } = source();
  return file || `${reference.replace(/^zoo:/, "").replace(/[^\w.-]+/g, "-").replace(/^[^\w]+/, "")}.toml`;
}
