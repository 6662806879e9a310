// The text editor: saves only over the version that was opened; when somebody was faster, both versions are shown.

import { above, call, get, last, link, plain, post, wire } from "./api.js";
import { ago, ask, dialog, h, hint, icon, toast } from "./dom.js";
import { say } from "./words.js";

let open = null; // {path, etag, modified, text, area}

export const unsaved = () => open !== null && open.area.value !== open.text;
addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });

export function close() {
  open = null;
}

export async function edit(view, path, me, wanted) {
  const read = await get("text", { path });
  if (!wanted()) return;
  const area = h("textarea", {
    className: "textarea", value: read.text, spellcheck: false, readOnly: !read.writable, wrap: "off", "aria-label": say("Text of {name}", { name: plain(last(path)) }),
  });
  open = { path, etag: read.etag, modified: read.modified, text: area.value, area, me, crlf: read.text.includes("\r\n") && !/[^\r]\n/.test(read.text) };
  open.said = h("span", { className: "muted small", role: "status" }, say("Changed {ago}, owned by {owner}", { ago: ago(read.modified), owner: read.owner }));
  open.save = h("button", { className: "btn btn-primary", type: "button", disabled: true, onclick: save }, say("Save"));
  open.strip = h("div", { role: "alert" });
  area.addEventListener("input", () => { open.save.disabled = !unsaved(); if (unsaved()) tell(say("Not saved yet")); });
  area.addEventListener("keydown", tab);
  view.replaceChildren(h("div", { className: "editor" },
    h("div", { className: "editor-head" },
      h("h2", {}, plain(last(path))), open.said,
      h("a", { className: "btn", href: `#${above(path)}` }, say("Close")),
      h("a", { className: "btn", href: link("file", path) }, say("Download")), open.save),
    open.strip,
    read.writable ? null : h("p", { className: "notice" }, icon("file"), h("div", {}, say("You may read this file, not change it. Ask {owner} or a maintainer of the project.", { owner: read.owner }))),
    area,
    hint(say("[Ctrl] + [S] saves. [Esc] then [Tab] leaves the text."))));
  area.focus();
  area.setSelectionRange(0, 0);
}

// Tab indents; after Escape it moves the focus, so that nobody is caught in the text.
let leaving = false;
function tab(event) {
  if (event.key === "Escape") { leaving = true; return; }
  if (event.key === "Tab" && !leaving && !event.shiftKey && !event.ctrlKey && !event.altKey) {
    event.preventDefault();
    document.execCommand("insertText", false, "    "); // the only way that undo knows of
  }
  leaving = false;
}

