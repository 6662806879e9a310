"""Answers: the few responses that the data plane gives by itself. Pages are made elsewhere."""

from __future__ import annotations

import json
from http import HTTPStatus

from aen.errors import new_id
from aen.proxy.headers import ResponseFields

_CODES = {401: "not_signed_in", 403: "denied", 404: "not_found", 429: "too_many", 503: "unavailable", 504: "timed_out"}


def refusal(status: int, why: str, *, close: bool, headers: bytes = b"", head_only: bool = False) -> bytes:
    """An error in the API's form. `headers`: further lines, each with its CRLF."""
    code = _CODES.get(status, "invalid" if status < 500 else "unavailable")
    error = {"code": code, "message": why, "id": new_id()}
    body = json.dumps({"error": error}).encode()
    kind = b"Content-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
    return _response(status, kind + headers, b"" if head_only else body, len(body), close=close)


def framing_lines(status: int, length: int, fields: ResponseFields, *, chunked: bool, bodyless: bool) -> bytes:
    """How a client is told where an app's answer ends. `length` as in head.py; an answer to HEAD repeats what was said."""
    if chunked:
        return b"Transfer-Encoding: chunked\r\n"
    if length > 0 or (not bodyless and length == 0):
        return b"Content-Length: %d\r\n" % length
    if bodyless and fields.stated and status not in (204, 304):
        return b"Content-Length: %d\r\n" % fields.length
    return b""


def redirect(location: bytes, *, close: bool, status: int = 303) -> bytes:
    """Go there. `location` is bytes of a parsed target, so nothing in it can end the line."""
    return _response(status, b"Location: %b\r\n" % location, b"", 0, close=close)


def cleared(name: bytes, key: bytes, *, secure: bool) -> bytes:
    """The lines that clear our cookie here and at the deeper paths where a twin of it may have been put."""
    paths, so_far = [b"/"], b""
    for part in key.split(b"/") if key and not name.startswith(b"__Host-") else ():
        so_far += b"/" + part
        paths += [so_far, so_far + b"/"]
    tail = b"; Max-Age=0; HttpOnly; SameSite=Lax" + (b"; Secure" if secure else b"")
    return b"".join(b"Set-Cookie: %b=; Path=%b%b\r\n" % (name, path, tail) for path in paths)


def _response(status: int, lines: bytes, body: bytes, length: int, *, close: bool) -> bytes:
    phrase = HTTPStatus(status).phrase.encode()
    ending = b"Connection: close\r\n" if close else b""
    head = b"HTTP/1.1 %d %b\r\nContent-Length: %d\r\nCache-Control: no-store\r\n" % (status, phrase, length)
    return head + lines + ending + b"\r\n" + body
