"use strict";
// Draws every chart of the page, in the colours of the present theme, and again when the theme changes.
(() => {
  const root = document.documentElement;
  const config = { displaylogo: false, typesetMath: false, responsive: true, scrollZoom: false, modeBarButtons: [["toImage"]] };

  const coloured = (value, style) => {
    if (typeof value === "string") {
      const name = /^var\((--[a-z0-9-]+)\)$/.exec(value);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((one) => coloured(one, style));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, coloured(one, style)]));
  };

  const draw = (width) => {
    const style = getComputedStyle(root);
    for (const place of document.querySelectorAll(".chart")) {
      const figure = coloured(JSON.parse(document.getElementById(`${place.id}-data`).textContent), style);
      Plotly.react(place, figure.data, { ...figure.layout, ...(width ? { width } : {}) }, config);
    }
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  addEventListener("beforeprint", () => { root.classList.add("paper"); draw(680); });
  addEventListener("afterprint", () => { root.classList.remove("paper"); draw(); });
  draw();
})();
