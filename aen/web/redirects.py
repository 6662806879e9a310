"""Redirects: where a `next` parameter may lead. Only to a page of this site, never to another one."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

_LONGEST = 2048
_SHAPE = re.compile(r"/[!-~]*")  # begins with one slash; printable ASCII, no space
_NEVER = ("/logout",)


def safe_next(text: str | None, default: str = "/") -> str:
    """`text`, if it is an address below this site's root that is safe to go to; else `default`.

    Refused: other hosts in any spelling, schemes, backslashes, control characters (plain or encoded), dot segments,
    what is longer than 2048 characters, and pages that would sign the person out.
    """
    if not text or len(text) > _LONGEST or not _SHAPE.fullmatch(text) or "\\" in text:
        return default
    path = _decoded(re.split(r"[?#]", text, maxsplit=1)[0])
    if path is None or path.startswith("//") or re.search(r"[\x00-\x1f\x7f\\]", path):
        return default
    if any(part in (".", "..") for part in path.split("/")):
        return default
    return default if path.rstrip("/").lower() in _NEVER else text


def to_sign_in(sign_in: str, method: str, path_qs: str) -> str:
    """The address of the login page that leads back to where the person was (only for what can be asked for again)."""
    back = safe_next(path_qs) if method in ("GET", "HEAD") else "/"
    return sign_in if back == "/" else f"{sign_in}?next={quote(back, safe='/')}"


def _decoded(path: str) -> str | None:
    """The path with all its layers of percent-encoding taken off; None when they do not end."""
    for _ in range(4):
        once = unquote(path)
        if once == path:
            return path
        path = once
    return None
