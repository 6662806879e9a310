"""Access lines: what the access log says of a request, in the combined format of web servers or as JSON. Pure.

No query is in it, neither of the address nor of the page it came from: queries may hold tokens.
"""

from __future__ import annotations

import json
import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from aen.links import without_secret

if TYPE_CHECKING:
    from aen.proxy.exchange import Request

Parts = tuple[str, str, str]  # before the date, between date and status, between status and seconds
_NAMES = ("address", "user", "method", "path", "referer", "agent")
_LONGEST = 500  # characters of one text
_QUOTED = re.compile(r'["\\\x00-\x1f\x7f-\xff]')


class Lines:
    """One of the two formats. A line is date and numbers within what stays the same when the request comes again."""

    def __init__(self, kind: str) -> None:
        self._json = kind == "json"
        self.end = "}\n" if self._json else "\n"

    def date(self, now_ms: int) -> str:
        """The time (ms since 1970) as the format has it, in UTC."""
        shape = "%Y-%m-%dT%H:%M:%SZ" if self._json else "%d/%b/%Y:%H:%M:%S +0000"
        return time.strftime(shape, time.gmtime(now_ms // 1000))

    def parts(self, address: str, request: Request) -> Parts:
        """The constant parts of the line of `request`."""
        fields = request.fields
        user = request.visitor.user if request.visitor is not None else ""
        path = without_secret(_text(request.target.partition(b"?")[0]))
        if self._json:
            said = (address, user, request.method, path, without_secret(_text(fields.referer)), _text(fields.agent))
            middle = json.dumps(dict(zip(_NAMES, said, strict=True)))
            return '{"time":"', f'",{middle[1:-1]},"status":', ',"seconds":'
        if '"' in path or "\\" in path:  # nothing else that could end it stands in a target
            path = _QUOTED.sub(_escaped, path)
        return (
            f"{address or '-'} - {user or '-'} [",
            f'] "{request.method} {path} HTTP/{"1.0" if request.old else "1.1"}" ',
            _browser(fields.referer, fields.agent),
        )


@lru_cache(maxsize=2048)  # a browser says the same with most of its requests
def _browser(referer: bytes, agent: bytes) -> str:
    """The end of a line in the combined format."""
    page, program = (_QUOTED.sub(_escaped, text) for text in (without_secret(_text(referer)), _text(agent)))
    return f' - "{page or "-"}" "{program or "-"}" '


def _text(value: bytes) -> str:
    return value[:_LONGEST].decode("latin-1")


def _escaped(match: re.Match[str]) -> str:
    """As nginx writes what could end a text or a line."""
    return f"\\x{ord(match[0]):02X}"
