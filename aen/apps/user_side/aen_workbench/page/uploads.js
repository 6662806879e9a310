// Uploads: one after the other, in pieces, each with its offset; after a break they go on where they stopped.

import { Refused, call, wire } from "./api.js";
import { dialog, h, icon, size } from "./dom.js";
import { say } from "./words.js";

const PIECE = 8 << 20;
const TRIES = 8;
const box = document.getElementById("uploads");
const queue = [];
let working = false;

export const underWay = () => queue.some((one) => one.state === "going" || one.state === "waiting");
addEventListener("beforeunload", (event) => { if (underWay()) event.preventDefault(); });

export function upload(folder, files, done) {
  for (const file of files) {
    const one = { folder, file, done, state: "waiting", sent: 0, said: say("Waiting"), taken: "" };
    one.row = draw(one);
    queue.push(one);
  }
  box.hidden = queue.length === 0;
  work();
}

// Folders that were dropped are made first; what is in them follows.
export async function dropped(folder, items, done) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [...items].map((item) => item.getAsFile?.());
  if (entries.length === 0) return upload(folder, files.filter(Boolean), done);
  for (const entry of entries) await enter(folder, entry, done);
}

async function enter(folder, entry, done) {
  if (entry.isFile) return upload(folder, [await new Promise((resolve, reject) => entry.file(resolve, reject))], done);
  try {
    await call("POST", "make", { data: { folder, name: wire(entry.name), kind: "folder" } });
  } catch (error) {
    if (error.code !== "exists") return failed({ file: { name: entry.name } }, error.message);
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return done();
    for (const inner of some) await enter(`${folder}/${wire(entry.name)}`, inner, done);
  }
}

function failed(one, text) {
  const made = { ...one, state: "failed", said: text };
  made.row = draw(made);
  queue.push(made);
  box.hidden = false;
}

async function work() {
  if (working) return;
  working = true;
  for (let one = next(); one; one = next()) {
    try {
      await send(one);
    } catch (error) {
      if (one.state !== "cancelled") tell(one, "failed", error.message);
    }
  }
  working = false;
}
const next = () => queue.find((one) => one.state === "waiting");

const query = (one) => ({
  folder: one.folder, name: wire(one.file.name), size: one.file.size, key: `${one.file.lastModified}`,
});

async function send(one) {
  one.abort = new AbortController();
  tell(one, "going", say("Looking"));
  const begun = await call("GET", "upload", { query: query(one), signal: one.abort.signal });
  if (begun.taken && !one.taken) one.taken = await choose(one, begun.taken);
  if (one.taken === "skip") return cancel(one);
  one.sent = begun.offset;
  if (one.sent > 0) tell(one, "going", say("Goes on at {size}", { size: size(one.sent) }));
  let tries = 0;
  while (one.sent < one.file.size) {
    try {
      const piece = one.file.slice(one.sent, one.sent + PIECE);
      one.sent = (await put(one, piece)).offset;
      tries = 0;
    } catch (error) {
      if (error.code === "offset") one.sent = error.data.offset;
      else if (one.state === "cancelled" || ![0, 502, 503, 504].includes(error.status)) throw error;
      else await again(one, ++tries, error);
    }
    tell(one, "going", say("{sent} of {size}", { sent: size(one.sent), size: size(one.file.size) }));
  }
  const ended = await call("POST", "upload", { query: { ...query(one), taken: one.taken || undefined } });
  tell(one, "done", say("Uploaded"));
  one.done(ended.path);
}

async function again(one, tries, error) {
  if (tries > TRIES) throw error;
  tell(one, "going", say("The connection was lost. Trying again…"));
  await new Promise((resolve) => setTimeout(resolve, Math.min(15000, 500 * 2 ** tries)));
  one.sent = (await call("GET", "upload", { query: query(one), signal: one.abort.signal }).catch(() => ({ offset: one.sent }))).offset;
}

// fetch tells no progress of what is sent.
function put(one, piece) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const url = new URL("api/upload", document.baseURI);
    for (const [key, value] of Object.entries({ ...query(one), offset: one.sent })) url.searchParams.set(key, value);
    request.open("PUT", url);
    request.setRequestHeader("X-XSRF-Token", document.querySelector('meta[name="xsrf"]').content);
    request.responseType = "json";
    const start = one.sent;
    request.upload.addEventListener("progress", (event) => { one.bar.value = (start + event.loaded) / Math.max(1, one.file.size); });
    request.addEventListener("load", () => request.status < 300 ? resolve(request.response) : reject(new Refused(request.status, request.response ?? {})));
    for (const kind of ["error", "abort"]) request.addEventListener(kind, () => reject(new Refused(0, { message: say("The connection was lost.") })));
    one.abort.signal.addEventListener("abort", () => request.abort());
    request.send(piece);
  });
}

async function choose(one, kind) {
  const both = h("button", { className: "btn", type: "button" }, say("Keep both"));
  const skip = h("button", { className: "btn", type: "button" }, say("Skip"));
  const text = kind === "file" ? say("There is a file “{name}” already. If it is replaced, the old one goes to the trash.", { name: one.file.name }) : say("There is a folder “{name}” already.", { name: one.file.name });
  const asked = dialog({
    title: say("The name is taken"), body: h("p", {}, text), confirm: kind === "file" ? say("Replace") : "", read: () => "replace", extra: [skip, both],
  });
  both.addEventListener("click", () => both.closest("dialog").done("both"));
  skip.addEventListener("click", () => skip.closest("dialog").done("skip"));
  return await asked ?? "skip";
}

async function cancel(one) {
  tell(one, "cancelled", say("Cancelled"));
  one.abort?.abort();
  await call("DELETE", "upload", { query: query(one) }).catch(() => {});
}

function draw(one) {
  one.bar = h("progress", { max: 1, value: 0, "aria-label": say("Progress of {name}", { name: one.file.name }) });
  one.words = h("span", { className: "said", "aria-live": "polite" }, one.said);
  one.stop = h("button", { className: "btn btn-sm btn-plain btn-icon", type: "button", "aria-label": say("Cancel or remove {name}", { name: one.file.name }), onclick: () => drop(one) }, icon("x"));
  one.retry = h("button", { className: "linkish", type: "button", hidden: true, onclick: () => { tell(one, "waiting", say("Waiting")); work(); } }, say("Try again"));
  const row = h("div", { className: "upload" }, h("span", { className: "upload-name" }, one.file.name, " ", one.retry), one.stop, one.bar, one.words);
  row.dataset.state = one.state;
  box.append(row);
  return row;
}

async function drop(one) {
  if (one.state === "going" || one.state === "waiting" || one.state === "failed") await cancel(one).catch(() => {});
  queue.splice(queue.indexOf(one), 1);
  one.row.remove();
  box.hidden = queue.length === 0;
}

function tell(one, state, said) {
  one.state = state;
  one.row.dataset.state = state;
  one.words.textContent = said;
  one.retry.hidden = state !== "failed";
  one.bar.hidden = state === "failed" || state === "cancelled";
  one.bar.value = state === "done" ? 1 : one.sent / Math.max(1, one.file.size);
  if (state === "done" || state === "cancelled") setTimeout(() => { if (queue.includes(one)) drop(one); }, state === "done" ? 6000 : 1500);
}
