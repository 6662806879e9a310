// The gateway's page about an app that does not answer: as soon as the server knows that it has ended, the page says why.

const card = document.getElementById("trouble");
const query = new URLSearchParams({ owner: card.dataset.owner, project: card.dataset.project, server: card.dataset.server });
const SECONDS = 3;

async function ended() {
  try {
    const answer = await fetch(`/.aen/api/session?${query}`, { headers: { Accept: "application/json" } });
    return answer.ok && (await answer.json()).phase !== "RUNNING";
  } catch {
    return false; // the gateway or the server can't be reached now
  }
}

async function look() {
  if (document.visibilityState === "visible" && await ended()) location.reload();
}

setTimeout(look, 500);
setInterval(look, SECONDS * 1000);
