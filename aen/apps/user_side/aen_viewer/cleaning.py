"""Cleaning: HTML of files and outputs without anything that acts. What leaves here is written anew, tag by tag, so it does not
matter how a browser would have read what came in.

Each sign is looked at a bounded number of times: people's outputs are megabytes, and the usual cleaners take minutes for them.
"""

from __future__ import annotations

import html
import re
from collections import Counter

_TAGS = frozenset(
    "a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i "
    "img ins kbd li mark ol p pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr tt u ul var".split()
)
_VOID = frozenset({"br", "col", "hr", "img"})
#: What stands in these is nothing to read.
_WITH_CONTENT = frozenset("embed iframe math noembed noframes object script style svg template title xmp".split())
_ANYWHERE = frozenset({"class", "id", "title", "align"})
_ATTRIBUTES = {
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan", "scope"},
}
_SCHEMES = frozenset({"http", "https", "mailto"})
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_ATTRIBUTE = re.compile(r"""[\s/]*([^\s/>][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]*)))?""")
_END = re.compile(r"[\s/]*>")
_SCHEME = re.compile(r"([^/?#:]*):")
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u2000-\u200f\u2028-\u202f\u2060\ufeff]")  # browsers pass some of these over


def clean(text: str) -> str:
    """HTML without scripts, handlers, frames, forms, styles, and addresses other than http and mailto."""
    return _Cleaner(text).run()


class _Cleaner:
    """One text on its way."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._made: list[str] = []
        self._open: list[str] = []
        self._count: Counter[str] = Counter()  # of what is open

    def run(self) -> str:
        """All of it, every tag closed."""
        at = 0
        while 0 <= at < len(self._text):
            sign = self._text.find("<", at)
            if sign != at:
                self._say(self._text[at : sign if sign >= 0 else None])
            at = self._markup(sign) if sign >= 0 else -1
        while self._open:
            self._close(self._open[-1])
        return "".join(self._made)

    def _say(self, text: str) -> None:
        self._made.append(html.escape(html.unescape(text) if "&" in text else text, quote=False))

    def _markup(self, at: int) -> int:
        """What begins with the `<` at `at`; where it ends, -1 when the text does before."""
        if found := _TAG.match(self._text, at):
            return self._tag(found[2].lower(), found.end(), closing=bool(found[1]))
        if self._text.startswith("<!--", at):
            return self._after("-->", at + 4)
        if self._text[at + 1 : at + 2] in ("!", "?", "/"):
            return self._after(">", at)
        self._say("<")
        return at + 1

    def _after(self, mark: str, at: int) -> int:
        found = self._text.find(mark, at)
        return found + len(mark) if found >= 0 else -1

    def _tag(self, name: str, at: int, *, closing: bool) -> int:
        given: dict[str, str] = {}
        while not (end := _END.match(self._text, at)):
            found = _ATTRIBUTE.match(self._text, at)
            if found is None:
                return -1  # the text ends within the tag
            given.setdefault(found[1].lower(), found[2] or found[3] or found[4] or "")
            at = found.end()
        if closing:
            self._close(name)
        elif name in _WITH_CONTENT:
            found = re.compile(rf"</{name}(?=[\s/>])", re.I).search(self._text, end.end())
            return found.start() if found else -1
        elif name in _TAGS:
            self._begin(name, given)
        return end.end()

    def _begin(self, name: str, given: dict[str, str]) -> None:
        kept = [_attribute(name, key, html.unescape(value)) for key, value in given.items()]
        self._made.append(f"<{name}{''.join(kept)}>")
        if name not in _VOID:
            self._open.append(name)
            self._count[name] += 1

    def _close(self, name: str) -> None:
        """End what is open of that name, and what was opened in it; nothing when there is none."""
        while self._count[name]:
            inner = self._open.pop()
            self._count[inner] -= 1
            self._made.append(f"</{inner}>")
            if inner == name:
                return


def _attribute(tag: str, name: str, value: str) -> str:
    """An attribute as it is written; empty when it is not kept."""
    if name not in _ANYWHERE and name not in _ATTRIBUTES.get(tag, ()):
        return ""
    if name in ("href", "src") and not _leads_anywhere_good(value):
        return ""
    return f' {name}="{html.escape(value)}"'


def _leads_anywhere_good(address: str) -> bool:
    scheme = _SCHEME.match(_UNSEEN.sub("", address))
    return scheme is None or scheme[1].lower() in _SCHEMES
