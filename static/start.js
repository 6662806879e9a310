// The gateway's start page: starts the session, shows its steps as they come, opens the very address asked for.

import { durationText } from "./times.js";
import { say } from "./words.js";

const card = document.getElementById("start");
const part = (id) => document.getElementById(id);
const NAMES = { account: say("Account"), directory: say("Project directory"), environment: say("Environment"), permissions: say("Permissions"), app: say("App") };
const STATES = { waiting: say("waiting"), running: say("under way"), done: say("done"), skipped: say("nothing to do"), failed: say("failed") };
const query = new URLSearchParams({ owner: card.dataset.owner, project: card.dataset.project, server: card.dataset.server, app: card.dataset.app });
const address = `/.aen/api/session?${query}`;
const since = new Map();
let failures = 0;

async function ask(method) {
  const answer = await fetch(address, { method, headers: { Accept: "application/json", "Content-Type": "application/json" }, body: method === "POST" ? "{}" : undefined });
  if (answer.status === 401) { location.reload(); return new Promise(() => {}); }
  const data = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(data.error?.message || say("No answer.")), { status: answer.status });
  return data;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", `icon i-${name}`);
  svg.setAttribute("width", "12");
  svg.setAttribute("height", "12");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${card.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

function make(tag, name, text) {
  const element = document.createElement(tag);
  element.className = name;
  if (text) element.textContent = text;
  return element;
}

function showSteps(steps) {
  const list = part("steps").querySelector("ol");
  while (list.children.length < steps.length) {
    const item = make("li", "step");
    const mark = make("span", "step-mark");
    mark.append(icon("check"), icon("x"));
    const words = document.createElement("span");
    words.append(make("span", "step-name"), make("span", "unseen"), make("span", "step-detail"));
    item.append(mark, words, make("span", "step-time"));
    list.append(item);
  }
  steps.forEach((step, index) => {
    const item = list.children[index];
    item.dataset.state = step.state;
    item.dataset.name = step.name;
    item.querySelector(".step-name").textContent = NAMES[step.name] || step.name;
    item.querySelector(".unseen").textContent = `: ${STATES[step.state] || step.state}`;
    let detail = item.querySelector(".step-detail");
    if (!detail) { detail = make("span", "step-detail"); item.children[1].append(detail); }
    detail.textContent = step.detail || "";
    if (step.state === "running") { if (!since.has(step.name)) since.set(step.name, performance.now() - (step.seconds || 0) * 1000); }
    else since.delete(step.name);
    if (step.state !== "running") item.querySelector(".step-time").textContent = step.state === "skipped" ? STATES.skipped : durationText(step.seconds);
  });
}

setInterval(() => {
  for (const [name, began] of since) {
    const time = part("steps").querySelector(`li[data-name="${CSS.escape(name)}"] .step-time`);
    if (time) time.textContent = durationText((performance.now() - began) / 1000);
  }
}, 200);

function trouble(text) {
  part("trouble").replaceChildren();
  if (!text) return;
  const notice = make("div", "notice");
  notice.dataset.kind = "bad";
  notice.append(make("div", "", text));
  part("trouble").append(notice);
}

function show(view) {
  const phase = view.phase;
  const failed = phase === "PROBLEM" || phase === "LOST";
  const busy = ["QUEUED", "STARTING", "RUNNING", "STOPPING"].includes(phase);
  part("steps").hidden = !busy && !failed;
  showSteps(view.steps);
  trouble(failed ? `${say("It did not start.")} ${view.reason || say("It did not say why; its log below may.")}` : "");
  part("log").hidden = !failed || !view.log_tail;
  part("log").querySelector("pre").textContent = view.log_tail || "";
  part("again").hidden = busy || !view.may_start;
  part("again").querySelector("span").textContent = failed ? say("Try again") : say("Start");
  part("leave").hidden = !busy;
  if (busy || failed) part("say").textContent = phase === "QUEUED" ? say("Waiting for a free place on the node…") : phase === "STOPPING" ? say("It is stopping; you can start it again in a moment.") : "";
  if (phase === "RUNNING") location.replace(card.dataset.next);
  return busy;
}

async function follow() {
  for (;;) {
    try {
      const busy = show(await ask("GET"));
      failures = 0;
      if (!busy) return;
    } catch (error) {
      failures += 1;
      if (error.status && error.status < 500 && error.status !== 429) { trouble(error.message); part("again").hidden = false; return; }
      part("say").textContent = say("The server can't be reached right now; trying again…");
    }
    await new Promise((resolve) => setTimeout(resolve, Math.min(5000, 500 * (failures + 1))));
  }
}

async function start() {
  part("again").hidden = true;
  trouble("");
  try {
    show(await ask("POST"));
    await follow();
  } catch (error) {
    trouble(error.message);
    part("again").hidden = false;
  }
}

card.querySelector("[data-start]").addEventListener("click", start);
const phase = card.dataset.phase;
if (["QUEUED", "STARTING", "RUNNING", "STOPPING"].includes(phase)) follow();
else if (card.dataset.may && phase === "STOPPED") start();
