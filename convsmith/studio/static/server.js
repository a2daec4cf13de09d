// Questions to the studio's server. A refusal that a user should read comes back as {ok: false, error}.

import { t } from "./words.js";

const failed = (rule) => ({ ok: false, error: { message: rule, rule, received: "", where: "", remedy: "" } });

async function ask(path, options) {
  try {
    const answer = await fetch(path, options);
    if (answer.headers.get("content-type")?.startsWith("application/json")) return await answer.json();
    if (answer.ok) return await answer.arrayBuffer();
    return failed(answer.status === 403 ? await answer.text() : `${t("server.failed")} (${answer.status})`);
  } catch {
    return failed(t("server.gone"));
  }
}

export const get = (path) => ask(path);
export const post = (name, values) =>
  ask(`/api/${name}`, { method: "POST", body: JSON.stringify(values), headers: { "content-type": "application/json" } });
export const send = (file) => ask("/api/pictures", { method: "POST", body: file });

/** A question of which only the newest matters: an answer that was overtaken is undefined. */
export function newest(question) {
  let last = 0;
  return async (...values) => {
    const number = ++last;
    const answer = await question(...values);
    return number === last ? answer : undefined;
  };
}
