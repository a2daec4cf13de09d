// The state of the page as its address: everything after the #, so the server never sees it.

let values = new Map(new URLSearchParams(location.hash.slice(1)));

export const read = (name, otherwise = "") => values.get(name) ?? otherwise;

export const entries = (prefix) =>
  Object.fromEntries([...values].filter(([name]) => name.startsWith(prefix)).map(([name, value]) => [name.slice(prefix.length), value]));

/** Change parts of the address; an empty value takes its part out. `push` makes a step that Back undoes. */
export function write(changes, push = false) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === "" || value === undefined || value === null) values.delete(name);
    else values.set(name, String(value));
  }
  const address = `#${new URLSearchParams([...values])}`;
  if (address !== location.hash) history[push ? "pushState" : "replaceState"](null, "", address);
}

/** Go to another place, as a link does. */
export function go(changes) {
  write(changes, true);
  dispatchEvent(new Event("popstate"));
}

export function onMove(listener) {
  const moved = () => { values = new Map(new URLSearchParams(location.hash.slice(1))); listener(); };
  addEventListener("popstate", moved);
}

const bytesOf = async (stream) => new Uint8Array(await new Response(stream).arrayBuffer());

export async function packed(text) {
  const bytes = await bytesOf(new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw")));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export async function unpacked(code) {
  const bytes = Uint8Array.from(atob(code.replaceAll("-", "+").replaceAll("_", "/")), (one) => one.charCodeAt(0));
  return new TextDecoder().decode(await bytesOf(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"))));
}
