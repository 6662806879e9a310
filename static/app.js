// What every page does: fresh times, menus, dialogs that ask before something is lost, copying, no double sending.

import { agoText, clockText } from "./times.js";
import { say } from "./words.js";

for (const element of document.querySelectorAll("[data-again]")) {
  element.addEventListener("click", (event) => { event.preventDefault(); location.reload(); });
}

// On a narrow screen the current tab may be out of sight.
for (const tab of document.querySelectorAll(".tabs [aria-current], .vtabs [aria-current]")) {
  tab.parentElement.scrollLeft = tab.offsetLeft - (tab.parentElement.clientWidth - tab.offsetWidth) / 2;
}

function refreshTimes() {
  for (const element of document.querySelectorAll("time[data-ago]")) {
    const text = agoText(element.dateTime);
    if (element.textContent !== text) element.textContent = text;
  }
}
function localClocks() {
  for (const element of document.querySelectorAll("time[data-clock]")) {
    element.textContent = clockText(element.dateTime);
    element.removeAttribute("data-clock");
  }
}
// Pages swap parts of themselves (live.js): what comes new is UTC as well.
new MutationObserver(localClocks).observe(document.body, { childList: true, subtree: true });
localClocks();
setInterval(refreshTimes, 15000);

export function toast(text) {
  const box = document.getElementById("toasts");
  const note = document.createElement("div");
  note.className = "toast";
  note.textContent = text;
  box.append(note);
  setTimeout(() => note.remove(), 5000);
}

// Menus close on Escape and on a click elsewhere; Escape gives the focus back.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Dialogs: a button names the one it opens. A form may ask for confirmation in one that we make.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) document.getElementById(opener.dataset.dialog)?.showModal();
  if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
  if (event.target instanceof HTMLDialogElement) event.target.close();
});

function confirmDialog(text, label) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", text);
  const body = document.createElement("div");
  body.className = "dialog-body";
  const words = document.createElement("p");
  words.textContent = text;
  body.append(words);
  const foot = document.createElement("div");
  foot.className = "dialog-foot";
  const make = (name, kind, value) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `btn ${kind}`;
    button.textContent = name;
    button.addEventListener("click", () => dialog.close(value));
    foot.append(button);
    return button;
  };
  make(say("Cancel"), "", "").autofocus = true;
  make(label, "btn-danger-fill", "yes");
  dialog.append(body, foot);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    dialog.remove();
    resolve(dialog.returnValue === "yes");
  }));
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.dataset.confirm && !form.dataset.confirmed) {
    event.preventDefault();
    const button = event.submitter;
    if (await confirmDialog(form.dataset.confirm, button?.textContent.trim() || button?.title || say("Go on"))) {
      form.dataset.confirmed = "yes";
      form.requestSubmit(button ?? undefined);
    }
    return;
  }
  delete form.dataset.confirmed;
  if (form.method !== "post" || form.target) return;
  if (form.dataset.sent) { event.preventDefault(); return; }
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// A select with data-submit sends its form when it changes.
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
});

// A time of day is meant where its person is, unless they say otherwise.
for (const input of document.querySelectorAll("input[data-zone]")) {
  input.value = Intl.DateTimeFormat().resolvedOptions().timeZone || input.value;
}

// What must be typed before a button can be pressed.
for (const input of document.querySelectorAll("input[data-typed]")) {
  const button = input.form.querySelector("button:not([type=button])");
  const update = () => { button.disabled = input.value !== input.dataset.typed; };
  input.addEventListener("input", update);
  update();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    toast(say("Copied."));
  } catch {
    getSelection().selectAllChildren(source);
    toast(say("Press Ctrl+C to copy."));
  }
});

// Lists of people that fit what is typed: a datalist that asks the server.
for (const input of document.querySelectorAll("input[data-suggest]")) {
  const list = document.getElementById(input.getAttribute("list"));
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      if (!input.value.trim()) return;
      const answer = await fetch(`${input.dataset.suggest}?q=${encodeURIComponent(input.value)}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      const { items } = await answer.json();
      list.replaceChildren(...items.map((item) => {
        const option = document.createElement("option");
        option.value = item.name;
        option.label = item.full_name ? `${item.full_name} (${item.name})` : item.name;
        return option;
      }));
    }, 150);
  });
}

if (document.querySelector("[data-events]")) import("./live.js");
if (document.querySelector("[data-picture]")) import("./picture.js");
if (document.querySelector("[data-preview]")) import("./preview.js");
if (document.querySelector("[data-search]")) import("./search.js");
