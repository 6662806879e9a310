// Live pages: when the server tells of a change, the page is fetched again and its regions ([data-live]) are swapped.
// So what a page shows is written once, in its template. Without this script a reload shows the same.

import { durationText } from "./times.js";

const KINDS = ["project", "session", "steps", "team", "node", "node-removed", "job", "environment", "here", "project-deleted", "project-left", "resync"];
const root = document.querySelector("[data-events]");
const seen = new Map(); // step name → when it was first seen running
let pending = false;
let again = false;

async function refresh() {
  if (pending) { again = true; return; }
  pending = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "X-AEN-Live": "1" } });
    if (answer.ok && !answer.redirected) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    else if (answer.redirected || answer.status === 404) reload();
  } catch { /* offline for a moment: the event stream says when it is back */ }
  pending = false;
  if (again) { again = false; refresh(); }
}

// Not while the person is on the way to another page (a form that was sent, a link): it would take them back here.
let left = 0;
addEventListener("beforeunload", () => { left = performance.now(); });
function reload() {
  const stays = !left || performance.now() - left > 10000; // a download is no leaving
  if (stays) location.reload(); else setTimeout(reload, 1000);
}

function swap(fresh) {
  for (const region of document.querySelectorAll("[data-live][id]")) {
    const next = fresh.getElementById(region.id);
    if (!next || next.innerHTML === region.innerHTML) continue;
    if (region.querySelector("dialog[open], details[open]") || holdsTyping(region)) continue;
    const focused = region.contains(document.activeElement) ? document.activeElement.dataset.focus || document.activeElement.id : "";
    region.replaceChildren(...document.importNode(next, true).childNodes);
    if (focused) (document.getElementById(focused) || region.querySelector(`[data-focus="${CSS.escape(focused)}"]`))?.focus();
  }
  tick();
  arrive();
}

function holdsTyping(region) {
  const active = document.activeElement;
  return region.contains(active) && active.matches("input:not([type=hidden]), textarea, select");
}

function tick() {
  const running = new Set();
  for (const element of document.querySelectorAll("[data-tick]")) {
    const name = element.dataset.tick;
    running.add(name);
    if (!seen.has(name)) seen.set(name, performance.now() - Number(element.dataset.base) * 1000);
    element.textContent = durationText((performance.now() - seen.get(name)) / 1000);
  }
  for (const name of seen.keys()) if (!running.has(name)) seen.delete(name);
}

// The page of a start goes to the app as soon as it answers.
function arrive() {
  const ready = document.querySelector("[data-arrive]");
  if (ready) location.replace(ready.href);
}

let timer = 0;
const soon = () => { clearTimeout(timer); timer = setTimeout(refresh, 120); };

let stream;
function listen() {
  stream = new EventSource(root.dataset.events);
  stream.onmessage = soon;
  for (const kind of KINDS) stream.addEventListener(kind, soon);
  stream.addEventListener("ended", reload); // signed out, or no longer on the team
  stream.onopen = soon;
  // A refused stream (signed out meanwhile, a front proxy without its server) is not tried again by the browser: we do.
  stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) { soon(); setTimeout(listen, 3000); } };
}
listen();
setInterval(tick, 200);
// Events may be lost; while something is under way the page asks by itself as well.
setInterval(() => { if (document.querySelector("[data-busy]") && !document.hidden) refresh(); }, 2000);
// What sessions take changes without an event: it is looked at now and then.
setInterval(() => { if (document.querySelector("[data-use]") && !document.hidden) refresh(); }, 10000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
addEventListener("pagehide", () => stream.close());
tick();
arrive();
