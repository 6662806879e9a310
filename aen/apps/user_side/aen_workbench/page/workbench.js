// The Workbench: what is in a folder and what can be done with it. The address's #part says what is shown.

import { above, get, last, link, plain, post, wire } from "./api.js";
import { permissions } from "./access.js";
import { ask, dialog, h, hint, icon, menu, size, time, toast } from "./dom.js";
import { check, close, edit, unsaved } from "./editor.js";
import { choose, deleteThings, showDirectory, trash } from "./moves.js";
import { dropped, upload } from "./uploads.js";
import { say } from "./words.js";

const view = document.getElementById("view");
const LOOK_MS = 4000;
const PICTURE = /\.(png|jpe?g|gif|webp|avif|bmp|svg)$/i;
let me = null;
let now = null; // {path, text, rows, folder}: the folder that is shown
let picked = new Set();
let focused = "";
const order = { sort: "name", desc: false, hidden: false };

async function start() {
  me = await get("about");
  document.getElementById("project").textContent = me.project;
  if (/^https?:\/\//.test(me.site)) document.getElementById("home").href = me.site;
  document.getElementById("show").addEventListener("click", () => showDirectory(me));
  addEventListener("hashchange", route);
  setInterval(look, LOOK_MS);
  await route();
}

let shown = "";
let routes = 0; // what was asked for before the last of them and comes late is not shown any more
const since = () => { const mine = routes; return () => mine === routes; };

async function route() {
  const hash = location.hash.slice(1);
  if (unsaved() && hash !== shown) {
    const leave = await dialog({ title: say("Your text is not saved"), body: h("p", {}, say("If you leave now, what you changed is lost.")), confirm: say("Leave without saving"), danger: true });
    if (!leave) return history.replaceState(null, "", `#${shown}`);
  }
  if (hash === shown && unsaved()) return;
  shown = hash;
  routes += 1;
  const wanted = since();
  document.title = [named(hash), "Workbench", me.project, "AEN"].filter(Boolean).join(" · ");
  close();
  now = null;
  picked = new Set();
  try {
    if (hash === "trash") await trash(view, me, wanted);
    else if (hash.startsWith("edit:")) await edit(view, hash.slice(5), me.user, wanted);
    else await folder(hash || me.root);
  } catch (error) {
    if (wanted()) problem(error, hash);
  }
}

// What the browser's tab says first: the folder or file that is shown; nothing at the top of the project.
function named(hash) {
  if (hash === "trash") return say("Trash");
  const path = hash.startsWith("edit:") ? hash.slice(5) : hash;
  return path && path !== me.root ? plain(last(path)) : "";
}

function problem(error, hash) {
  const path = hash.startsWith("edit:") ? hash.slice(5) : hash;
  view.replaceChildren(h("div", { className: "card" }, h("div", { className: "empty" },
    h("h2", {}, say("This can't be opened")), h("p", {}, error.message),
    h("p", { className: "row" },
      error.code === "binary" || error.code === "too-large" ? h("a", { className: "btn btn-primary", href: link("file", path) }, say("Download it")) : null,
      h("a", { className: "btn", href: `#${me.root}` }, say("To the project's files"))))));
}

// ── a folder ───────────────────────────────────────────────────────────────

const asked = (path) => ({ path, sort: order.sort, desc: order.desc ? 1 : 0, hidden: order.hidden ? 1 : 0 });

async function folder(path) {
  const wanted = since();
  const found = await get("folder", asked(path));
  if (!wanted()) return;
  now = { path, folder: found, text: JSON.stringify(found) };
  draw();
}

async function refresh() {
  if (!now) return;
  const { path } = now;
  const wanted = since();
  try { await folder(path); } catch (error) { if (wanted()) { problem(error, path); now = null; } }
}

// Others work here too: the page looks by itself, as long as somebody looks at it.
async function look() {
  if (document.visibilityState !== "visible") return;
  if (!now) return check();
  if (document.querySelector("dialog[open], details[open], #find:focus:not(:placeholder-shown)")) return;
  const before = now;
  try {
    const found = await get("folder", asked(before.path), { alone: true });
    if (now !== before || JSON.stringify(found) === before.text || document.querySelector("dialog[open], details[open]")) return;
    now = { ...before, folder: found, text: JSON.stringify(found) };
    draw();
  } catch (error) {
    if (now === before && (error.code === "denied" || error.code === "gone")) { problem(error, before.path); now = null; }
  }
}

function draw() {
  const { folder: found, path } = now;
  const known = new Set(found.rows.map((row) => row.path));
  picked = new Set([...picked].filter((one) => known.has(one)));
  const typed = document.getElementById("find")?.value ?? "";
  const hadFocus = document.activeElement?.closest?.("[data-path]")?.dataset.path;
  view.replaceChildren(crumbs(path), tools(found, path), notes(found, path), files(found.rows), selection(), keys());
  if (typed) document.getElementById("find").value = typed;
  const again = focused || hadFocus; // what is gone gives the focus to the first that is there
  if (again) (rowOf(again) ?? view.querySelector("tr[data-path]"))?.querySelector("a")?.focus();
  focused = "";
}

const rowOf = (path) => [...view.querySelectorAll("tr[data-path]")].find((row) => row.dataset.path === path);

function crumbs(path) {
  const roots = [[me.root, me.project], [me.home, say("home")]];
  const [root, name] = roots.find(([one]) => path === one || path.startsWith(`${one}/`)) ?? ["", "/"];
  const parts = path.slice(root.length).split("/").filter(Boolean);
  const items = [[root || "/", name], ...parts.map((part, at) => [`${root}/${parts.slice(0, at + 1).join("/")}`, plain(part)])];
  return h("nav", { "aria-label": say("Where you are") }, h("ol", { className: "crumbs" }, items.map(([to, text], at) =>
    h("li", {}, at === items.length - 1 ? h("span", { "aria-current": "page", title: text }, text) : h("a", { href: `#${to}`, title: text }, text)))));
}

function tools(found, path) {
  const input = h("input", { type: "file", multiple: true, hidden: true, id: "choose", onchange: () => { upload(path, [...input.files], uploaded); input.value = ""; } });
  const find = h("input", { className: "input", id: "find", type: "search", placeholder: say("Search by name"), "aria-label": say("Search by file name, in this folder and below"), autocomplete: "off", oninput: searching });
  const made = menu(say("New"), [
    { name: say("File"), run: () => make("file") }, { name: say("Folder"), run: () => make("folder") },
  ], say("New"));
  made.querySelector("summary").className = "btn";
  made.querySelector(".menu-box").classList.add("menu-left");
  return h("div", { className: "tools" },
    h("div", { className: "search" }, find),
    h("button", { className: "btn btn-primary", type: "button", disabled: !found.writable, onclick: () => input.click() }, say("Upload")), input,
    found.writable ? made : null,
    h("a", { className: "btn", href: link("zip", path), title: say("Download this folder") }, say("Download zip")),
    h("button", { className: "btn btn-plain", type: "button", "aria-pressed": String(order.hidden), onclick: () => { order.hidden = !order.hidden; refresh(); } }, order.hidden ? say("Don't show hidden") : say("Show hidden")));
}

function notes(found, path) {
  const box = h("div", {});
  if (!found.writable) box.append(h("div", { className: "notice" }, h("div", {}, say("You may look at this folder, not change what is in it. It is owned by {owner}.", { owner: found.owner }))));
  if (found.partial.count) {
    box.append(h("div", { className: "notice", "data-kind": "info" }, h("div", {}, unfinished(found.partial), " ",
      h("button", { className: "linkish", type: "button", onclick: () => run(async () => { await fetchDelete(path); await refresh(); }) }, say("Remove")))));
  }
  if (found.total > found.rows.length) box.append(h("p", { className: "muted" }, say("The first {n} of {all}. Search by name to find the others.", { n: found.rows.length, all: found.total })));
  return box;
}

function unfinished({ count, bytes }) {
  const values = { n: count, size: size(bytes) };
  return count === 1 ? say("One unfinished upload ({size}). Upload the same file again to go on where it stopped.", values)
    : say("{n} unfinished uploads ({size}). Upload the same files again to go on where they stopped.", values);
}

const fetchDelete = async (folder) => (await import("./api.js")).call("DELETE", "uploads", { query: { folder } });

function files(rows, found = false) {
  const head = (name, label, kind = "") => h("th", { scope: "col", className: kind, "aria-sort": order.sort === name ? (order.desc ? "descending" : "ascending") : undefined },
    h("button", { className: "sorter", type: "button", onclick: () => { order.desc = order.sort === name && !order.desc; order.sort = name; refresh(); } }, label, order.sort === name ? (order.desc ? " ↓" : " ↑") : ""));
  const box = h("div", { className: "card files", "aria-label": say("Files"), role: "region" });
  if (rows.length === 0) {
    box.append(h("div", { className: "empty" }, h("h2", {}, found ? say("Nothing has such a name") : say("This folder is empty")), h("p", {}, found ? "" : say("Drop files here, or press Upload."))));
  } else {
    const all = h("input", { type: "checkbox", "aria-label": say("Select all"), checked: rows.every((row) => picked.has(row.path)), onchange: () => { picked = new Set(all.checked ? rows.map((row) => row.path) : []); draw(); } });
    box.append(h("div", { className: "table-box" }, h("table", { className: "table" },
      h("thead", {}, h("tr", {}, h("th", { className: "pick", scope: "col" }, found ? "" : all), head("name", say("Name")), head("size", say("Size"), "num"), head("modified", say("Changed")), head("owner", say("Owner")), h("th", { scope: "col" }, h("span", { className: "unseen" }, say("What can be done"))))),
      h("tbody", {}, rows.map((row) => one(row, found))))));
  }
  dropZone(box);
  return box;
}

function one(row, found) {
  const pick = h("input", { type: "checkbox", checked: picked.has(row.path), "aria-label": say("Select {name}", { name: row.name }), onchange: () => choosePick(row.path, pick.checked) });
  const name = h("a", { href: target(row), title: row.name.length > 60 ? row.name : undefined, onclick: (event) => { if (opens(row)) { event.preventDefault(); opens(row)(); } } }, row.name);
  const sub = row.target !== undefined ? ` → ${row.target}` : found && row.folder ? say(" in {folder}", { folder: row.folder }) : "";
  const element = h("tr", { "data-path": row.path, "aria-selected": String(picked.has(row.path)) },
    h("td", { className: "pick" }, found ? null : pick),
    h("td", {}, h("div", { className: "name" }, icon(row.kind), name, sub ? h("span", { className: "sub" }, sub) : null)),
    h("td", { className: "num fact size" }, row.kind === "file" ? size(row.size) : ""),
    h("td", { className: "fact" }, time(row.modified)),
    h("td", { className: "owner" }, row.mine ? say("you") : row.owner),
    h("td", { className: "act" }, menu(say("What can be done with {name}", { name: row.name }), actions(row))));
  element.addEventListener("keydown", (event) => pressed(event, row));
  return element;
}

const target = (row) => row.kind === "folder" ? `#${row.path}` : row.kind === "file" && !PICTURE.test(row.name) ? `#edit:${row.path}` : "#";

function opens(row) {
  if (row.kind === "link") return () => run(async () => {
    const real = await get("resolve", { path: row.path });
    location.hash = real.kind === "folder" ? `#${real.path}` : `#edit:${real.path}`;
  });
  if (row.kind === "other") return () => toast(say("This is no file: a pipe, a socket or a device."));
  return row.kind === "file" && PICTURE.test(row.name) ? () => picture(row) : null;
}

function actions(row) {
  const again = () => { focused = row.path; return refresh(); };
  return [
    row.kind === "file" && { name: say("Open as text"), href: `#edit:${row.path}` },
    row.kind === "file" && { name: say("Download"), href: link("file", row.path) },
    row.kind === "folder" && { name: say("Download as zip"), href: link("zip", row.path) },
    { name: say("Rename…"), run: () => rename(row) },
    { name: say("Move…"), run: () => choose(me, "move", [row.path], again) },
    { name: say("Copy…"), run: () => choose(me, "copy", [row.path], again) },
    (row.kind === "file" || row.kind === "folder") && { name: say("Permissions…"), run: () => run(() => permissions(row.path, again, onThePage(row))) },
    shareable(row) && { name: say("Share by a link…"), run: () => window.open(shareable(row), "_blank", "noopener") },
    { name: say("Delete"), danger: true, run: () => deleteThings([row], refresh) },
  ];
}

// The project's page makes links: what runs here can't, so nothing of the project can share itself.
function shareable(row) {
  const path = below(row);
  return !path || path.split("/").some((part) => part.startsWith(".")) ? "" : `${me.site}/settings/links?file=${encodeURIComponent(path)}`;
}

// Where those who lead the project set rights on what others own.
function onThePage(row) {
  const path = below(row);
  return path ? `${me.site}/settings/rights?file=${encodeURIComponent(path)}` : "";
}

function below(row) {
  const inside = row.path.startsWith(`${me.root}/`) && (row.kind === "file" || row.kind === "folder");
  return inside && /^https?:\/\//.test(me.site) ? row.path.slice(me.root.length + 1) : "";
}

function selection() {
  const rows = now.folder.rows.filter((row) => picked.has(row.path));
  const paths = rows.map((row) => row.path);
  return h("div", { className: "picked", hidden: rows.length === 0, role: "region", "aria-label": say("Selected") },
    h("span", {}, say("{n} selected", { n: rows.length })),
    h("a", { className: "btn btn-sm", href: rows.length ? link("zip", paths) : "#" }, say("Download zip")),
    h("button", { className: "btn btn-sm", type: "button", onclick: () => choose(me, "move", paths, refresh) }, say("Move…")),
    h("button", { className: "btn btn-sm", type: "button", onclick: () => choose(me, "copy", paths, refresh) }, say("Copy…")),
    h("button", { className: "btn btn-sm btn-danger", type: "button", onclick: () => deleteThings(rows, refresh) }, say("Delete")));
}

function choosePick(path, on) {
  if (on) picked.add(path); else picked.delete(path);
  rowOf(path)?.setAttribute("aria-selected", String(on));
  view.querySelector(".picked").replaceWith(selection());
}

// ── keys ───────────────────────────────────────────────────────────────────

function keys() {
  return hint(say("[↑] [↓] move, [Enter] opens, [Space] selects, [F2] renames, [Del] deletes, [Backspace] goes up, [/] searches."));
}

function pressed(event, row) {
  if (event.target.tagName === "INPUT" || event.ctrlKey || event.metaKey || event.altKey) return;
  const on = event.target.closest("details") === null;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const act = step ? () => {
    const rows = [...view.querySelectorAll("tr[data-path]")];
    rows[rows.indexOf(rowOf(row.path)) + step]?.querySelector("a")?.focus();
  } : { F2: () => rename(row), Delete: () => deleteThings([row], refresh), " ": () => choosePick(row.path, toggled(row.path)) }[event.key];
  if (!on || !act) return;
  event.preventDefault();
  act();
}

function toggled(path) {
  const box = rowOf(path).querySelector("input");
  box.checked = !box.checked;
  return box.checked;
}

document.addEventListener("keydown", (event) => {
  if (!now || event.target.matches("input, textarea, select") || document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); document.getElementById("find").focus(); }
  if (event.key === "Backspace" && now.path !== me.root && now.path !== "/") { event.preventDefault(); focused = now.path; location.hash = `#${above(now.path)}`; }
  if (event.key === "ArrowDown" && event.target === document.body) { event.preventDefault(); view.querySelector("tr[data-path] a")?.focus(); }
});

