// The network as a strip: a bar for each block, as wide as its share of the chosen cost, as tall as its map is large.
// Below it, on the same axis, every cost of each block, and where a budget is spent.

import { entered, h, s } from "./dom.js";
import { t } from "./words.js";

const TALL = 132, LEAST = 26, TOP = 4, FOOT = 38, NARROW = 4, GAP = 5;
const ROW = 48, BARS = 24;

const value = (one, metric) => one.costs[metric]?.value ?? 0;
const side = (text) => Number(text.split(" × ").at(-1)) || 1;

/** Where each block lies along the axis: a chain needs no more layout than this. */
function layout(picture, metric, width) {
  const blocks = picture.sections.flatMap((section) => section.blocks.map((block) => ({ section, block })));
  const total = Math.max(value({ costs: picture.totals }, metric), 1e-12);
  const room = Math.max(width - GAP * (picture.sections.length - 1) - NARROW * blocks.length, 10);
  let x = 0, before = null;
  for (const one of blocks) {
    if (before && before !== one.section) x += GAP;
    before = one.section;
    one.x = x;
    one.wide = NARROW + room * (value(one.block, metric) / total);
    x += one.wide;
  }
  const sizes = blocks.map(({ block }) => Math.log2((block.output.split(" × ").length > 2 ? side(block.output) : 1) + 1));
  blocks.forEach((one, index) => { one.tall = LEAST + (TALL - LEAST) * (sizes[index] / Math.max(...sizes)); });
  return blocks;
}

const fits = (text, wide) => text.length * 7.2 < wide;

/**
 * @param chosen name of the block that is unfolded
 * @param broken name of the section that the last edit broke, or empty
 */
export function strip({ picture, metric, width, chosen, part, broken, on }) {
  const blocks = layout(picture, metric, width);
  const focus = blocks.some(({ block }) => block.name === chosen) ? chosen : blocks[0].block.name;
  const bars = blocks.map(({ section, block, x, wide, tall }, index) => {
    const top = TOP + TALL - tall;
    const name = t("strip.block", { name: block.name, cost: block.costs[metric].text, metric: t(`metric.${metric}`), output: block.output });
    return s("g", {
      role: "button", tabindex: block.name === focus ? 0 : -1, "aria-label": name, "aria-pressed": String(block.name === chosen),
      class: `block ${section.kind} ${index % 2 ? "odd" : "even"}${section.name === broken ? " broken" : ""}`,
      data: { block: block.name, section: section.name },
      on: {
        click: () => on.choose(block.name),
        pointerenter: entered(() => on.explain({ block, section })),
        focus: () => on.explain({ block, section }),
        keydown: (event) => key(event, blocks, index, on),
      },
    },
    s("rect", { x, y: TOP, width: Math.max(wide - 1, 1), height: TALL, class: "reach" }),
    s("rect", { x, y: top, width: Math.max(wide - 1, 1), height: tall, rx: Math.min(3, wide / 3), class: "bar" }),
    section.name === broken ? s("text", { x: x + wide / 2, y: top + tall / 2 + 5, class: "mark" }, "!") : null);
  });
  return s("svg", { class: "strip", width, height: TOP + TALL + FOOT, role: "group", "aria-label": t("strip.about") },
    bars, picture.sections.map((section) => names(section, blocks, metric, part)));
}

function names(section, blocks, metric, part) {
  const own = blocks.filter((one) => one.section === section);
  const x = own[0].x, wide = own.at(-1).x + own.at(-1).wide - x;
  const share = section.costs[metric].text, floor = TOP + TALL;
  return s("g", { "aria-hidden": "true", class: section.name === part ? "label current" : "label" },
    s("line", { x1: x, x2: x + wide - 1, y1: floor + 3, y2: floor + 3 }),
    fits(section.name, wide) ? s("text", { x, y: floor + 18 }, section.name) : null,
    fits(share, wide) ? s("text", { x, y: floor + 33, class: "soft" }, share) : null);
}

function key(event, blocks, index, on) {
  const section = blocks[index].section.name;
  const go = (to) => on.move(blocks[Math.min(Math.max(to, 0), blocks.length - 1)].block.name);
  const moves = {
    ArrowRight: () => go(index + 1), ArrowLeft: () => go(index - 1), Home: () => go(0), End: () => go(blocks.length - 1),
    Enter: () => on.choose(blocks[index].block.name), " ": () => on.choose(blocks[index].block.name),
    "+": () => on.nudge(section, "depth", 1), "-": () => on.nudge(section, "depth", -1),
    "]": () => on.nudge(section, "width", 1), "[": () => on.nudge(section, "width", -1),
  };
  if (!(event.key in moves) || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  moves[event.key]();
}

/** Every cost of each block, a row for each kind; a line where the budget is spent, and what lies behind it marked. */
export function ribbon({ picture, metric, metrics, width, budgets }) {
  const blocks = layout(picture, metric, width);
  const rows = metrics.map((one, index) => row(blocks, picture, one, budgets?.[one], width, index * ROW));
  return s("svg", { class: "ribbon", width, height: metrics.length * ROW, role: "img", "aria-label": t("ribbon.about") }, rows);
}

function row(blocks, picture, metric, budget, width, top) {
  const most = Math.max(...blocks.map(({ block }) => value(block, metric)), 1e-12), floor = top + ROW - 5;
  const limit = budget?.ok ? budget.value : Infinity;
  let spent = 0, end = width;
  const bars = blocks.map(({ block, x, wide }) => {
    const cost = value(block, metric), tall = BARS * (cost / most);
    if (end === width && spent + cost > limit) end = x + wide * ((limit - spent) / cost);
    spent += cost;
    return `M${x} ${floor}v${-tall}h${Math.max(wide - 1, 1)}v${tall}z`;
  });
  const over = spent > limit;
  const note = Number.isFinite(limit) ? ` · ${t(over ? "ribbon.over" : "ribbon.under", { total: picture.totals[metric].text, budget: budget.text })}` : "";
  return s("g", { class: over ? "row over" : "row", data: { row: metric } },
    s("path", { d: bars.join(""), class: "cost" }),
    over ? s("rect", { x: end, y: floor - BARS, width: Math.max(width - end, 2), height: BARS, class: "beyond" }) : null,
    over ? s("line", { x1: end, x2: end, y1: floor - BARS - 2, y2: floor, class: "budget" }) : null,
    s("text", { x: 0, y: floor - BARS - 5 }, `${t(`metric.${metric}`)}${note}`));
}

/** The operators of a block, in running order, each a button as wide as its share. */
export function operators({ block, operators, metric, on }) {
  const total = Math.max(value(block, metric), 1e-12);
  const short = (name) => name.slice(name.startsWith(block.name) ? block.name.length + 1 : 0) || name;
  return h("div", { class: "operators", role: "group", "aria-label": t("operators", { name: block.name }) },
    operators.map((layer) =>
      h("button", {
        type: "button", class: `operator ${layer.costs[metric] ? "working" : ""}`, css: { "--share": layer.costs[metric] / total },
        data: { layer: layer.name },
        on: { pointerenter: entered(() => on.explain({ layer })), focus: () => on.explain({ layer }), click: () => on.explain({ layer }) },
      }, h("b", {}, layer.op), h("span", {}, short(layer.name)), h("span", { class: "soft" }, layer.output))));
}
