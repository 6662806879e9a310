// Write and Preview tabs of a Markdown field; the server renders.

import { say } from "./words.js";

for (const box of document.querySelectorAll("[data-preview]")) {
  const [write, look] = box.querySelectorAll("button[data-tab]");
  const area = box.querySelector("textarea");
  const pane = box.querySelector("[data-pane]");
  box.querySelector("[data-tabs]").hidden = false;

  const show = (previewing) => {
    area.hidden = previewing;
    pane.hidden = !previewing;
    write.setAttribute("aria-pressed", String(!previewing));
    look.setAttribute("aria-pressed", String(previewing));
  };
  write.addEventListener("click", () => show(false));
  look.addEventListener("click", async () => {
    const body = new URLSearchParams({ text: area.value, csrf: document.body.dataset.csrf });
    const answer = await fetch(box.dataset.preview, { method: "POST", body, headers: { "X-CSRF-Token": document.body.dataset.csrf } });
    if (answer.ok) {
      // The server sanitised it (nh3); scripts can't run here anyway (CSP).
      pane.innerHTML = await answer.text();
    } else {
      pane.textContent = say("The preview could not be made. Try again in a moment.");
    }
    show(true);
  });
}
