"""CSRF: an unsafe browser request must come from our own pages: its Origin is ours and it holds the login's token."""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from aiohttp import web

from aen.errors import Denied

FIELD = "csrf"
HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def guard(request: web.Request, *, origin: str, expected: str) -> None:
    """Let the request pass, or raise Denied.

    `origin` is the server's own (scheme://host[:port]); `expected` is the login's token, empty before sign-in
    (then the Origin alone must prove that our own form was sent). Safe methods pass: they change nothing.
    """
    if request.method in _SAFE:
        return
    if not same_origin(request, origin):
        raise Denied(f"This request came from another site, so it was not done. Open {origin} and try again there.")
    if expected and not hmac.compare_digest(await _given(request), expected.encode()):
        raise Denied("This page was open for too long or belongs to another login. Go back, reload it and try again.")


def same_origin(request: web.Request, origin: str) -> bool:
    """Whether the request's Origin (or, where there is none, its Referer) is exactly `origin`."""
    claimed = request.headers.getall("Origin", [])
    if not claimed:
        claimed = [_origin_of(value) for value in request.headers.getall("Referer", [])]
    return len(claimed) == 1 and claimed[0] == origin


def _origin_of(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


async def _given(request: web.Request) -> bytes:
    header = request.headers.get(HEADER)
    if header is not None:
        return header.encode()
    if request.content_type not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        return b""
    field = (await request.post()).get(FIELD, "")
    return field.encode() if isinstance(field, str) else b""
