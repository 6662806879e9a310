"""Exchange: what is known of a request under way, and of its answer when it is repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from aen.proxy import Visitor
from aen.proxy.accesslines import Parts
from aen.proxy.head import CHUNKED, Memory, Refused
from aen.proxy.headers import RequestFields, ResponseFields

if TYPE_CHECKING:
    from aen.proxy.doors import Door

LONGEST_KEPT = 4096  # bytes of a head that is kept for when it comes again
_MOST_HEADS = 1024


class Request:
    """What is known of the request under way."""

    __slots__ = (
        *("began", "door", "fields", "head", "key", "line", "method", "old", "status", "target", "visitor"),
        *("data", "known", "logins", "routes"),
    )

    def __init__(self, method: str, target: bytes, key: bytes, old: bool, fields: RequestFields) -> None:
        self.method, self.target, self.key, self.old, self.fields = method, target, key, old, fields
        self.visitor: Visitor | None = None
        self.door: Door | None = None
        self.head = b""
        self.line: Parts | None = None  # of the access log, once it was made
        self.status = 0
        self.began = time.monotonic()
        # For when the very same bytes come again on this connection; see downstream.py.
        self.data = b""  # all of them; empty: this one is not repeated
        self.routes = self.logins = 0  # the versions of what decided
        self.known: Known | None = None  # the answer of last time


def check(method: bytes, fields: RequestFields, old: bool) -> None:
    """Raises Refused where request line and headers don't go together."""
    if method in (b"CONNECT", b"TRACE"):
        raise Refused(501, "This method is not supported.")
    if not fields.host and not old:
        raise Refused(400, "The Host is missing.")
    if old and fields.length == CHUNKED:
        raise Refused(400, "HTTP/1.0 knows no Transfer-Encoding.")
    if fields.websocket and (old or method != b"GET"):
        raise Refused(400, "A WebSocket handshake is a GET in HTTP/1.1.")


class Known:
    """An answer's head as it came and as it went out: the same bytes for the same request go out the same."""

    __slots__ = ("head", "length", "out", "same", "size", "status")

    def __init__(self, head: bytes, status: int, length: int, out: bytes) -> None:
        self.head, self.status, self.length, self.out = head, status, length, out
        self.size, self.same = len(head), head == out


class Answers(Memory[ResponseFields]):
    """What the header blocks of answers mean; and of the plainest, whole heads with what goes out for them.

    What goes out for such a head depends on nothing else than the head, so it is the same for whichever app and client.
    """

    __slots__ = ("heads",)

    def __init__(self, make: Callable[[bytes], ResponseFields], most: int = 2048) -> None:
        super().__init__(make, most)
        self.heads: dict[bytes, Known] = {}

    def keep(self, known: Known) -> None:
        """Keep a head for when it comes again."""
        if len(self.heads) >= _MOST_HEADS:
            self.heads.clear()
        self.heads[known.head] = known
