"""Templates: Jinja2 from memory, with autoescape, no undefined names, and the filters that pages use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from aen import __version__
from aen.languages import LANGUAGE, SOURCE, gettext, ngettext, said
from aen.web.files import read_all
from aen.web.filters import FILTERS
from aen.web.static import Assets

#: What a script says: `say("…")` (static/words.js).
_SPOKEN = re.compile(r"""\bsay\(\s*"([^"\\]*)\"""")

#: What base.html needs and a site's frame may replace.
DEFAULTS: dict[str, Any] = {
    "me": None,
    "csrf": "",
    "banner": None,
    "announcement": None,
    "acting": None,
    "unread": 0,
    "theme": "system",
    "notice": "",
    "home": "/",
    "here": "",
    "version": __version__,
}


class Templates:
    """All templates, read once. `render(name, context)`; a name that is not in the context is an error."""

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        sources = {path: body.decode() for path, body in read_all("templates").items()}
        self._env = Environment(
            loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._drawn: dict[tuple[str, int], Markup] = {}
        self._icons = frozenset(re.findall(r'id="([a-z-]+)"', read_all("static")["icons.svg"].decode()))
        self._env.globals.update(static=assets.url, icon=self._icon, spoken=self._words, **DEFAULTS)
        self._spoken = sorted({text for body in read_all("static").values() for text in _SPOKEN.findall(body.decode())})
        # `_("…")` and its like in templates; `said` for messages that were put together elsewhere.
        self._env.globals.update(_=gettext, ngettext=ngettext, said=said, language=LANGUAGE.get)
        self._env.filters.update(FILTERS)

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """The template's HTML."""
        return self._env.get_template(name).render(context)

    def _words(self) -> str:
        """What the scripts say, in the reader's language, as JSON (static/words.js); nothing in English."""
        if LANGUAGE.get() == SOURCE:
            return ""
        return json.dumps({text: gettext(text) for text in self._spoken}, ensure_ascii=False)

    def _icon(self, name: str, pixels: int = 16) -> Markup:
        """An icon of the sprite (an unknown one: `app`). It says nothing to screen readers: give its button a name."""
        drawn = self._drawn.get((name, pixels))
        if drawn is None:
            drawn = self._drawn[name, pixels] = self._draw(name if name in self._icons else "app", pixels)
        return drawn

    def _draw(self, known: str, pixels: int) -> Markup:
        return Markup(
            '<svg class="icon" width="{0}" height="{0}" aria-hidden="true" focusable="false"><use href="{1}#{2}"/></svg>'
        ).format(pixels, self._assets.url("icons.svg"), known)
