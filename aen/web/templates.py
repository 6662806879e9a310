"""Templates: Jinja2 from memory, with autoescape, no undefined names, and the filters that pages use."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from aen.web.files import read_all
from aen.web.markdown import render_markdown
from aen.web.static import Assets

_FRAME: dict[str, Any] = {"me": None, "csrf": "", "banner": None, "signed_up": False, "theme": "system", "notice": ""}
_UNITS = ((60, "second"), (3600, "minute"), (86400, "hour"), (86400 * 30, "day"), (86400 * 365, "month"))
_DIVISORS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "month": 86400 * 30, "year": 86400 * 365}


class Templates:
    """All templates, read once. `render(name, context)`; a name that is not in the context is an error."""

    def __init__(self, assets: Assets) -> None:
        sources = {path: body.decode() for path, body in read_all("templates").items()}
        self._env = Environment(
            loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._env.globals.update(static=assets.url, icon=lambda name, size=16: icon(assets, name, size), **_FRAME)
        self._env.filters.update(
            ago=ago, when=when, iso=iso, bytes=size, duration=duration, markdown=render_markdown, segment=segment
        )

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """The template's HTML."""
        return self._env.get_template(name).render(context)


def icon(assets: Assets, name: str, pixels: int = 16) -> Markup:
    """An icon of the sprite; it says nothing to screen readers, so give its button a name."""
    return Markup(
        '<svg class="icon" width="{0}" height="{0}" aria-hidden="true" focusable="false"><use href="{1}#{2}"/></svg>'
    ).format(pixels, assets.url("icons.svg"), name)


def ago(ms: int) -> Markup:
    """How long ago a time (ms since 1970) was, as a `<time>` that the page keeps fresh; "never" for 0."""
    if not ms:
        return Markup("<span>never</span>")
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(iso(ms), when(ms), _ago(ms))


def _ago(ms: int) -> str:
    seconds = max(0, time.time() - ms / 1000)
    if seconds < 10:
        return "just now"
    unit = next((name for limit, name in _UNITS if seconds < limit), "year")
    count = int(seconds // _DIVISORS[unit])
    return f"{count} {unit}{'' if count == 1 else 's'} ago"


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
    """A short time for people: 0.4 s, 12 s, 2 min 5 s."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def segment(text: str) -> str:
    """Text as one segment of a path."""
    return quote(text, safe="")
