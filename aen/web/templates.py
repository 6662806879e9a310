"""Templates: Jinja2 from memory, with autoescape, no undefined names, and the filters that pages use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from aen import __version__
from aen.web.files import read_all
from aen.web.filters import FILTERS
from aen.web.static import Assets

#: What base.html needs and a site's frame may replace.
_FRAME: dict[str, Any] = {
    "me": None,
    "csrf": "",
    "banner": None,
    "theme": "system",
    "notice": "",
    "home": "/",
    "here": "",
    "version": __version__,
}


class Templates:
    """All templates, read once. `render(name, context)`; a name that is not in the context is an error."""

    def __init__(self, assets: Assets) -> None:
        sources = {path: body.decode() for path, body in read_all("templates").items()}
        self._env = Environment(
            loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._env.globals.update(static=assets.url, icon=lambda name, size=16: icon(assets, name, size), **_FRAME)
        self._env.filters.update(FILTERS)

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """The template's HTML."""
        return self._env.get_template(name).render(context)


def icon(assets: Assets, name: str, pixels: int = 16) -> Markup:
    """An icon of the sprite; it says nothing to screen readers, so give its button a name."""
    return Markup(
        '<svg class="icon" width="{0}" height="{0}" aria-hidden="true" focusable="false"><use href="{1}#{2}"/></svg>'
    ).format(pixels, assets.url("icons.svg"), name)
