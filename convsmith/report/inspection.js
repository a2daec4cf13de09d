"use strict";
// A section chosen in the strip opens its layers; a layer under the pointer or the focus shows its formulas;
// headings sort the table, words filter it, arrow keys walk through it.
(() => {
  const NUMBER = 0, NAME = 1, OP = 2, WINDOW = 3; // columns that are not sorted by size
  const all = (selector) => [...document.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });

  const lines = JSON.parse(byId("lines").textContent);
  const table = document.querySelector(".rows table"), headings = [...table.tHead.rows[0].cells];
  const groups = new Map([...table.tBodies].map((group) => [group.dataset.section, group]));
  const rows = all(".rows tr[data-layer]").map((row) => ({ row, group: row.parentNode }));
  const sorted = table.createTBody();
  const boxes = all(".box"), ribbon = document.querySelector(".ribbon"), lens = document.querySelector(".lens");
  let chosen = null, words = "";

  const explain = (number) => {
    const [name, does, ...said] = lines[number];
    const list = make("ul", "");
    list.append(...said.map((line) => make("li", line)));
    byId("formula").replaceChildren(make("b", name), make("span", does), list);
    for (const one of all(".lit")) one.classList.remove("lit");
    for (const one of all(`[data-layer="${number}"]`)) one.classList.add("lit");
  };

  const filter = () => {
    const wanted = chosen && groups.get(chosen.dataset.section);
    for (const { row, group } of rows) {
      const text = `${row.cells[NAME].textContent} ${row.cells[OP].textContent}`.toLowerCase();
      row.hidden = Boolean(wanted && group !== wanted) || !text.includes(words);
    }
    for (const group of groups.values()) group.rows[0].hidden = !group.querySelector("[data-layer]:not([hidden])");
    const count = rows.filter(({ row }) => !row.hidden).length;
    byId("shown").textContent = count < rows.length ? `${count} of ${rows.length} layers` : `${count} layers`;
    byId("everything").hidden = !chosen;
  };

  const choose = (box) => {
    chosen = box;
    const from = box ? Number(box.dataset.from) : 0, span = box ? Number(box.dataset.span) : 1;
    for (const one of boxes) one.setAttribute("aria-pressed", String(one === box));
    lens.style.setProperty("--from", `${100 * from}%`);
    lens.style.setProperty("--to", `${100 * (from + span)}%`);
    ribbon.style.setProperty("--from", from);
    ribbon.style.setProperty("--zoom", 1 / span);
    filter();
  };

  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    if (column === NAME || column === OP) return text;
    const numbers = text.replaceAll(",", "").match(/[\d.]+/g) ?? [-1];
    return numbers.slice(0, column === WINDOW ? 2 : numbers.length).reduce((product, one) => product * Number(one), 1);
  };

  const sort = (column) => {
    const rising = column <= OP, first = rising ? "ascending" : "descending", second = rising ? "descending" : "ascending";
    const order = headings[column].getAttribute("aria-sort") === first ? second : first;
    for (const heading of headings) heading.removeAttribute("aria-sort");
    headings[column].setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1, inSections = column === NUMBER && sign === 1;
    const keyed = rows.map((one) => ({ ...one, key: value(one.row, column) }));
    keyed.sort((a, b) => sign * (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    for (const { row, group } of keyed) (inSections ? group : sorted).append(row);
    filter();
  };

  const walk = (event) => {
    const visible = all(".rows tr[data-layer]:not([hidden])"), at = visible.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: visible.length - 1 }[event.key];
    if (at < 0 || !visible[to]) return;
    visible[to].focus();
    event.preventDefault();
  };

  for (const box of boxes) box.addEventListener("click", () => choose(box === chosen ? null : box));
  byId("everything").addEventListener("click", () => choose(null));
  headings.forEach((heading, column) => heading.firstChild.addEventListener("click", () => sort(column)));
  byId("find").addEventListener("input", (event) => { words = event.target.value.trim().toLowerCase(); filter(); });
  table.addEventListener("keydown", walk);
  table.addEventListener("focusin", (event) => {
    const row = event.target.closest("[data-layer]");
    if (!row) return;
    for (const one of rows) one.row.tabIndex = one.row === row ? 0 : -1;
    explain(row.dataset.layer);
  });
  addEventListener("pointermove", (event) => {
    const one = event.target.closest?.("[data-layer]");
    if (one && (event.movementX || event.movementY)) explain(one.dataset.layer); // not what scrolls under a pointer at rest
  });
  addEventListener("keydown", (event) => { if (event.key === "Escape") byId("formula").replaceChildren(); });
  ribbon.addEventListener("click", (event) => {
    const row = rows[event.target.dataset.layer]?.row;
    if (row) row.focus();
  });
  addEventListener("beforeprint", () => document.documentElement.classList.add("paper"));
  addEventListener("afterprint", () => document.documentElement.classList.remove("paper"));
  rows[0].row.tabIndex = 0;
})();
