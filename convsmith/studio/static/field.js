// The receptive field: a unit chosen on the map of a layer, and the pixels of the picture that it sees.

import { byId, colorOf, h, labelled, onDemand, put, s, select } from "./dom.js";
import { read, write } from "./place.js";
import { newest, post, send } from "./server.js";
import { changed, onChange, store } from "./store.js";
import { t } from "./words.js";

const SAMPLE = "sample";
const BEYOND = 0.3; // of the picture's side, that is shown of the padding around it
const NEAREST = 24; // largest square for one pixel of a small picture
const LISTED = 300; // layers of which each can be chosen at once

const blockOf = (name) => name.split(".", 2).join(".");

export function fieldView(main) {
  let maps = null, listed = {}, depends = null, seen = null, picture = null, loaded = "", text = "", problem = "";
  const ask = newest((values) => post("field", values)), askWeights = newest((values) => post("effective", values));
  /** The run whose weights the network has, if it is that of a run. */
  const run = () => (store.zoo || changed() ? undefined : store.session.runs.find((one) => one.id === store.opened));
  const layer = () => maps?.layers.find((one) => one.name === read("layer.name")) ?? maps?.layers.at(-1);
  const unit = () => {
    const [high, wide] = layer().size, middle = [high >> 1, wide >> 1];
    return read("unit") ? read("unit").split(",").map((value, axis) => Math.min(Math.max(Number(value) || 0, 0), [high, wide][axis] - 1)) : middle;
  };

  main.append(
    h("div", { id: "fault" }),
    h("div", { class: "controls" },
      h("span", { id: "layers" }), h("span", { id: "units" }),
      h("span", { id: "weights" }),
      labelled(t("field.picture"), h("input", { type: "file", id: "upload", accept: "image/*", on: { change: (event) => bring(event.target.files[0]) } }))),
    h("div", { class: "beside", id: "places" },
      h("div", {},
        h("figure", {}, h("figcaption", {}, t("field.map")), h("div", { id: "map" })),
        h("div", { id: "said", role: "status", "aria-label": t("field.facts") })),
      h("figure", {}, h("figcaption", {}, t("field.seen")), h("canvas", { id: "seen", role: "img" }), h("p", { class: "soft legend", id: "legend" }))));

  const fail = (rule) => put(byId("fault"), rule ? h("p", { role: "alert", class: "error" }, rule) : "");

  async function bring(file) {
    if (!file) return;
    const answer = await send(file);
    problem = answer.ok ? "" : answer.error.message;
    fail(problem);
    if (answer.ok) { write({ picture: answer.id }); await update(); }
  }

  async function fetchPicture() {
    const [, high, wide] = maps.input, name = read("picture", SAMPLE), address = `/api/pictures/${encodeURIComponent(name)}/${Math.min(high, 2048)}x${Math.min(wide, 2048)}`;
    if (address === loaded) return;
    const image = new Image();
    image.src = address;
    try { await image.decode(); } catch { // an id of an earlier start of the studio
      if (name !== SAMPLE) { write({ picture: "" }); return fetchPicture(); }
      return;
    }
    picture = image; loaded = address;
  }

  async function update() {
    if (text !== store.text) {
      const answer = await post("maps", { text: store.text });
      if (!answer.ok) return fail(answer.error.message);
      maps = answer; text = store.text;
    }
    if (!main.isConnected || main.dataset.view !== "field" || !layer()) return;
    fail(problem);
    const [row, column] = unit();
    const [found] = await Promise.all([ask({ text, layer: layer().name, row, column }), fetchPicture()]);
    if (!found) return;
    if (!found.ok) return fail(found.error.message);
    seen = found;
    depends = null;
    draw();
    if (run() && read("eff")) await weigh(row, column);
  }

  /** What the unit really depends on, where there are weights. */
  async function weigh(row, column) {
    const name = layer().name, asked = seen;
    const found = await askWeights({ run: run().id, picture: read("picture", SAMPLE), layer: name, row, column });
    if (!found || seen !== asked || !read("eff")) return; // another unit, or not wanted any more
    if (!found.ok) return fail(found.error.message);
    const image = new Image();
    image.src = `/api/pictures/${found.id}/${found.size.join("x")}`;
    try { await image.decode(); } catch { return; }
    if (seen !== asked || !read("eff")) return;
    depends = { ...found, mask: maskOf(image, found.size) };
    draw();
  }

  const move = (row, column) => {
    const [high, wide] = layer().size;
    write({ unit: `${Math.min(Math.max(row, 0), high - 1)},${Math.min(Math.max(column, 0), wide - 1)}` });
    draw();
    update();
  };

  /** The layers to choose from: all, or of a network of thousands those of this block and the last of every other. */
  function offered(block) {
    return block ? maps.layers.filter(({ name }, at, all) => blockOf(name) === block || blockOf(name) !== blockOf(all[at + 1]?.name ?? "")) : maps.layers;
  }

  function controls() {
    const [row, column] = unit(), [high, wide] = layer().size, active = document.activeElement;
    const number = (name, value, most, change) => labelled(t(name), h("input", { type: "number", id: name.replace(".", "-"), min: 0, max: most - 1, value, on: { input: (event) => event.target.value !== "" && change(Number(event.target.value)) } }));
    const block = maps.layers.length > LISTED ? blockOf(layer().name) : "";
    if (listed.maps !== maps || listed.block !== block) { // not for each unit
      listed = { maps, block };
      put(byId("layers"), labelled(t("field.layer"), select(offered(block).map((one) => [one.name, `${one.name} · ${t("field.sees", { size: one.sees })}`]), "", (name) => { write({ "layer.name": name, unit: "" }); update(); }, { id: "map-layer" })), block && h("small", { class: "soft" }, t("field.listed")));
    }
    byId("map-layer").value = layer().name;
    put(byId("weights"), run() ? labelled(t("field.effective"), h("input", { type: "checkbox", id: "effective", checked: Boolean(read("eff")), on: { change: (event) => { write({ eff: event.target.checked ? 1 : "" }); update(); } } })) : "");
    if (active?.id === "effective") byId("effective")?.focus();
    if (active?.closest?.("#units")) return;
    put(byId("units"),
      number("field.row", row, high, (value) => move(value, unit()[1])), number("field.column", column, wide, (value) => move(unit()[0], value)));
  }

  /** The map with the picture behind it, so that a place on it is a place of the picture. */
  function drawMap() {
    const [high, wide] = layer().size, [row, column] = unit(), most = Math.min(320, byId("map").clientWidth || 320);
    const size = most / Math.max(high, wide), lines = size >= 5;
    let path = "";
    if (lines) {
      for (let x = 0; x <= wide; x++) path += `M${x * size} 0v${high * size}`;
      for (let y = 0; y <= high; y++) path += `M0 ${y * size}h${wide * size}`;
    }
    const pick = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const frame = event.currentTarget.getBoundingClientRect();
      move(Math.floor((event.clientY - frame.top) / size), Math.floor((event.clientX - frame.left) / size));
    };
    const keys = (event) => {
      const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!by) return;
      event.preventDefault();
      const [r, c] = unit();
      move(r + by[0], c + by[1]);
    };
    const focused = document.activeElement?.classList?.contains("map");
    put(byId("map"), s("svg", {
      class: "map", width: wide * size, height: high * size, tabindex: 0, role: "application", "aria-roledescription": t("field.map"),
      "aria-label": t("field.unit", { row, column, layer: layer().name }), on: { pointerdown: pick, pointermove: pick, keydown: keys },
    },
    picture ? s("image", { href: loaded, width: wide * size, height: high * size, preserveAspectRatio: "none" }) : null,
    s("path", { d: path, class: "lines" }),
    s("rect", { x: column * size, y: row * size, width: Math.max(size, 3), height: Math.max(size, 3), class: "unit" })));
    if (focused) byId("map").firstChild.focus();
  }

  function drawSeen() {
    const [, high, wide] = maps.input, canvas = byId("seen"), room = Math.min(560, canvas.parentNode.clientWidth);
    const beyond = [seen.rows, seen.columns].map(({ longest: [first, last] }, axis) => Math.min(Math.max(-first, last + 1 - [high, wide][axis], 0) / [high, wide][axis] + 0.03, BEYOND));
    const scale = Math.min(room / (wide * (1 + 2 * beyond[1])), NEAREST), edge = [high, wide].map((one, axis) => Math.round(one * beyond[axis] * scale));
    const ratio = devicePixelRatio || 1, size = [Math.round(high * scale) + 2 * edge[0], Math.round(wide * scale) + 2 * edge[1]];
    canvas.width = size[1] * ratio; canvas.height = size[0] * ratio;
    canvas.style.setProperty("width", `${size[1]}px`);
    Object.assign(canvas.dataset, { scale, top: edge[0], left: edge[1] });
    const pen = canvas.getContext("2d"), styles = Object.fromEntries(["panel", "paper", "line", "depth", "width", "chosen"].map((name) => [name, colorOf(`--${name}`)]));
    pen.scale(ratio, ratio);
    pen.fillStyle = styles.panel;
    pen.fillRect(0, 0, size[1], size[0]);
    pen.translate(edge[1], edge[0]);
    pen.imageSmoothingEnabled = false;
    if (picture) {
      pen.drawImage(picture, 0, 0, wide * scale, high * scale);
      pen.globalAlpha = 0.74;
      pen.fillStyle = styles.paper;
      pen.fillRect(0, 0, wide * scale, high * scale);
      pen.globalAlpha = 1;
      if (depends) shine(pen, wide * scale, high * scale);
      const fit = [picture.naturalHeight / high, picture.naturalWidth / wide];
      if (!depends) for (const [top, bottom] of seen.rows.pixels) for (const [left, right] of seen.columns.pixels) {
        pen.drawImage(picture, left * fit[1], top * fit[0], (right - left) * fit[1], (bottom - top) * fit[0], left * scale, top * scale, (right - left) * scale, (bottom - top) * scale);
      }
    }
    pen.strokeStyle = styles.line;
    pen.strokeRect(0, 0, wide * scale, high * scale);
    const box = (key, dash, stroke) => {
      const [top, bottom] = seen.rows[key], [left, right] = seen.columns[key];
      pen.setLineDash(dash);
      for (const [style, thick] of [[styles.paper, 5], [stroke, 2.5]]) {
        pen.strokeStyle = style; pen.lineWidth = thick;
        pen.strokeRect(left * scale, top * scale, (right - left + 1) * scale, (bottom - top + 1) * scale);
      }
      pen.setLineDash([]);
    };
    box("longest", [], styles.depth);
    if (seen.rows.min_size !== seen.rows.size || seen.columns.min_size !== seen.columns.size) box("shortest", [7, 5], styles.width);
    const x = (seen.columns.center + 0.5) * scale, y = (seen.rows.center + 0.5) * scale;
    for (const [style, thick] of [[styles.paper, 5], [styles.chosen, 2]]) {
      pen.strokeStyle = style; pen.lineWidth = thick;
      pen.beginPath(); pen.moveTo(x - 8, y); pen.lineTo(x + 8, y); pen.moveTo(x, y - 8); pen.lineTo(x, y + 8); pen.stroke();
    }
    canvas.setAttribute("aria-label", facts().join("; "));
  }

  /** The picture again, as bright at each pixel as the unit depends on it. */
  function shine(pen, wide, high) {
    const { mask } = depends, part = new OffscreenCanvas(mask.width, mask.height), inside = part.getContext("2d");
    inside.drawImage(picture, 0, 0, mask.width, mask.height);
    inside.globalCompositeOperation = "destination-in";
    inside.drawImage(mask, 0, 0);
    pen.drawImage(part, 0, 0, wide, high);
  }

  const pair = (key) => `${seen.rows[key]} × ${seen.columns[key]}`;
  function facts() {
    const total = seen.rows.count * seen.columns.count, all = maps.input[1] * maps.input[2];
    return [
      t("field.longest", { size: pair("size") }), t("field.shortest", { size: pair("min_size") }),
      t("field.pixels", { count: total, rows: seen.rows.count, columns: seen.columns.count, share: Math.round((1000 * total) / all) / 10 }),
      t("field.center", { row: seen.rows.center, column: seen.columns.center }), t("field.jump", { rows: seen.rows.jump, columns: seen.columns.jump }),
      ...(depends ? [t("field.depends", depends)] : []),
      ...(seen.whole ? [t("field.whole")] : []),
      ...(seen.rows.size > maps.input[1] || seen.columns.size > maps.input[2] ? [t("field.large")] : []),
    ];
  }

  const draw = onDemand(() => {
    if (!maps || !main.isConnected || main.dataset.view !== "field") return;
    controls();
    drawMap();
    if (!seen || seen.layer !== layer().name) return;
    drawSeen();
    put(byId("legend"), ...[["longest", t("field.key.longest")], ["shortest", t("field.key.shortest")], ["center", t("field.key.center")]].map(([key, words]) => h("span", { class: `key ${key}` }, words)));
    put(byId("said"), h("ul", {}, facts().map((line) => h("li", {}, line))));
  });

  const stop = onChange(update);
  const resized = new ResizeObserver(draw);
  resized.observe(byId("places"));
  addEventListener("themed", draw);
  update();
  return () => { stop(); resized.disconnect(); removeEventListener("themed", draw); };
}

/** A grey picture as how much is let through: from nothing where it is black to all where it is white. */
function maskOf(image, [high, wide]) {
  const mask = new OffscreenCanvas(wide, high), pen = mask.getContext("2d");
  pen.drawImage(image, 0, 0);
  const pixels = pen.getImageData(0, 0, wide, high);
  for (let at = 0; at < pixels.data.length; at += 4) pixels.data[at + 3] = pixels.data[at];
  pen.putImageData(pixels, 0, 0);
  return mask;
}
