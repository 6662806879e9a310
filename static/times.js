// Times for people, as the server writes them too.

import { language, say } from "./words.js";

const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function agoText(iso) {
  const seconds = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
  if (seconds < 10) return say("just now");
  const [name, length] = UNITS.find(([, size]) => seconds >= size);
  return new Intl.RelativeTimeFormat(language).format(-Math.floor(seconds / length), name);
}

export function durationText(seconds) {
  if (seconds == null) return "";
  if (seconds < 60) return `${digits(seconds, seconds < 10 ? 1 : 0)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

function digits(value, count) {
  return value.toLocaleString(language, { minimumFractionDigits: count, maximumFractionDigits: count });
}

// The time of day where the reader is; with the weekday when it is not today.
export function clockText(iso) {
  const at = new Date(iso);
  const day = at.toDateString() === new Date().toDateString() ? {} : { weekday: "short" };
  return at.toLocaleTimeString(language === "en" ? [] : language, { hour: "2-digit", minute: "2-digit", ...day });
}
