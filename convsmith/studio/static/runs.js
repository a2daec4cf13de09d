// The runs view: an opened run as it stands, redrawn when its log grows; stop, resume, and the images behind a mistake.

import { chart, ternary } from "./chart.js";
import { byId, h, labelled, put, say, select, table } from "./dom.js";
import { go, read, write } from "./place.js";
import { get, newest, post } from "./server.js";
import { store } from "./store.js";
import { t } from "./words.js";

const PAUSE = 400; // milliseconds between two looks at the log, so that an event is seen within a second
const WRITTEN = 14; // classes up to which counts stand in the cells

export const runId = () => {
  const { runs } = store.session, wanted = Number(read("run", "-1"));
  return runs.some((one) => one.id === wanted) ? wanted : runs[0]?.id;
};

/** The choice among the opened runs. */
export const runChoice = (change) =>
  labelled(t("runs.run"), select(store.session.runs.map((one) => [String(one.id), one.reference]), String(runId()), (id) => { write({ run: id, cell: "", cal: "" }); change(); }, { id: "run" }));

/** What a view shows where no run is open, and the way to one. */
export function noRun() {
  const said = h("p", { role: "status" });
  const begin = async () => {
    put(said, t("runs.first.wait"));
    byId("first-run").disabled = true;
    const answer = await post("first-run", {});
    if (!answer.ok) { put(said, h("span", { role: "alert", class: "error" }, answer.error.message)); return; }
    store.session = await get("/api/session");
    go({ view: "runs", run: answer.run });
  };
  return h("section", { id: "no-run" },
    h("p", { class: "note" }, t("runs.none")),
    h("p", {}, t("runs.first.about")),
    h("div", { class: "actions" }, h("button", { type: "button", id: "first-run", on: { click: begin } }, t("runs.first"))),
    said);
}

