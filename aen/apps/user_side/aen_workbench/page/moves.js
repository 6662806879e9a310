// Moving, copying and deleting; the trash; going to another directory.

import { above, get, post } from "./api.js";
import { ask, dialog, h, icon, size, time, toast } from "./dom.js";

// A folder is chosen by walking to it; then each path is moved or copied there.
export async function choose(me, verb, paths, done) {
  let target = above(paths[0]);
  const where = h("strong", {});
  const list = h("div", { className: "folders" });
  async function go(path) {
    const found = await get("folder", { path });
    target = path;
    where.textContent = decodeShown(path, me);
    const up = path === me.root || path === me.home || path === "/" ? [] : [entry("..", () => go(above(path)))];
    const folders = found.rows.filter((row) => row.kind === "folder" && !paths.includes(row.path));
    list.replaceChildren(...up, ...folders.map((row) => entry(row.name, () => go(row.path))), folders.length + up.length ? "" : h("p", { className: "muted small" }, "No folders in here."));
  }
  const entry = (name, run) => h("button", { type: "button", onclick: () => run().catch((error) => toast(error.message)) }, icon("folder"), name);
  const start = (name, path) => h("button", { className: "btn btn-sm", type: "button", onclick: () => go(path).catch((error) => toast(error.message)) }, name);
  const asking = dialog({
    title: paths.length === 1 ? `${verb} to…` : `${verb} ${paths.length} things to…`,
    confirm: `${verb} here`,
    body: [h("div", { className: "row" }, start("Project", me.root), start("Home", me.home)), h("p", {}, "Into: ", where), list],
    act: async () => {
      let left = 0;
      for (const path of paths) left += (await post(verb.toLowerCase(), { path, folder: target })).left ?? 0;
      if (left) toast(`${left} files could not be read and were left out.`);
      return true;
    },
  });
  await go(target).catch(() => go(me.root));
  await asking;
  await done(); // some may have been moved before an error
}

function decodeShown(path, me) {
  for (const [root, name] of [[me.root, me.project], [me.home, "home"]]) {
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
        if (!await forGood(`Delete “${row.name}” for good?`, "There is no trash on this disk: it can't be brought back.")) break;
        await post("delete", { path: row.path, forever: true });
      }
    }
  } catch (error) {
    toast(error.message);
  }
  await done();
  if (gone.length) {
    toast(gone.length === 1 ? "Moved to the trash." : `${gone.length} things moved to the trash.`, { name: "Undo", run: async () => {
      try {
        for (const one of gone) await post("trash/restore", one);
      } catch (error) {
        toast(error.message);
      }
      await done();
    } });
  }
}

const forGood = (title, text) => dialog({ title, body: h("p", {}, text), confirm: "Delete for good", danger: true });

export async function trash(view, me) {
  const boxes = [];
  for (const [root, name] of [[me.root, me.project], [me.home, "your home"]]) {
    const found = await get("trash", { root });
    if (found.rows.length || root === me.root) boxes.push(section(view, me, root, name, found.rows));
  }
  view.replaceChildren(h("div", { className: "page-head" }, h("h2", {}, "Trash"), h("div", { className: "actions" }, h("a", { className: "btn", href: `#${me.root}` }, "To the files"))), ...boxes);
}

function section(view, me, root, name, rows) {
  const act = (work) => async () => {
    try { await work(); } catch (error) { toast(error.message); }
    await trash(view, me);
  };
  const restore = (row) => act(async () => { await post("trash/restore", { root, entry: row.entry }); toast(`“${row.name}” is back.`); });
  const remove = (row) => act(async () => { if (await forGood(`Delete “${row.name}” for good?`, "It can't be brought back.")) await post("trash/empty", { root, entry: row.entry }); });
  const empty = act(async () => {
    if (!await forGood(`Empty the trash of ${name}?`, `${rows.length} things are deleted for good, whoever put them there.`)) return;
    const said = await post("trash/empty", { root });
    if (said.left) toast(`${said.left} things belong to others and could not be deleted.`);
  });
  return h("section", { className: "card" },
    h("div", { className: "card-head" }, h("h3", {}, `Of ${name}`), rows.length ? h("button", { className: "btn btn-sm btn-danger", type: "button", onclick: empty }, "Empty the trash") : null),
    h("div", { className: "list" }, rows.length ? rows.map((row) => h("div", { className: "item" }, icon(row.kind),
      h("div", { className: "item-main" }, h("div", { className: "item-title" }, row.name), h("div", { className: "item-sub" }, `${row.replaced ? "Replaced" : "Deleted"} by ${row.by}, `, time(row.at), `, from ${decodeShown(above(row.path), me)}${row.kind === "file" ? `, ${size(row.size)}` : ""}`)),
      h("div", { className: "item-end" }, h("button", { className: "btn btn-sm", type: "button", onclick: restore(row), "aria-label": `Restore ${row.name}` }, "Restore"),
        h("button", { className: "btn btn-sm btn-plain btn-danger", type: "button", onclick: remove(row), "aria-label": `Delete ${row.name} for good` }, "Delete")))) : h("div", { className: "empty" }, h("p", {}, "Nothing was deleted."))));
}

export function showDirectory(me) {
  return ask("Show directory", "Path on this machine", me.home.split("/").map(decodeURIComponent).join("/"), "Show", async (typed) => {
    const real = await get("resolve", { typed });
    location.hash = real.kind === "folder" ? `#${real.path}` : `#edit:${real.path}`;
  }, "Your home, or a path that somebody shared with you, like /home/bob/results.");
}
