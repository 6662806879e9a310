"""Wording: what the data plane refuses by, in the reader's language: of their account, else of their browser; else English."""

from __future__ import annotations

import re
from functools import lru_cache

from aen.languages import LANGUAGE, choose, said
from aen.proxy.exchange import Request

_ACCEPTED = re.compile(rb"^accept-language:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_KNOWN = 512  # sentences that are remembered: with names in them they differ, and matching one takes 0.1 ms


def worded(request: Request | None, why: str) -> str:
    """`why` for who asked; the code beside it stays the same in every language."""
    if request is None:
        return why
    chosen = request.visitor.language_name if request.visitor is not None else ""
    accepted = _ACCEPTED.search(request.fields.forwarded)
    return _in(choose(chosen, accepted[1].decode("latin-1") if accepted else ""), why)


@lru_cache(_KNOWN)
def _in(language: str, why: str) -> str:
    before = LANGUAGE.set(language)
    try:
        return said(why)
    finally:
        LANGUAGE.reset(before)
