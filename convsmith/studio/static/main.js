// Start: words, session, the head of the page, and the view that the address names.

import { compareView } from "./compare.js";
import { designView } from "./design.js";
import { byId, h, labelled, put, select } from "./dom.js";
import { fieldView } from "./field.js";
import { labView } from "./lab.js";
import { onMove, read, write } from "./place.js";
import { runsView } from "./runs.js";
import { scaleView } from "./scale.js";
import { seenView, tryView } from "./seen.js";
import { get } from "./server.js";
import { onChange, open, start, store } from "./store.js";
import { LANGUAGES, loadWords, t } from "./words.js";

const VIEWS = { design: designView, lab: labView, field: fieldView, scale: scaleView, compare: compareView, runs: runsView, try: tryView, seen: seenView };
const THEMES = ["auto", "light", "dark"];
let leave = () => {};

const language = () => {
  const wanted = read("lang") || navigator.language.slice(0, 2);
  return LANGUAGES.some(([name]) => name === wanted) ? wanted : "en";
};
const view = () => (read("view") in VIEWS ? read("view") : "design");

function designs() {
  const opened = store.session.opened.map((one) => [`o${one.id}`, one.reference]);
  const zoo = store.session.zoo.map((name) => [`z${name}`, `zoo:${name}`]);
  const known = new Set(opened.map(([, text]) => text));
  const options = [...opened, ...zoo.filter(([, text]) => !known.has(text))];
  const take = (value) => open(value[0] === "z" ? { zoo: value.slice(1) } : { opened: Number(value.slice(1)) });
  return select(options, store.zoo ? `z${store.zoo}` : `o${store.opened}`, take);
}

function head() {
  const tabs = Object.keys(VIEWS).map((name) =>
    h("button", { type: "button", "aria-current": name === view() ? "page" : null, on: { click: () => { write({ view: name }, true); draw(); byId("main").focus(); } } }, t(`view.${name}`)));
  const skip = h("button", { type: "button", class: "skip", on: { click: () => byId("main").focus() } }, t("skip"));
  put(byId("top"),
    skip,
    h("h1", { class: "brand" }, "convsmith ", h("b", {}, t("studio"))),
    h("nav", { "aria-label": t("views") }, tabs),
    h("div", { class: "settings" },
      labelled(t("design"), designs()),
      labelled(t("language"), select(LANGUAGES, language(), async (name) => { write({ lang: name }); await loadWords(name); draw(); })),
      labelled(t("theme"), select(THEMES.map((name) => [name, t(`theme.${name}`)]), read("theme", "auto"), (name) => { write({ theme: name === "auto" ? "" : name }); theme(); }))),
  );
}

function theme() {
  const wanted = read("theme");
  if (THEMES.includes(wanted) && wanted !== "auto") document.documentElement.dataset.theme = wanted;
  else delete document.documentElement.dataset.theme;
  dispatchEvent(new Event("themed"));
}

function draw() {
  leave();
  head();
  document.title = `${t(`view.${view()}`)} · convsmith studio`;
  const main = byId("main");
  put(main);
  main.dataset.view = view();
  leave = VIEWS[view()](main);
}

theme();
await loadWords(language());
const [session, schema] = await Promise.all([get("/api/session"), get("/api/schema")]);
if (session.error) {
  byId("main").append(h("p", { role: "alert", class: "error" }, session.error.message));
} else {
  await start(session, schema);
  draw();
  onMove(async () => { theme(); await loadWords(language()); await start(store.session, schema); draw(); });
  onChange(() => { byId("top").querySelector(".settings select").value = store.zoo ? `z${store.zoo}` : `o${store.opened}`; });
}
document.documentElement.dataset.ready = "yes";
