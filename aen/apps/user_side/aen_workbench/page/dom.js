// Building the page: elements from data, never from text that is read as HTML; dialogs, notes, sizes and times.

import { language, say } from "./words.js";

export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && !key.includes("-") && key !== "list" && key !== "form") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SHAPES = {
  folder: "M3.5 7.5a2 2 0 0 1 2-2h3.6l2 2.5h7.4a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2h-13a2 2 0 0 1-2-2z",
  file: "M6.5 3.5h7l4.5 4.5v11a1.5 1.5 0 0 1-1.5 1.5h-10A1.5 1.5 0 0 1 5 19V5a1.5 1.5 0 0 1 1.5-1.5zM13.5 3.5V8H18",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1-1",
  other: "M12 4v16M4 12h16",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  x: "m6.5 6.5 11 11M17.5 6.5l-11 11",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ class: `icon icon-${name}`, width: 18, height: 18, viewBox: "0 0 24 24", "aria-hidden": "true" })) svg.setAttribute(key, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", SHAPES[name] ?? SHAPES.other);
  svg.append(path);
  return svg;
}

export function toast(text, action) {
  const note = h("div", { className: "toast" }, h("span", {}, text));
  if (action) note.append(h("button", { className: "linkish", type: "button", onclick: () => { note.remove(); action.run(); } }, action.name));
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), action ? 10000 : 6000);
}

// A dialog with fields; resolves to what `read` gives when it is confirmed, else to null.
// `act(value)` may do the work while the dialog stays open: an error is shown in it, and nothing that was typed is lost.
export function dialog({ title, body, confirm = "OK", danger = false, wide = false, read = () => true, act, extra = [] }) {
  const problem = h("p", { className: "problem", role: "alert", hidden: true });
  const go = confirm && h("button", { className: `btn ${danger ? "btn-danger-fill" : "btn-primary"}` }, confirm);
  const form = h("form", { method: "dialog" },
    h("div", { className: "dialog-body" }, h("h2", {}, title), body, problem),
    h("div", { className: "dialog-foot" }, extra, h("button", { className: "btn", type: "button", onclick: () => box.close("") }, confirm ? say("Cancel") : say("Close")), go));
  const box = h("dialog", { className: wide ? "dialog-wide" : "" }, form);
  box.setAttribute("aria-label", title);
  document.body.append(box);
  return new Promise((resolve) => {
    let answer = null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (go?.disabled) return;
      problem.hidden = true;
      const value = read();
      try {
        if (go) go.disabled = true;
        answer = act ? await act(value) ?? value : value;
        box.close("done");
      } catch (error) {
        problem.textContent = error.message;
        problem.hidden = false;
        if (go) go.disabled = false;
      }
    });
    box.addEventListener("close", () => {
      box.remove();
      resolve(box.returnValue === "done" ? answer : null);
    });
    box.done = (value) => { answer = value; box.close("done"); };
    box.showModal();
  });
}

export function ask(title, label, value = "", confirm = "OK", act, hint = "") {
  const input = h("input", { className: "input", value, required: true, autocomplete: "off", spellcheck: false, id: "asked" });
  const body = h("div", { className: "field" }, h("label", { htmlFor: "asked" }, label), input, hint && h("p", { className: "hint" }, hint));
  const result = dialog({ title, body, confirm, read: () => input.value, act });
  const dot = value.lastIndexOf(".");
  input.focus();
  input.setSelectionRange(0, dot > 0 ? dot : value.length);
  return result;
}

// As `size` of aen_languages says it; a test compares them.
const digits = (number, count) => new Intl.NumberFormat(language, { minimumFractionDigits: count, maximumFractionDigits: count, useGrouping: false }).format(number);
export function size(bytes) {
  if (bytes < 1024) return bytes === 1 ? say("{n} byte", { n: 1 }) : say("{n} bytes", { n: bytes });
  const units = ["KB", "MB", "GB", "TB"];
  let number = bytes / 1024;
  while (number >= 1023.5 && units.length > 1) { number /= 1024; units.shift(); }
  const tenths = Math.floor(number * 10 + 0.5);
  return `${tenths < 100 ? digits(tenths / 10, 1) : digits(Math.floor(number + 0.5), 0)} ${units[0]}`;
}

const NEAR = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
export function ago(ms) {
  const seconds = (ms - Date.now()) / 1000;
  for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= length) return Math.abs(seconds) > 30 * 86400 ? new Date(ms).toLocaleDateString(language) : NEAR.format(Math.trunc(seconds / length), unit);
  }
  return say("just now");
}

export function time(ms) {
  const date = new Date(ms);
  return h("time", { dateTime: Number.isNaN(date.getTime()) ? "" : date.toISOString(), title: date.toLocaleString(language) }, ago(ms));
}

// What keys do. In the text, names of keys stand in [brackets].
export function hint(text) {
  const parts = text.split(/\[([^\]]+)\]/);
  return h("p", { className: "hint-keys" }, parts.map((part, at) => at % 2 ? h("kbd", {}, part) : part));
}

// A menu that closes on Escape and on a click elsewhere.
export function menu(label, items, summary) {
  const box = h("details", { className: "menu" }, h("summary", { className: "btn btn-sm btn-plain btn-icon", "aria-label": label, title: label }, summary ?? icon("more")));
  const list = h("div", { className: "menu-box" });
  for (const item of items) {
    if (!item) continue;
    const close = () => { box.open = false; };
    list.append(item.href
      ? h("a", { className: "menu-item", href: item.href, target: item.target, onclick: close }, item.name)
      : h("button", { className: `menu-item ${item.danger ? "btn-danger" : ""}`, type: "button", onclick: () => { close(); item.run(); } }, item.name));
  }
  box.append(list);
  box.addEventListener("toggle", () => { if (box.open) place(box, list); });
  return box;
}

function place(box, list) {
  list.classList.toggle("menu-up", box.getBoundingClientRect().bottom + list.offsetHeight + 16 > innerHeight && box.getBoundingClientRect().top > list.offsetHeight);
}

document.addEventListener("click", (event) => {
  for (const open of document.querySelectorAll("details.menu[open]")) if (!open.contains(event.target)) open.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const open of document.querySelectorAll("details.menu[open]")) { open.open = false; open.querySelector("summary").focus(); }
});
