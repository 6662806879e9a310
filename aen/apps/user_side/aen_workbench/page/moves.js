// Moving, copying and deleting; the trash; going to another directory.

import { above, get, post } from "./api.js";
import { ask, dialog, h, icon, size, time, toast } from "./dom.js";
import { say } from "./words.js";

const VERBS = {
  move: { one: say("Move to…"), many: say("Move {n} things to…"), here: say("Move here") },
  copy: { one: say("Copy to…"), many: say("Copy {n} things to…"), here: say("Copy here") },
};

// A folder is chosen by walking to it; then each path is moved or copied there: `verb` says which.
export async function choose(me, verb, paths, done) {
  const words = VERBS[verb];
  let target = above(paths[0]);
  const where = h("strong", {});
  const list = h("div", { className: "folders" });
  async function go(path) {
    const found = await get("folder", { path });
    target = path;
    where.textContent = decodeShown(path, me);
    const up = path === me.root || path === me.home || path === "/" ? [] : [entry("..", () => go(above(path)))];
    const folders = found.rows.filter((row) => row.kind === "folder" && !paths.includes(row.path));
    list.replaceChildren(...up, ...folders.map((row) => entry(row.name, () => go(row.path))), folders.length + up.length ? "" : h("p", { className: "muted small" }, say("No folders in here.")));
  }
  const entry = (name, run) => h("button", { type: "button", onclick: () => run().catch((error) => toast(error.message)) }, icon("folder"), name);
  const start = (name, path) => h("button", { className: "btn btn-sm", type: "button", onclick: () => go(path).catch((error) => toast(error.message)) }, name);
  const asking = dialog({
    title: paths.length === 1 ? words.one : words.many.replace("{n}", paths.length),
    confirm: words.here,
    body: [h("div", { className: "row" }, start(say("Project"), me.root), start(say("Your home"), me.home)), h("p", {}, say("Into: "), where), list],
    act: async () => {
      let left = 0;
      for (const path of paths) left += (await post(verb, { path, folder: target })).left ?? 0;
      if (left) toast(say("Left out, since they could not be read: {n}", { n: left }));
      return true;
    },
  });
  await go(target).catch(() => go(me.root));
  await asking;
  await done(); // some may have been moved before an error
}

function decodeShown(path, me) {
  for (const [root, name] of [[me.root, me.project], [me.home, say("home")]]) {
    if (path === root || path.startsWith(`${root}/`)) path = name + path.slice(root.length);
  }
  return path.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } }).join("/");
}

export async function deleteThings(rows, done) {
  const gone = [];
  try {
    for (const row of rows) {
      try {
        gone.push(await post("delete", { path: row.path }));
      } catch (error) {
        if (error.code !== "no-trash") throw error;
        if (!await forGood(say("Delete “{name}” for good?", { name: row.name }), say("There is no trash on this disk: it can't be brought back."))) break;
        await post("delete", { path: row.path, forever: true });
      }
    }
  } catch (error) {
    toast(error.message);
  }
  await done();
  if (gone.length) {
    toast(gone.length === 1 ? say("Moved to the trash.") : say("{n} things moved to the trash.", { n: gone.length }), { name: say("Undo"), run: async () => {
      try {
        for (const one of gone) await post("trash/restore", one);
      } catch (error) {
        toast(error.message);
      }
      await done();
    } });
  }
}

const forGood = (title, text) => dialog({ title, body: h("p", {}, text), confirm: say("Delete for good"), danger: true });

export async function trash(view, me, wanted) {
  const boxes = [];
  for (const [root, name] of [[me.root, me.project], [me.home, say("your home")]]) {
    const found = await get("trash", { root });
    if (found.rows.length || root === me.root) boxes.push(section(view, me, wanted, root, name, found.rows));
  }
  if (!wanted()) return;
  view.replaceChildren(h("div", { className: "page-head" }, h("h2", {}, say("Trash")), h("div", { className: "actions" }, h("a", { className: "btn", href: `#${me.root}` }, say("To the files")))), ...boxes);
}

function section(view, me, wanted, root, name, rows) {
  const act = (work) => async () => {
    try { await work(); } catch (error) { toast(error.message); }
    await trash(view, me, wanted);
  };
  const restore = (row) => act(async () => { await post("trash/restore", { root, entry: row.entry }); toast(say("“{name}” is back.", { name: row.name })); });
  const remove = (row) => act(async () => { if (await forGood(say("Delete “{name}” for good?", { name: row.name }), say("It can't be brought back."))) await post("trash/empty", { root, entry: row.entry }); });
  const empty = act(async () => {
    if (!await forGood(say("Empty the trash of {name}?", { name }), say("All that is in it ({n}) is deleted for good, whoever put it there.", { n: rows.length }))) return;
    const { left } = await post("trash/empty", { root });
    if (left) toast(say("Not deleted, since others own them: {n}", { n: left }));
  });
  return h("section", { className: "card" },
    h("div", { className: "card-head" }, h("h3", {}, say("Of {name}", { name })), rows.length ? h("button", { className: "btn btn-sm btn-danger", type: "button", onclick: empty }, say("Empty the trash")) : null),
    h("div", { className: "list" }, rows.length ? rows.map((row) => h("div", { className: "item" }, icon(row.kind),
      h("div", { className: "item-main" }, h("div", { className: "item-title" }, row.name), h("div", { className: "item-sub" }, row.replaced ? say("Replaced by {name}, ", { name: row.by }) : say("Deleted by {name}, ", { name: row.by }), time(row.at), say(", from {place}", { place: decodeShown(above(row.path), me) }), row.kind === "file" ? `, ${size(row.size)}` : "")),
      h("div", { className: "item-end" }, h("button", { className: "btn btn-sm", type: "button", onclick: restore(row), "aria-label": say("Restore {name}", { name: row.name }) }, say("Restore")),
        h("button", { className: "btn btn-sm btn-plain btn-danger", type: "button", onclick: remove(row), "aria-label": say("Delete {name} for good", { name: row.name }) }, say("Delete"))))) : h("div", { className: "empty" }, h("p", {}, say("Nothing was deleted.")))));
}

export function showDirectory(me) {
  return ask(say("Show directory"), say("Path on this machine"), me.home.split("/").map(decodeURIComponent).join("/"), say("Show"), async (typed) => {
    const real = await get("resolve", { typed });
    location.hash = real.kind === "folder" ? `#${real.path}` : `#edit:${real.path}`;
  }, say("Your home, or a path that somebody shared with you, like /home/bob/results."));
}