document.addEventListener("keydown", (event) => {
  if (open && (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
    event.preventDefault();
    if (!open.save.disabled) save();
  }
});

const tell = (text) => { open.said.textContent = text; };
const body = (text) => new Blob([open.crlf ? text.replace(/\n/g, "\r\n") : text]);

async function save() {
  const mine = open;
  mine.save.disabled = true;
  tell(say("Saving…"));
  try {
    await put(mine, mine.etag, false);
  } catch (error) {
    if (open !== mine) return;
    mine.save.disabled = false;
    tell(say("Not saved"));
    if (error.code === "changed") conflict(mine, error.data);
    else if (error.code === "gone") gone(mine);
    else notice(mine, error.message, "bad");
  }
}

async function put(mine, etag, keep) {
  const text = mine.area.value;
  const saved = await call("PUT", "text", { query: { path: mine.path, keep: keep ? 1 : undefined }, body: body(text), headers: { "If-Match": `"${etag}"` } });
  Object.assign(mine, { etag: saved.etag, modified: saved.modified, text });
  mine.strip.replaceChildren();
  if (open !== mine) return;
  mine.save.disabled = !unsaved();
  tell(unsaved() ? say("Not saved yet") : say("Saved"));
}

function notice(mine, text, kind, ...buttons) {
  mine.strip.replaceChildren(h("div", { className: "notice", "data-kind": kind }, h("div", {}, text, " ", ...buttons)));
}

const button = (name, run) => h("button", { className: "linkish", type: "button", onclick: run }, name);

function gone(mine) {
  notice(mine, say("This file was moved or deleted meanwhile. Your text is still here."), "bad", button(say("Save it as a new file"), () => saveCopy(mine)));
}

async function saveCopy(mine) {
  const name = plain(last(mine.path));
  const dot = name.lastIndexOf(".") > 0 ? name.lastIndexOf(".") : name.length;
  const made = await ask(say("Save as a new file"), say("Name"), `${name.slice(0, dot)} (${mine.me})${name.slice(dot)}`, say("Save"), async (given) => {
    const file = await post("make", { folder: above(mine.path), name: wire(given), kind: "file" });
    const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; // of nothing
    await call("PUT", "text", { query: { path: file.path }, body: body(mine.area.value), headers: { "If-Match": `"${empty}"` } });
    return file;
  });
  if (!made) return false;
  mine.text = mine.area.value;
  toast(say("Your version was saved beside it."));
  location.hash = `#edit:${made.path}`;
  return true;
}

// Both versions side by side, lines that differ marked; then a choice, none of which loses anything.
function conflict(mine, now) {
  const [left, right] = marked(mine.area.value, now.text.replace(/\r\n/g, "\n"));
  const choice = (name, run, kind = "") => h("button", { className: `btn ${kind}`, type: "button", onclick: async (event) => {
    const box = event.target.closest("dialog");
    try {
      if (await run() !== false) box.close();
    } catch (error) {
      if (error.code === "changed") { box.close(); conflict(mine, error.data); } else toast(error.message);
    }
  } }, name);
  const take = async () => {
    mine.area.value = now.text;
    Object.assign(mine, { etag: now.etag, modified: now.modified, text: mine.area.value });
    mine.strip.replaceChildren();
    mine.save.disabled = true;
    tell(say("This is the version as it was saved by somebody else"));
  };
  dialog({
    title: say("Somebody else changed this file"),
    wide: true,
    confirm: "",
    body: [
      h("p", {}, say("Nothing is lost and nothing was saved yet. Look at both versions, then choose. To merge them, close this, edit your text, and save again.")),
      h("div", { className: "versions" },
        h("div", { className: "version", "data-whose": "mine" }, h("h3", {}, say("Your version")), left),
        h("div", { className: "version", "data-whose": "theirs" }, h("h3", {}, say("Saved {ago} by somebody else", { ago: ago(now.modified) })), right)),
    ],
    extra: [
      choice(say("Take theirs"), take),
      choice(say("Save mine as a copy"), () => saveCopy(mine)),
      choice(say("Save mine over it (theirs goes to the trash)"), () => put(mine, now.etag, true), "btn-primary"),
    ],
  });
  notice(mine, say("Somebody else changed this file. Your text is not saved."), "busy", button(say("See both versions"), () => conflict(mine, now)));
}

// Lines that only one side has, by the longest common subsequence; between equal beginnings and ends only.
function marked(mine, theirs) {
  const a = mine.split("\n"), b = theirs.split("\n");
  let start = 0, end = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const common = same(a.slice(start, a.length - end), b.slice(start, b.length - end));
  const draw = (lines, kept, kind) => h("pre", { tabIndex: 0 }, lines.map((line, number) =>
    h("span", { className: number < start || number >= lines.length - end || kept.has(number - start) ? "" : kind }, line)));
  return [draw(a, common[0], "only"), draw(b, common[1], "theirs")];
}

function same(a, b) {
  const kept = [new Set(), new Set()];
  if (a.length * b.length > 4e6) return kept; // too much to compare: all of it is shown as different
  const width = b.length + 1;
  const table = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      table[i * width + j] = a[i] === b[j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i] === b[j]) { kept[0].add(i++); kept[1].add(j++); }
    else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i++;
    else j++;
  }
  return kept;
}

// Whether somebody else saved it meanwhile: told before one's own work is done.
export async function check() {
  const mine = open;
  if (!mine) return;
  try {
    const now = await get("text/stamp", { path: mine.path, known: mine.modified }, { alone: true });
    if (open !== mine || !now.etag) return;
    mine.modified = now.modified;
    if (now.etag === mine.etag) return;
    if (unsaved()) {
      notice(mine, say("Somebody else saved this file just now. When you save, you will see both versions."), "busy");
      return;
    }
    const read = await get("text", { path: mine.path }, { alone: true });
    if (open !== mine || unsaved()) return;
    const at = mine.area.selectionStart;
    mine.area.value = read.text;
    Object.assign(mine, { etag: read.etag, modified: read.modified, text: mine.area.value });
    mine.area.setSelectionRange(at, at);
    tell(say("Somebody else saved this file just now: this is their version"));
  } catch (error) {
    if (error.code === "gone" && open === mine) gone(mine);
  }
}
