"""Markdown of project descriptions as safe HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

_TAGS = set(
    "a abbr b blockquote br code dd del dl dt em h1 h2 h3 h4 h5 h6 hr i img li ol p pre s strong sub sup "
    "table tbody td th thead tr ul".split()
)
_ATTRIBUTES = {"a": {"href", "title"}, "img": {"src", "alt", "title"}, "ol": {"start"}, "code": {"class"}}
_SCHEMES = {"http", "https", "mailto"}
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|[/\\]{2}", re.IGNORECASE)  # how an address begins that is not one of ours
_LONGEST = 200_000


def _picture(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """A picture of ours; of one elsewhere a link: who reads a description must not be seen by third parties."""
    address = str(tokens[at].attrGet("src") or "")
    if not _ELSEWHERE.match(address):
        return renderer.image(tokens, at, options, env)
    text = renderer.renderInlineAsText(tokens[at].children, options, env)
    return f'<a href="{escape(address)}">{escape(text or address)}</a>'


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
_MARKDOWN.add_render_rule("image", _picture)


def render_markdown(text: str) -> Markup:
    """`text` as HTML: raw HTML is shown as text, links are http, https or mailto and carry no referrer."""
    html = _MARKDOWN.render(text[:_LONGEST])
    clean = nh3.clean(
        html, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=_SCHEMES, link_rel="nofollow noopener noreferrer"
    )
    return Markup(clean)  # noqa: S704 (sanitised just above)
