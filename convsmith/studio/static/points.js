// Points of a chart: which one the pointer means, and thousands of them as pixels instead of elements.

import { colorOf, h } from "./dom.js";

const NEAR = 40, AT_ONCE = 1500;

/** From so many points on they are drawn on a canvas. */
export const MANY = 600;

/** The point nearest to the pointer among those that have `x` and `y`, within reach; null where there is none. */
export function nearest(points, event) {
  const frame = event.currentTarget.getBoundingClientRect(), px = event.clientX - frame.left, py = event.clientY - frame.top;
  let best = null, least = NEAR ** 2;
  for (const each of points) {
    const far = (each.x - px) ** 2 + (each.y - py) ** 2;
    if (far < least) { least = far; best = each; }
  }
  return best;
}

/** Points as a canvas below a picture of the same size; `colour` and `r` are those of each point. */
export function drawnPoints(points, width, height) {
  const ratio = devicePixelRatio || 1, [wide, high] = [width, height].map((size) => Math.round(size * ratio));
  const canvas = h("canvas", { class: "points", width: wide, height: high, "aria-hidden": "true", css: { width: `${width}px`, height: `${height}px` } });
  const pen = canvas.getContext("2d"), colors = {}, picture = pen.createImageData(wide, high);
  const strength = Math.min(1, Math.max(0.3, 1500 / points.length)); // where they lie thick, the picture is darker
  const draw = (from) => {
    for (const { x, y, r, colour } of points.slice(from, from + AT_ONCE)) dot(picture, x * ratio, y * ratio, r * ratio, colors[colour] ??= colorOf(`--${colour}`).match(/[\d.]+/g), strength);
    pen.putImageData(picture, 0, 0);
    canvas.dataset.count = Math.min(from + AT_ONCE, points.length);
    if (from + AT_ONCE < points.length) requestAnimationFrame(() => canvas.isConnected && draw(from + AT_ONCE));
  };
  draw(0);
  return canvas;
}

/** A dot over what is there, pixel by pixel: ten thousand of them take a canvas's own drawing a fifth of a second. */
function dot({ data, width, height }, x, y, r, color, strength) {
  for (let row = Math.max(0, Math.floor(y - r)); row < Math.min(height, y + r + 1); row++) {
    for (let column = Math.max(0, Math.floor(x - r)); column < Math.min(width, x + r + 1); column++) {
      const part = strength * Math.min(1, r + 0.5 - Math.hypot(column + 0.5 - x, row + 0.5 - y)), at = 4 * (row * width + column);
      if (part <= 0) continue;
      const below = (data[at + 3] / 255) * (1 - part), whole = part + below;
      for (let k = 0; k < 3; k++) data[at + k] = (color[k] * part + data[at + k] * below) / whole;
      data[at + 3] = 255 * whole;
    }
  }
}

/** So many of a list, evenly. */
export const thinned = (list, most) => (list.length <= most ? list : Array.from({ length: most }, (_, index) => list[Math.floor((index * list.length) / most)]));

/** Draw again when the colours change, for as long as the place is in the page. */
export function whenThemed(box, draw) {
  const themed = () => (box.isConnected ? draw() : removeEventListener("themed", themed));
  addEventListener("themed", themed);
}
