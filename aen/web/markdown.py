"""Markdown of project descriptions as safe HTML, in bounded time: what anybody writes is made into HTML on the server."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
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
_SHORT = 2_000  # characters that are made into HTML at once
_SECONDS = 2.0  # of processor time that one text may take
_MOST_KEPT = 4_000_000  # characters of texts and of their HTML, in all


def _picture(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """A picture of ours; of one elsewhere a link: who reads a description must not be seen by third parties."""
    address = str(tokens[at].attrGet("src") or "")
    if not _ELSEWHERE.match(address):
        return renderer.image(tokens, at, options, env)
    text = renderer.renderInlineAsText(tokens[at].children, options, env)
    return f'<a href="{escape(address)}">{escape(text or address)}</a>'


class _TooLong(Exception):
    """A text was made to take its time."""


def _in_time(state: StateBlock | StateInline, *given: Any) -> bool:
    """A rule that fits nothing, and is asked all the time. Raises _TooLong."""
    if time.thread_time() > state.env["until"]:
        raise _TooLong
    return False


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
_MARKDOWN.add_render_rule("image", _picture)
_MARKDOWN.block.ruler.before("table", "in time", _in_time, {"alt": ["paragraph", "reference", "blockquote", "list"]})
_MARKDOWN.inline.ruler.before("text", "in time", _in_time)


def render_markdown(text: str) -> Markup:
    """`text` as HTML: raw HTML is shown as text, links are http, https or mailto and carry no referrer.

    A text that would take too long (brackets in brackets, quotes in quotes, a thousand columns) is shown as it is written.
    """
    try:
        html = _MARKDOWN.render(text[:_LONGEST], {"until": time.thread_time() + _SECONDS})
    except _TooLong:
        return Markup("<pre>{}</pre>").format(text[:_LONGEST])
    clean = nh3.clean(
        html, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=_SCHEMES, link_rel="nofollow noopener noreferrer"
    )
    return Markup(clean)  # noqa: S704 (sanitised just above)


class Descriptions:
    """Texts as HTML for pages: long ones in a thread, one after the other, and each only once while it is looked at."""

    def __init__(self) -> None:
        self._made: OrderedDict[str, Markup] = OrderedDict()
        self._size = 0
        self._thread = ThreadPoolExecutor(1, "markdown")

    async def html(self, text: str) -> Markup:
        """See `render_markdown`."""
        made = self._made.get(text)
        if made is not None:
            return made
        if len(text) <= _SHORT:
            made = render_markdown(text)
        else:
            made = await asyncio.get_running_loop().run_in_executor(self._thread, render_markdown, text)
        if text not in self._made:  # somebody else may have asked meanwhile
            self._made[text] = made
            self._size += len(text) + len(made)
        while self._size > _MOST_KEPT:
            self._size -= sum(map(len, self._made.popitem(last=False)))
        return made
