// The search box: suggestions while one types, by keyboard (combobox with a list, WAI-ARIA). Enter without a choice shows all results.

const GROUPS = ["projects", "people", "tags", "files"];

for (const box of document.querySelectorAll("[data-search]")) { start(box); box.dataset.ready = "yes"; }

function start(box) {
  const input = box.querySelector("input[type=search]");
  const list = box.querySelector("[role=listbox]");
  const said = box.querySelector("[data-said]");
  let timer = 0;
  let asking = null;
  let chosen = -1;

  const options = () => [...list.querySelectorAll("[role=option]")];

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    chosen = -1;
  }

  function choose(index) {
    const all = options();
    chosen = all.length ? (index + all.length) % all.length : -1;
    all.forEach((option, at) => option.setAttribute("aria-selected", String(at === chosen)));
    if (chosen < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", all[chosen].id);
    all[chosen].scrollIntoView({ block: "nearest" });
  }

  function show(items) {
    list.replaceChildren();
    for (const kind of GROUPS) {
      const found = items.filter((item) => item.kind === kind);
      if (!found.length) continue;
      const group = document.createElement("div");
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", box.dataset[kind]);
      const title = document.createElement("div");
      title.className = "suggest-group";
      title.setAttribute("aria-hidden", "true");
      title.textContent = box.dataset[kind];
      group.append(title);
      for (const item of found) group.append(optionOf(item));
      list.append(group);
    }
    options().forEach((option, at) => { option.id = `${list.id}-${at}`; });
    const none = !items.length;
    list.hidden = none;
    input.setAttribute("aria-expanded", String(!none));
    said.textContent = none ? box.dataset.none : box.dataset.many.replace("{n}", items.length);
    chosen = -1;
    input.removeAttribute("aria-activedescendant");
  }

  function optionOf(item) {
    const option = document.createElement("div");
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    option.className = "suggest";
    option.dataset.url = item.url;
    const title = document.createElement("span");
    title.className = "suggest-title";
    title.textContent = item.title;
    const detail = document.createElement("span");
    detail.className = "suggest-detail";
    detail.textContent = item.detail;
    option.append(title, detail);
    return option;
  }

  async function ask() {
    asking?.abort();
    const text = input.value.trim();
    if (text.length < 2) return close();
    asking = new AbortController();
    try {
      const answer = await fetch(`${box.dataset.search}?q=${encodeURIComponent(text)}`, { signal: asking.signal, headers: { Accept: "application/json" } });
      if (!answer.ok) return close();
      const { items } = await answer.json();
      if (input.value.trim() === text && document.activeElement === input) show(items);
    } catch { /* the next letter asks again */ }
  }

  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 120); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) return ask();
      choose(event.key === "ArrowDown" ? chosen + 1 : (chosen < 0 ? 0 : chosen) - 1);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    } else if (event.key === "Enter" && chosen >= 0 && !list.hidden) {
      event.preventDefault();
      location.assign(options()[chosen].dataset.url);
    }
  });
  input.addEventListener("blur", () => setTimeout(() => { if (document.activeElement !== input) close(); }, 150));
  list.addEventListener("mousedown", (event) => event.preventDefault());
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) location.assign(option.dataset.url);
  });
}

// "/" goes to the box, unless one is typing.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select, [contenteditable]")) return;
  const input = document.querySelector("[data-search] input[type=search]");
  if (!input || !input.checkVisibility()) return;
  event.preventDefault();
  input.focus();
});
