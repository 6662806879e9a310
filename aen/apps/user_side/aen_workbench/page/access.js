// Permissions: for each person of the team what they may do with a file or folder; only ever less than their role.

import { get, post } from "./api.js";
import { dialog, h, toast } from "./dom.js";
import { say } from "./words.js";

const WORDS = { r: say("read"), w: say("change"), x: say("run") };
const FOLDER_WORDS = { r: say("see what is in it"), w: say("change what is in it"), x: say("enter it") };
const ROLES = { viewer: say("viewer"), member: say("member"), maintainer: say("maintainer"), owner: say("owner") };
const HEADS = { r: say("Read"), w: say("Change"), x: say("Run") };

// `elsewhere`: the address of the project's page where maintainers set rights on anybody's files; empty: none.
export async function permissions(path, done, elsewhere = "") {
  const seen = await get("access", { path });
  const folder = seen.kind === "folder";
  if (!seen.isolated) return why(seen, say("AEN runs in evaluation mode: everybody's apps run as one and the same user of this machine, so rights can't tell people apart."));
  if (seen.by_group && !seen.top) return why(seen, say("On this site a team has its rights as a group. What single people may do with a file is set on the project's page."), elsewhere);
  if (seen.top) return why(seen, say("This is the project itself. Who may enter it, and what they may do, is decided on the project's Team page."));
  const editable = seen.mine;
  const effect = h("div", { className: "effect", role: "status" });
  const contents = folder && h("input", { type: "checkbox", id: "contents", checked: true });
  const closed = h("input", { type: "checkbox", id: "closed", checked: seen.closed, disabled: !editable });
  const runs = !folder && h("input", { type: "checkbox", id: "runs", checked: seen.runs, disabled: !editable });
  const rows = seen.people.map((person) => row(person, seen, editable));
  const wish = () => ({
    rights: Object.fromEntries(rows.filter((one) => !one.person.kept).map((one) => [one.person.name, one.letters()])),
    closed: closed.checked, contents: Boolean(contents?.checked), runs: runs ? runs.checked : undefined,
  });
  const asking = dialog({
    title: say("Permissions of “{name}”", { name: seen.name }),
    wide: true,
    confirm: editable ? say("Set permissions") : "",
    extra: editable ? [h("button", { className: "btn btn-plain", type: "button", onclick: () => everybody() }, say("As the team page says"))] : [],
    body: [
      editable ? h("p", { className: "muted" }, folder ? say("Take rights away from people on this folder. What a role on the Team page does not give can't be given here; the project's owner keeps everything.")
        : say("Take rights away from people on this file. What a role on the Team page does not give can't be given here; the project's owner keeps everything."))
        : h("div", { className: "notice" }, h("div", {}, say("Owned by {owner}, who can change this; maintainers of the project can do it ", { owner: seen.owner }), there(elsewhere, say("on its page")), ".")),
      seen.public ? h("div", { className: "notice" }, h("div", {}, say("This lies in public/: everybody can read it. Move it elsewhere to close it."))) : null,
      h("div", { className: "table-box" }, h("table", { className: "table rights" },
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, say("Person")), ...["r", "w", "x"].map((letter) => h("th", { scope: "col", className: "right" }, folder && letter === "x" ? say("Enter") : HEADS[letter])))),
        h("tbody", {}, rows.map((one) => one.element)))),
      h("label", { className: "check" }, closed, h("span", {}, say("People who join the team later get no access to it"))),
      runs && h("label", { className: "check" }, runs, h("span", {}, say("It is a program that can be run"))),
      contents && editable && h("label", { className: "check" }, contents, h("span", {}, say("Apply to contents, and to what is made in it later"))),
      effect,
    ],
    read: wish,
    act: (value) => post(`access?path=${encodeURIComponent(path)}`, value),
  });
  const everybody = () => { for (const one of rows) one.full(); closed.checked = false; preview(); };
  let latest = 0;
  async function preview() {
    const number = ++latest;
    for (const one of rows) one.refresh(runs ? runs.checked : seen.runs);
    const words = rows.map((one) => one.change()).filter(Boolean);
    let counted = null;
    if (editable) {
      try {
        counted = await post(`access?path=${encodeURIComponent(path)}&dry=1`, wish());
      } catch (error) {
        words.push(error.message);
      }
    }
    if (number === latest) show(effect, words, counted, seen);
  }
  for (const input of effect.closest("dialog").querySelectorAll("input")) input.addEventListener("change", preview);
  preview();
  const result = await asking;
  if (result) {
    toast(said(result));
    done();
  }
}

