// Texts of scripts in the reader's language: the server puts the translations of every say("…") into the page.

const words = document.body.dataset.words ? JSON.parse(document.body.dataset.words) : {};

export const language = document.documentElement.lang || "en";

export function say(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