export function runsView(main) {
  let seen = "", waiting = 0, left = false, good = null;
  if (!store.session.runs.length) { main.append(noRun()); return () => {}; }
  const ask = newest((id, stamp) => post("run", { run: id, seen: stamp }));
  main.append(
    h("div", { class: "controls" }, runChoice(() => { seen = ""; good = null; put(byId("run-body")); look(); })),
    h("div", { id: "fault" }),
    h("div", { id: "run-body" }),
    h("div", { id: "behind" }),
    h("dialog", { id: "ask", "aria-label": t("runs.stop") }));

  async function look() {
    clearTimeout(waiting);
    const answer = await ask(runId(), seen);
    if (!answer || left || !main.isConnected) return;
    if (answer.ok) {
      put(byId("fault"));
      if (!answer.same) { seen = answer.stamp; good = answer; draw(); }
    } else {
      seen = "";
      put(byId("fault"), h("p", { role: "alert", class: "error" }, h("b", {}, answer.error.message), good ? h("small", { class: "soft" }, t("last.good")) : null));
    }
    if (good?.status !== "finished") waiting = setTimeout(look, PAUSE);
  }

  async function stop() {
    const dialog = byId("ask");
    const close = async (sure) => {
      dialog.close();
      if (!sure) return;
      const answer = await post("stop", { run: runId() });
      const text = answer.ok ? t("runs.stopping", { process: answer.process }) : answer.error.message;
      say(text);
      put(byId("fault"), h("p", answer.ok ? { class: "done" } : { class: "error", role: "alert" }, text));
    };
    put(dialog, h("p", {}, t("runs.stop.ask")), h("div", { class: "actions" },
      h("button", { type: "button", on: { click: () => close(false) } }, t("runs.stop.no")),
      h("button", { type: "button", id: "stop-yes", on: { click: () => close(true) } }, t("runs.stop.yes"))));
    dialog.showModal();
  }

  function head() {
    const { status, process, fraction, left: time } = good;
    return h("section", { class: "status", data: { status } },
      h("p", {}, h("b", { class: `badge ${status}` }, t(`status.${status}`)), " ", t(`kind.run.${good.kind}`), process ? h("span", { class: "soft" }, ` · ${process}`) : "",
        time ? h("span", { id: "left" }, ` · ${t("runs.left", { time })}`) : ""),
      fraction === null ? null : h("progress", { max: 1, value: fraction, "aria-label": t("runs.done") }),
      good.sentence ? h("p", { class: "sentence" }, good.sentence) : null,
      good.notes.map((note) => h("p", { class: "note" }, note)),
      h("div", { class: "actions" },
        status === "finished" && good.confusion ? [["try", "runs.try"], ["seen", "runs.seen"]].map(([view, words]) => h("button", { type: "button", data: { next: view }, on: { click: () => go({ view, run: runId() }) } }, t(words))) : null,
        status === "running" ? h("button", { type: "button", id: "stop", on: { click: stop } }, t("runs.stop")) : null,
        status === "stopped" ? h("p", { class: "note" }, t("runs.resume")) : null,
        good.resume ? h("code", { id: "resume" }, good.resume) : null,
        good.resume ? h("button", { type: "button", on: { click: () => navigator.clipboard?.writeText(good.resume).then(() => say(t("runs.copied"))) } }, t("runs.copy")) : null));
  }

  function draw() {
    const open = [...byId("run-body").querySelectorAll("details")].map((one) => one.open), focus = document.activeElement?.id;
    put(byId("run-body"),
      head(),
      h("div", { class: "beside" }, good.charts.map((one) => chart(one)), good.map ? ternary(good.map) : null),
      good.rungs.length ? table(t("runs.rungs"), ["stretch", "images", "networks", "trained", "best", "right"].map((key) => t(`rung.${key}`)), good.rungs) : null,
      good.finals.length ? finals() : null,
      good.confusion ? confusion() : null,
      good.confusion ? h("section", { id: "calibration" }, h("button", { type: "button", id: "ask-calibration", on: { click: () => { write({ cal: 1 }); believe(); } } }, t("calibration.ask"))) : null,
      good.rejected.length ? h("details", {}, h("summary", {}, t("runs.rejected", { count: good.rejected.length })), table(t("runs.rejected.about"), [t("file"), t("runs.reason")], good.rejected.slice(0, 500).map((one) => [one.path, one.reason]))) : null,
      h("details", { id: "provenance" }, h("summary", {}, t("runs.provenance")), good.provenance.map((group) => table(group.name, [t("runs.name"), t("runs.value")], group.rows.map(([name, text]) => [name || group.name, text])))));
    byId("run-body").querySelectorAll("details").forEach((one, index) => { one.open = open[index] ?? false; });
    if (focus) byId(focus)?.focus();
    if (read("cell")) behind(...read("cell").split(",").map(Number));
    if (read("cal") && good.confusion) believe();
  }

  /** The tie set: who cannot be told from the best, each with its interval on one axis. */
  function finals() {
    const bar = (row) => (row.bar ? h("span", { class: "interval", css: { "--low": row.bar[0], "--mid": row.bar[1], "--high": row.bar[2] }, "aria-hidden": "true" }) : "");
    return table(t("runs.finals"), ["network", "standing", "interval", "right", "ci", "macs", "params", "better"].map((key) => t(`final.${key}`)),
      good.finals.map((row) => [row.name, row.failure || [row.chosen ? t("final.chosen") : row.tied ? t("final.tied") : "", row.judged && row.judged !== "test" ? t("final.select") : ""].filter(Boolean).join(", "), bar(row), ...row.cells]));
  }

  function confusion() {
    const { classes, matrix, shares, total } = good.confusion, written = classes.length <= WRITTEN;
    const cell = (row, column) => h("td", {}, h("button", {
      type: "button", class: row === column ? "cellbutton right" : "cellbutton", tabindex: row || column ? -1 : 0, data: { row, column }, css: { "--share": shares[row][column] }, disabled: false,
      "aria-label": t("confusion.cell", { true: classes[row], answer: classes[column], count: matrix[row][column] }),
      on: { click: () => { write({ cell: `${row},${column}` }); behind(row, column); }, keydown: move },
    }, written || matrix[row][column] === 0 ? matrix[row][column] || "" : ""));
    return h("section", { id: "confusion" },
      h("h2", {}, t("confusion")), h("p", { class: "hint soft" }, t("confusion.about"), total > classes.length ? ` ${t("confusion.most", { shown: classes.length, total })}` : ""),
      h("div", { class: "scroll" }, h("table", { class: "confusion" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("confusion.true")), classes.map((name) => h("th", { scope: "col", title: name }, short(name))))),
        h("tbody", {}, classes.map((name, row) => h("tr", {}, h("th", { scope: "row", title: name }, short(name)), classes.map((_, column) => cell(row, column))))))));
  }
  const short = (name) => (name.length > 14 ? `${name.slice(0, 13)}…` : name);

  function move(event) {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!by) return;
    event.preventDefault();
    const { row, column } = event.currentTarget.dataset;
    const next = byId("confusion").querySelector(`[data-row="${Number(row) + by[0]}"][data-column="${Number(column) + by[1]}"]`);
    if (!next) return;
    event.currentTarget.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  /** How often the network is right where it is so and so sure. */
  const reliability = newest((id) => post("reliability", { run: id }));
  async function believe() {
    put(byId("calibration"), h("p", { class: "soft", role: "status" }, t("behind.wait")));
    const found = await reliability(runId());
    if (!found || left || !byId("calibration")) return;
    put(byId("calibration"), found.ok
      ? [h("h2", {}, t("calibration")), chart(found.chart), h("p", { class: "hint soft", id: "gap" }, t("calibration.about", { gap: found.gap, images: found.images }))]
      : h("p", { role: "alert", class: "error" }, found.error.message));
  }

  const find = newest((values) => post("behind", values));
  async function behind(row, column) {
    const { classes } = good.confusion ?? { classes: [] };
    if (!(row in classes) || !(column in classes)) return;
    const id = runId();
    put(byId("behind"), h("p", { class: "soft", role: "status" }, t("behind.wait")));
    const answer = await find({ run: id, true: classes[row], answer: classes[column] });
    if (!answer || left) return;
    if (!answer.ok) { put(byId("behind"), h("p", { role: "alert", class: "error" }, answer.error.message)); return; }
    put(byId("behind"),
      h("h2", {}, t("behind", { true: classes[row], answer: classes[column], count: answer.count })),
      answer.count > answer.images.length ? h("p", { class: "soft" }, t("behind.first", { count: answer.images.length })) : null,
      h("ul", { class: "pictures" }, answer.images.map((one) => h("li", {},
        h("img", { src: `/api/runs/${id}/images/${one.image}`, alt: t("behind.alt", { name: one.name, true: classes[row] }), width: 96, height: 96 }),
        h("span", {}, one.text), h("small", { class: "soft" }, one.name)))));
  }

  look();
  return () => { left = true; clearTimeout(waiting); };
}
