// The design that is being worked on: its text, what the server says of it, and the way back.

import { entries, packed, read, unpacked, write } from "./place.js";
import { get, newest, post } from "./server.js";
import { t } from "./words.js";

export const METRICS = ["macs", "params", "activations", "bytes", "seconds"];
const TOGETHER = 900; // milliseconds within which changes of one key are one step back

export const store = {
  session: null, schema: null, opened: 0, zoo: "", zooText: undefined, text: "",
  good: null, // the last picture without an error
  error: null,
};

const past = [], future = [], listeners = new Set();
let lastKey = "", lastTime = 0;

export const canUndo = () => past.length > 0;
export const canRedo = () => future.length > 0;
export function onChange(listener) { listeners.add(listener); return () => listeners.delete(listener); }
const tell = () => { for (const listener of listeners) listener(); };

/** The design that was opened, which the present text came from. */
export const source = () => store.session.opened.find((one) => one.id === store.opened);
const original = () => store.zooText ?? source().text;
export const changed = () => store.text !== original();

async function remember() {
  const text = store.text;
  const code = changed() ? await packed(text) : "";
  if (text === store.text) write({ d: code, z: store.zoo, o: store.zoo || store.opened === store.session.opened[0].id ? "" : store.opened });
}

const picture = newest((text) => post("design", { text, budgets: entries("b.") }));

function settle(found, text) {
  if (found.ok) { store.good = { ...found, text }; store.error = null; } else store.error = found;
  if (found.budgets) store.budgets = found.budgets;
  tell();
}

/** Take another text; `key` names what was changed, so that a slider's way is one step back. */
async function take(text, key, found) {
  if (text === store.text) return;
  const now = Date.now();
  if (!key || key !== lastKey || now - lastTime > TOGETHER) past.push(store.text);
  lastKey = key; lastTime = now;
  future.length = 0;
  await show(text, found);
}

async function show(text, found) {
  store.text = text;
  remember();
  const answer = found ?? await picture(text);
  if (answer) settle(answer, text);
}

export const type = (text) => take(text, "text");

const waiting = [];
let busy = false;

/** A change made in the picture: the server writes it into the text. */
export async function edit(change) {
  const key = `${change.action ?? "set"} ${change.part} ${change.number} ${change.key}`;
  const same = waiting.findIndex((one) => one.key === key && !change.action);
  if (same >= 0) waiting[same] = { key, change }; else waiting.push({ key, change });
  if (busy) return;
  busy = true;
  while (waiting.length) {
    const next = waiting.shift();
    const answer = await post("edit", { text: store.text, budgets: entries("b."), action: "set", number: 0, part: "", key: "", ...next.change });
    if (answer.ok) await take(answer.text, next.change.action ? "" : next.key, answer.picture);
    else settle(answer);
  }
  busy = false;
}

async function step(from, to) {
  if (!from.length) return;
  to.push(store.text);
  lastKey = "";
  await show(from.pop());
}
export const undo = () => step(past, future);
export const redo = () => step(future, past);

/** Work on another design: one of those opened, or one of the zoo. */
export async function open({ opened = store.opened, zoo = "" }) {
  const found = zoo ? await get(`/api/zoo/${encodeURIComponent(zoo)}`) : null;
  if (found && !found.ok) return settle(found);
  past.length = 0; future.length = 0; lastKey = "";
  Object.assign(store, { opened, zoo, zooText: found?.text });
  await show(original());
}

export async function refresh() {
  const text = store.text, answer = await picture(text);
  if (answer) settle(answer, text);
}

/** What the address says; a part of it that cannot be read is left out. */
export async function start(session, schema) {
  Object.assign(store, { session, schema, zoo: "", zooText: undefined });
  const wanted = Number(read("o", "-1")), zoo = read("z");
  store.opened = (session.opened.find((one) => one.id === wanted) ?? session.opened[0]).id;
  if (session.zoo.includes(zoo)) {
    store.zoo = zoo;
    store.zooText = (await get(`/api/zoo/${zoo}`)).text;
  }
  let text = original();
  if (read("d")) try { text = await unpacked(read("d")); } catch { write({ d: "" }); }
  await show(text);
}

export async function save(name, overwrite) {
  const answer = await post("save", { opened: store.zoo ? -1 : store.opened, name, text: store.text, overwrite });
  return answer.ok ? answer : { failed: answer.error?.message ?? t("server.failed") };
}