// ── what can be done ───────────────────────────────────────────────────────

async function run(work) {
  try { await work(); } catch (error) { toast(error.message); }
}

async function make(kind) {
  const made = await ask(kind === "file" ? say("New file") : say("New folder"), say("Name"), "", say("Create"), (name) => post("make", { folder: now.path, name: wire(name), kind }));
  if (!made) return;
  if (kind === "file") location.hash = `#edit:${made.path}`;
  else { focused = made.path; await refresh(); }
}

async function rename(row) {
  const made = await ask(say("Rename “{name}”", { name: row.name }), say("New name"), plain(last(row.path)), say("Rename"), (name) => post("rename", { path: row.path, name: wire(name) }));
  if (made) { focused = made.path; await refresh(); }
}

function picture(row) {
  const image = h("img", { src: link("picture", row.path), alt: row.name });
  const box = h("div", { className: "picture" }, image);
  image.addEventListener("error", () => box.replaceChildren(h("p", {}, say("This picture can't be shown here. It can be downloaded."))));
  dialog({ title: row.name, body: box, confirm: "", wide: true, extra: [h("a", { className: "btn", href: link("file", row.path) }, say("Download"))] });
}

let pending = null;
let typing = 0;
function searching(event) {
  clearTimeout(typing);
  pending?.abort();
  const words = event.target.value.trim();
  const result = () => view.querySelector(".files");
  if (!words) { result().replaceWith(files(now.folder.rows)); return; }
  typing = setTimeout(async () => {
    pending = new AbortController();
    try {
      const found = await get("search", { path: now.path, q: words }, { signal: pending.signal });
      const box = files(found.rows, true);
      box.prepend(h("p", { className: "card-body muted small", role: "status" }, found.complete ? say("{n} found here and below", { n: found.rows.length }) : say("The first {n} found; type more of the name to find others", { n: found.rows.length })));
      result().replaceWith(box);
    } catch (error) {
      if (error.name !== "AbortError") toast(error.message);
    }
  }, 150);
}

let soon = 0;
function uploaded() {
  clearTimeout(soon);
  soon = setTimeout(refresh, 200); // many small files end close together
}

function dropZone(box) {
  const has = (event) => [...event.dataTransfer.types].includes("Files") && now.folder.writable;
  box.addEventListener("dragover", (event) => { if (has(event)) { event.preventDefault(); box.classList.add("dropping"); } });
  box.addEventListener("dragleave", (event) => { if (!box.contains(event.relatedTarget)) box.classList.remove("dropping"); });
  box.addEventListener("drop", (event) => {
    if (!has(event)) return;
    event.preventDefault();
    box.classList.remove("dropping");
    run(() => dropped(now.path, event.dataTransfer.items, uploaded));
  });
}

start().catch((error) => view.replaceChildren(h("p", { className: "problem" }, error.message)));
