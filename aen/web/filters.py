"""Filters of templates: times, sizes, names and acts as people read them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from aen.model.activity import Activity
from aen.web.acts import ACTS
from aen.web.markdown import render_markdown

_UNITS = (("year", 31_536_000), ("month", 2_592_000), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
_BROWSERS = (
    ("Edg/", "Edge"),
    ("Firefox/", "Firefox"),
    ("OPR/", "Opera"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_STEPS = {
    "account": "Account",
    "directory": "Project directory",
    "environment": "Environment",
    "permissions": "Permissions",
    "app": "App",
}


def ago(ms: int) -> Markup:
    """How long ago a time (ms since 1970) was, as a `<time>` that the page keeps fresh; "never" for 0."""
    if not ms:
        return Markup("<span>never</span>")
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(iso(ms), when(ms), ago_text(ms))


def ago_text(ms: int) -> str:
    """How long ago a time was, in words."""
    seconds = max(0.0, time.time() - ms / 1000)
    if seconds < 10:
        return "just now"
    name, length = next(unit for unit in _UNITS if seconds >= unit[1])
    count = int(seconds // length)
    return f"{count} {name}{'' if count == 1 else 's'} ago"


def clock(ms: int) -> Markup:
    """The time of day of a time near now, as a `<time>` that the page turns into the reader's own; nothing for 0."""
    if not ms:
        return Markup("")
    text = datetime.fromtimestamp(ms / 1000, UTC).strftime("%H:%M UTC")
    return Markup('<time datetime="{}" title="{}" data-clock>{}</time>').format(iso(ms), when(ms), text)


def when(ms: int) -> str:
    """A time for people, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%-d %b %Y, %H:%M UTC") if ms else "never"


def iso(ms: int) -> str:
    """A time for machines."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def size(number: float) -> str:
    """Bytes for people: 1.5 GB."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "bytes" or number >= 10 else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TB"


def duration(seconds: float | None) -> str:
    """A short time for people: 0.4 s, 12 s, 2 min 5 s; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def segment(text: str) -> str:
    """Text as one segment of a path, or as a value in a query."""
    return quote(text, safe="")


def hue(name: str) -> int:
    """The number (0 to 7) of a name's colour."""
    return sum(name.encode()) % 8


def initials(name: str) -> str:
    """One or two letters that stand for a person."""
    words = [word for word in name.replace(".", " ").replace("-", " ").replace("_", " ").split() if word]
    if not words:
        return "?"
    return (words[0][0] + words[-1][0]) if len(words) > 1 else words[0][:2]


def step(name: str) -> str:
    """The name of a step of a start."""
    return _STEPS.get(name, name.capitalize())


def act(entry: Activity) -> str:
    """What somebody did, as the end of a sentence that begins with their name."""
    words = ACTS.get(entry.act, entry.act.replace(".", " ").replace("_", " "))
    return words.replace("{who}", entry.who) if entry.who != entry.actor else _own(words)


def _own(words: str) -> str:
    """The same of one's own account."""
    return words.replace(" of {who}", "").replace("{who}", "themselves")


def browser(agent: str) -> str:
    """A browser's name for people, from its User-Agent."""
    name = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{name} on {system}" if name and system else name or agent[:60] or "Unknown browser"


FILTERS: dict[str, Callable[..., Any]] = {
    "ago": ago,
    "when": when,
    "clock": clock,
    "iso": iso,
    "bytes": size,
    "duration": duration,
    "markdown": render_markdown,
    "segment": segment,
    "hue": hue,
    "initials": initials,
    "step": step,
    "act": act,
    "browser": browser,
}
