// What the network of a run makes of the user's picture. Two views share it: try it (answer and saliency), and features
// with similarity. A page of the server's is drawn part by part: lines, pictures, tables.

import { byId, h, labelled, put, select, table } from "./dom.js";
import { read, write } from "./place.js";
import { noRun, runChoice, runId } from "./runs.js";
import { newest, post, send } from "./server.js";
import { store } from "./store.js";
import { t } from "./words.js";

const SAMPLE = "sample";
const PARTS = { try: ["saliency"], seen: ["features", "excites", "similarity"] };
const LATER = ["excites", "similarity"]; // what goes through the run's own images, and waits to be asked for

export const tryView = (main) => view(main, "try");
export const seenView = (main) => view(main, "seen");

function view(main, name) {
  let left = false, brought = read("picture", SAMPLE), known = brought === SAMPLE;
  if (!store.session.runs.length) { main.append(noRun()); return () => {}; }
  const asked = Object.fromEntries(["answer", ...PARTS[name]].map((what) => [what, newest((values) => post(what === "answer" ? "answer" : "explain", values))]));

  const input = h("input", { type: "file", id: "upload", accept: "image/*", on: { change: (event) => bring(event.target.files[0]) } });
  const drop = h("div", { id: "drop", on: {
    dragover: (event) => { event.preventDefault(); drop.classList.add("over"); },
    dragleave: () => drop.classList.remove("over"),
    drop: (event) => { event.preventDefault(); drop.classList.remove("over"); bring(event.dataTransfer.files[0]); },
  } }, h("img", { id: "picture", alt: t("try.picture"), width: 192, height: 192 }), h("div", {}, h("p", {}, t("try.drop")), labelled(t("field.picture"), input), h("button", { type: "button", id: "own", on: { click: own } }, t("try.own"))));
  main.append(
    h("div", { class: "controls" }, runChoice(() => { write({ target: "" }); update(); })),
    drop,
    h("div", { id: "fault" }),
    ...(name === "try" ? [h("div", { id: "answer", role: "status", "aria-label": t("try.answer") })] : []),
    ...PARTS[name].map((what) => h("section", { id: what, "aria-label": t(`page.${what}`) })));
  for (const what of PARTS[name].filter((one) => LATER.includes(one))) put(byId(what), h("button", { type: "button", id: `ask-${what}`, on: { click: () => explain(what) } }, t(`seen.${what}`)));

  const fail = (error) => put(byId("fault"), error ? h("p", { role: "alert", class: "error" }, error.message) : "");
  const values = (what) => ({ run: runId(), picture: brought, what, target: read("target") });

  async function bring(file) {
    if (!file) return;
    const answer = await send(file);
    if (!answer.ok) { fail(answer.error); return; }
    brought = answer.id;
    known = true;
    write({ picture: answer.id, target: "" });
    update();
  }

  /** One of the run's own test images, another one each time. */
  async function own() {
    const number = Number(read("own", "-1")) + 1, answer = await fetch(`/api/runs/${runId()}/images/${number}`);
    if (!answer.ok) { fail((await answer.json().catch(() => null))?.error ?? { message: t("try.own.none") }); return; }
    write({ own: number });
    bring(await answer.blob());
  }

  async function update() {
    if (known) show();
    fail(null);
    if (name === "try") {
      const found = await asked.answer(values("answer"));
      if (!found || left) return;
      if (!found.ok) return lost(found.error);
      answer(found);
    }
    explain(PARTS[name][0]);
  }

  const show = () => { byId("picture").src = `/api/pictures/${encodeURIComponent(brought)}/192x192`; };

  /** A picture of an earlier start of the studio is gone: the sample takes its place. */
  function lost(error) {
    if (brought !== SAMPLE && error.rule.includes("no longer there")) { brought = SAMPLE; known = true; write({ picture: "" }); update(); return; }
    if (name === "try") put(byId("answer"));
    for (const what of PARTS[name]) if (!LATER.includes(what)) put(byId(what));
    fail(error);
  }

  function answer(found) {
    put(byId("answer"),
      h("h2", {}, found.labels[0].label),
      h("ul", { class: "labels" }, found.labels.map((one) => h("li", {}, h("span", {}, one.label), h("span", { class: "share", css: { "--of": one.share }, "aria-hidden": "true" }), h("b", {}, one.text)))),
      h("p", { id: "took" }, t("try.time", { time: found.time }), found.exported ? ` ${t("try.exported", { time: found.exported })}` : ""),
      h("p", { class: "soft" }, t("try.size", { size: found.size, seen: found.seen })),
      found.notes.map((note) => h("p", { class: "note" }, note)),
      labelled(t("try.target"), select([["", t("try.likeliest")], ...found.classes.map((one) => [one])], read("target"), (value) => { write({ target: value }); explain("saliency"); }, { id: "target" })));
  }

  async function explain(what) {
    put(byId(what), h("p", { class: "soft", role: "status" }, t("try.wait")));
    const begun = performance.now(), picture = brought, found = await asked[what](values(what));
    if (!found || left) return;
    if (!found.ok) { put(byId(what)); lost(found.error); return; }
    show();
    put(byId(what), h("h2", {}, found.title), h("p", { class: "soft" }, t("try.took", { time: `${((performance.now() - begun) / 1000).toFixed(1)} s` })),
      found.notes.map((note) => h("p", { class: "note" }, note)),
      found.parts.map(part));
    byId(what).dataset.picture = picture; // whose page it is, once it is there
  }

  const part = (one) => [h("h3", {}, one.heading), one.lines.map((line) => h("p", { class: "hint" }, line)),
    h("div", { class: "shots" }, one.shots.map((shot) => h("figure", {}, h("img", { src: `/api/pictures/${shot.id}/${shot.size.join("x")}`, alt: shot.caption, width: shot.size[1], height: shot.size[0] }), h("figcaption", {}, shot.caption)))),
    one.tables.map((each) => table(each.caption, each.header, each.rows))];

  update();
  return () => { left = true; };
}
