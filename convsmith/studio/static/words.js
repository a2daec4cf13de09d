// The words of the page in one language at a time: en.json, zh.json.

export const LANGUAGES = [["en", "English"], ["zh", "中文"]];

let words = {};

export async function loadWords(language) {
  words = await (await fetch(`/static/${language}.json`)).json();
  document.documentElement.lang = language;
}

/** The text of a key; `{name}` is replaced. A key that is missing is our mistake, and said so. */
export function t(key, values = {}) {
  if (!(key in words)) throw new Error(`no words for ${key}`);
  return words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** The server's English terms in a formula, in the language of the page. */
export const translated = (formula) =>
  formula.replace(/[a-z]+/g, (word) => words[`term.${word}`] ?? word);
