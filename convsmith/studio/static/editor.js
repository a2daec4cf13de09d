// The chosen part as a form: its keys are read off the JSON schema of the models that read the file.

import { h, labelled, select } from "./dom.js";
import { edit, store } from "./store.js";
import { t } from "./words.js";

const SHARED = ["depth", "width", "stride"];
const SLIDE = { depth: 12, width: 1024, resolution: 512 };
const NAMING = { stem: "block", stage: "block", head: "task" };

/** `stage2` as the file has it: part and number from 0 on. */
export const partOf = (section) => {
  const match = /^stage(\d+)$/.exec(section);
  return match ? { part: "stage", number: Number(match[1]) - 1 } : { part: section, number: 0 };
};

const valuesOf = (design, { part, number }) => (part === "stage" ? design.stage[number] : design[part]);

export function nudge(section, key, by) {
  const place = partOf(section), values = store.good && valuesOf(store.good.design, place);
  if (!values || typeof values[key] !== "number") return;
  const step = key === "width" ? Math.max(1, Math.round(values[key] / 8)) : 1;
  edit({ ...place, key, value: Math.max(1, values[key] + by * step) });
}

const id = (...parts) => `edit-${parts.join("-")}`;

function whole(name, key, value, most, change) {
  const set = (event) => { const typed = Number(event.target.value); if (event.target.value !== "" && Number.isInteger(typed)) change(typed); };
  return labelled(name,
    h("input", { type: "number", id: id(key), min: 1, step: 1, value, on: { input: set } }),
    h("input", { type: "range", id: id(key, "slide"), min: 1, max: Math.max(most, value), step: 1, value, tabindex: -1, "aria-hidden": "true", on: { input: set } }));
}

function stride(value, change) {
  const typed = (text) => change(/^\d+$/.test(text.trim()) ? Number(text) : text.trim());
  return labelled(t("key.stride"), h("input", { type: "text", id: id("stride"), value: String(value), size: 4, list: "strides", on: { change: (event) => typed(event.target.value) } }));
}

/** A control for any other key: choices, yes or no, a number, or a list. */
function other(key, rule, value, change) {
  const kinds = rule.anyOf ?? [rule];
  const choices = kinds.flatMap((one) => one.enum ?? (one.const === undefined ? [] : [one.const]));
  if (choices.length) return labelled(key, select(choices.map((one) => [one]), value ?? "", change, { id: id(key) }));
  if (rule.type === "boolean") {
    return labelled(key, h("input", { type: "checkbox", id: id(key), checked: value === true, on: { change: (event) => change(event.target.checked) } }));
  }
  const parse = (text) => {
    if (rule.type === "array") return text.split(",").map((one) => one.trim()).filter(Boolean).map(Number);
    return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
  };
  const shown = Array.isArray(value) ? value.join(", ") : value ?? "";
  return labelled(key, h("input", { type: "text", id: id(key), value: String(shown), size: 8, on: { change: (event) => change(parse(event.target.value)) } }));
}

export function wholeDesign(design) {
  const [channels, high, wide] = design.input;
  const resize = (input) => edit({ part: "", key: "input", value: input });
  const size = (both) => resize([channels, both, high === wide ? both : Math.max(1, Math.round((both * wide) / high))]);
  return h("fieldset", { class: "part", id: "whole" }, h("legend", {}, t("whole")),
    whole(high === wide ? t("key.resolution") : t("key.height"), "resolution", high, SLIDE.resolution, size),
    high === wide ? null : whole(t("key.breadth"), "breadth", wide, SLIDE.resolution, (value) => resize([channels, high, value])),
    whole(t("key.channels"), "channels", channels, 4, (value) => resize([value, high, wide])));
}

export function partForm(section) {
  const { design } = store.good, place = partOf(section), values = valuesOf(design, place);
  if (!values) return h("fieldset", { class: "part", id: "part" });
  const kind = NAMING[place.part], block = values[kind], known = store.schema[place.part][block] ?? { keys: {} };
  const change = (key) => (value) => edit({ ...place, key, value });
  const rest = Object.entries(known.keys).filter(([key]) => key !== kind && key !== "classes" && !SHARED.includes(key));
  return h("fieldset", { class: "part", id: "part", data: { section } }, h("legend", {}, section),
    labelled(t(`key.${kind}`), select(Object.keys(store.schema[place.part]).map((name) => [name]), block, change(kind), { id: id("block") })),
    "depth" in values ? whole(t("key.depth"), "depth", values.depth, SLIDE.depth, change("depth")) : null,
    "width" in values ? whole(t("key.width"), "width", values.width, SLIDE.width, change("width")) : null,
    "classes" in values ? whole(t("key.classes"), "classes", values.classes, 1000, change("classes")) : null,
    "stride" in values ? stride(values.stride, change("stride")) : null,
    rest.length ? h("details", {}, h("summary", {}, t("more.keys")), h("p", { class: "soft" }, known.about.split("\n")[0]), h("div", { class: "keys" }, rest.map(([key, rule]) => other(key, rule, values[key], change(key))))) : null,
    place.part === "stage" ? h("div", { class: "actions" },
      h("button", { type: "button", on: { click: () => edit({ action: "copy", number: place.number }) } }, t("stage.copy")),
      h("button", { type: "button", disabled: design.stage.length < 2, on: { click: () => edit({ action: "remove", number: place.number }) } }, t("stage.remove"))) : null);
}
