// Formulas as MathML, from the lines of text that reports and the command line have: one wording, two ways to draw it.

import { h, m } from "./dom.js";

const TOKEN = /\d[\d,.]*\d|\d|[⌊⌋()+−×=/]|[^\s\d⌊⌋()+−×=/]+/g;
const BETWEEN = /, (?=[⌊\d].* = )/;
const CLOSING = { "(": ")", "⌊": "⌋" };
const SPACE = "\u00a0", GAP = "0.28em";

/** Whether a line of text is a formula, and no sentence that has numbers in it. */
const isFormula = (line) => / = \d/.test(line) && !/→/.test(line);

/** A line as MathML if it is a formula, one for each of several, else as it is. `alttext` holds the text. */
export const formula = (line) => (isFormula(line)
  ? line.split(BETWEEN).map((one) => [m("math", { alttext: one, displaystyle: "true" }, row(one.match(TOKEN))), " "])
  : h("span", {}, line));

/** The tokens up to the end or the closing bracket of this row, which are taken away; a quotient becomes a fraction. */
function row(tokens, closing = "") {
  const parts = [];
  while (tokens.length) {
    const token = tokens.shift();
    if (token === closing) break;
    if (token === "/" && parts.length && tokens.length) parts.push(m("mfrac", {}, bare(parts.pop()), bare(part(tokens.shift(), tokens))));
    else parts.push(part(token, tokens));
  }
  return parts;
}

function part(token, tokens) {
  if (token in CLOSING) return m("mrow", { class: token === "(" ? "bracketed" : "floor" }, m("mo", {}, token), row(tokens, CLOSING[token]), m("mo", {}, CLOSING[token]));
  if (/^\d/.test(token)) return m("mn", {}, token);
  if (/^[+−×=⌊⌋()/]$/.test(token)) return m("mo", { lspace: GAP, rspace: GAP }, token);
  return m("mtext", {}, `${SPACE}${token}`);
}

/** What is above or below the line of a fraction needs no brackets. */
const bare = (node) => (node.classList.contains("bracketed") ? m("mrow", {}, [...node.childNodes].slice(1, -1)) : node);
