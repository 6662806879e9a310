// Asking the Workbench's program. Paths are percent-encoded bytes: names need not be text.

import { say } from "./words.js";

const xsrf = document.querySelector('meta[name="xsrf"]').content;

export class Refused extends Error {
  constructor(status, data) {
    super(data.message || say("That did not work ({status}).", { status }));
    this.status = status;
    this.code = data.error || "failed";
    this.data = data;
  }
}

export async function call(method, address, { query, data, body, headers = {}, alone = false, signal } = {}) {
  const url = new URL(`api/${address}`, document.baseURI);
  for (const [key, value] of Object.entries(query ?? {})) if (value !== undefined) url.searchParams.set(key, value);
  if (method !== "GET") headers["X-XSRF-Token"] = xsrf;
  if (alone) headers["X-Workbench-Alone"] = "1";
  if (data) { body = JSON.stringify(data); headers["Content-Type"] = "application/json"; }
  let answer;
  try {
    answer = await fetch(url, { method, body, headers, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { error: "offline", message: say("The Workbench can't be reached. Check your connection; what you typed is still here.") });
  }
  const type = answer.headers.get("Content-Type") ?? "";
  const said = type.includes("json") ? await answer.json() : {};
  if (!answer.ok) throw new Refused(answer.status, said.message || typeof said.error === "string" ? said : { message: lost(answer.status) });
  return said;
}

function lost(status) {
  if (status === 401) return say("Your login has ended. Open the project again in another tab and sign in; what you typed is still here.");
  if (status === 403 || status === 404) return say("You can't reach this project any more.");
  return say("The Workbench does not answer ({status}). Is it stopped? Open it again from the project's page; what you typed is still here.", { status });
}

export const get = (address, query, more) => call("GET", address, { query, ...more });
export const post = (address, data, more) => call("POST", address, { data, ...more });

export function link(address, paths) {
  const url = new URL(`api/${address}`, document.baseURI);
  for (const path of [paths].flat()) url.searchParams.append("path", path);
  return url.href;
}

// What a name that somebody typed is on the wire; and folders and names in paths.
export const wire = (name) => encodeURIComponent(name);
export const above = (path) => path.slice(0, path.lastIndexOf("/")) || "/";
export const last = (path) => path.slice(path.lastIndexOf("/") + 1);
export function plain(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}