function why(seen, text, elsewhere = "") {
  const more = elsewhere ? [" ", there(elsewhere, say("Set them there"))] : [];
  return dialog({ title: say("Permissions of “{name}”", { name: seen.name }), confirm: "", body: h("p", {}, text, ...more) });
}

function there(address, text) {
  return address ? h("a", { href: address, target: "_blank", rel: "noopener" }, text) : text;
}

function said(result) {
  const theirs = Object.values(result.theirs).reduce((sum, count) => sum + count, 0);
  return say("Permissions set ({n} changed).", { n: result.changed }) + (theirs ? ` ${say("What others own ({n}) stayed as it is.", { n: theirs })}` : "");
}

function show(effect, words, counted, seen) {
  const lines = words.map((text) => h("li", {}, text));
  for (const person of seen.people) if (person.blocked) lines.push(h("li", {}, say("{name} can't get here anyway: the folder “{folder}” keeps them out.", { name: person.name, folder: person.blocked })));
  if (counted && counted.changed) lines.push(h("li", {}, counted.changed === 1 ? say("One file or folder changes.") : say("{n} files and folders change.", { n: counted.changed })));
  for (const [owner, count] of Object.entries(counted?.theirs ?? {})) lines.push(h("li", {}, say("What {owner} owns ({n}) stays as it is: {owner} or a maintainer can change it.", { n: count, owner })));
  effect.replaceChildren(h("strong", {}, say("Effect")), h("ul", {}, lines.length ? lines : [h("li", {}, say("Nothing changes."))]));
}

function row(person, seen, editable) {
  const inputs = {};
  const cells = ["r", "w", "x"].map((letter) => {
    inputs[letter] = h("input", { type: "checkbox", checked: person.set.includes(letter), "aria-label": say("{name} may {what}", { name: person.name, what: (seen.kind === "folder" ? FOLDER_WORDS : WORDS)[letter] }) });
    return h("td", { className: "right" }, inputs[letter]);
  });
  const element = h("tr", {}, h("td", {}, h("strong", {}, person.name), " ", h("span", { className: "muted" }, person.owns ? say("{role}, owns it", { role: ROLES[person.role] ?? person.role }) : ROLES[person.role] ?? person.role)), cells);
  let most = person.most;
  const letters = () => ["r", "w", "x"].filter((letter) => inputs[letter].checked).join("");
  return {
    person, element, letters,
    full: () => { for (const letter of "rwx") inputs[letter].checked = most.includes(letter); },
    refresh(runs) {
      const before = most;
      most = seen.kind === "file" ? (runs ? person.most_running : person.most_running.replace("x", "")) : person.most;
      for (const letter of "rwx") {
        inputs[letter].disabled = !editable || person.kept || person.owns || !most.includes(letter);
        if (!most.includes(letter)) inputs[letter].checked = false;
        else if (!before.includes(letter) || person.kept) inputs[letter].checked = true;
      }
    },
    change() {
      const now = letters();
      if (person.kept || person.owns || now === person.now) return "";
      return `${person.name}: ${spoken(person.now, seen)} → ${spoken(now, seen)}`;
    },
  };
}

function spoken(letters, seen) {
  const words = seen.kind === "folder" ? FOLDER_WORDS : WORDS;
  return [...letters].map((letter) => words[letter]).join(", ") || say("nothing");
}
