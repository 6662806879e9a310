"""Replying: the answers that a client's connection gives by itself, and what is known of that connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aen.proxy.answers import cleared, redirect, refusal
from aen.proxy.body import Chunked
from aen.proxy.doors import Door, trouble_door
from aen.proxy.exchange import Request
from aen.proxy.tunnel import Tunnel
from aen.proxy.upstream import Upstream
from aen.proxy.wording import worded

if TYPE_CHECKING:
    from aen.proxy.plane import Plane

#: Where a connection is: awaiting a head; taking a body; the request is whole; …; no more requests.
IN_HEAD, IN_BODY, SENT, TUNNEL, OVER = range(5)
LINGER_SECONDS = 2.0  # what a client still sends is read and dropped, so that it gets to see our answer


class Replying(asyncio.Protocol):
    """A client's connection, as far as it needs no app. `answering.py` relays the answers of apps, `downstream.py` takes requests."""

    __slots__ = (
        *(
            "_body_left",
            "_buffer",
            "_chunked_out",
            "_chunks",
            "_ending",
            "_held",
            "_last",
            "_state",
            "_partial",
            "_paused",
            "_stalled",
            "_started",
            "_unsent",
            "_whole",
        ),
        *("_app", "_plane", "_taken", "address", "deadline", "fresh"),
        *("peer", "person", "request", "transport", "tunnel"),
    )

    transport: asyncio.Transport

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._app: Upstream | None = None
        self._buffer, self._state, self._unsent = b"", IN_HEAD, b""
        self._whole = b""  # a head that came alone, while it is looked at
        self._chunks: Chunked | None = None
        self._body_left, self._taken = 0, 0
        self._held, self._paused, self._stalled, self._started = False, False, False, False
        self._chunked_out, self._ending, self._partial = False, False, False
        self.request: Request | None = None
        self._last: Request | None = None  # a request that may be repeated
        self.tunnel: Tunnel | None = None
        self.fresh = True  # no request has come yet
        self.person = ""  # whose connection it counts as
        self.peer = self.address = ""  # who is at the other end; who asks: differs behind a trusted proxy
        self.deadline = 0.0  # monotonic; 0: none

    def _read(self) -> None:
        """Read from the client, or not: by what is known now."""
        raise NotImplementedError

    def go(self, request: Request, door: Door) -> None:
        """The request may go through `door`."""
        raise NotImplementedError

    def _next(self) -> None:
        """Await the next request on this connection."""
        raise NotImplementedError

    @property
    def head_only(self) -> bool:
        """Whether the request asks for a head without a body."""
        return self.request is not None and self.request.method == "HEAD"

    # ── our own answers ─────────────────────────────────────────────────────────────────────────────

    def refuse(self, status: int, why: str, headers: bytes = b"") -> None:
        """Answer a request that is not well formed, and serve no other on this connection."""
        if status == 426:
            headers += b"Sec-WebSocket-Version: 13\r\n"
        self._plane.refused(self, status, why)
        self.transport.write(refusal(status, why, close=True, headers=headers))
        self._done()
        self._finish(lingering=True)

    def reply(self, status: int, why: str, headers: bytes = b"", *, ending: bool = False) -> None:
        """Answer the request by ourselves: it reaches no app. People get a page of ours, programs what is in the API's form."""
        request = self.request
        if request is not None and (door := trouble_door(self._plane, request, status, why)) is not None:
            self.go(request, door)
            return
        whole = self._state == SENT
        self._ending = self._ending or ending or not whole
        if request is not None:
            request.status = status
        answer = refusal(status, worded(request, why), close=self._ending, headers=headers, head_only=self.head_only)
        self._send(answer, lingering=not whole)

    def lead_to(self, location: bytes) -> None:
        """Send the browser to another address of ours."""
        if self.request is not None:
            self.request.status = 303
        self._send(redirect(location, close=self._ending), lingering=False)

    def clear_cookie(self, request: Request) -> None:
        """Our cookie was there twice: somebody may have planted one. Neither counts; both are cleared."""
        name = self._plane.cookie
        lines = cleared(name, request.key, secure=self._plane.sites.secure)
        self._ending = True
        self.reply(400, "Your sign-in cookie was sent twice. It has been cleared: load the page again.", lines)

    def _send(self, answer: bytes, *, lingering: bool) -> None:
        self.transport.write(answer)
        self._done()
        if self._ending:
            self._finish(lingering=lingering)
        else:
            self._next()

    def _fail(self, status: int, why: str) -> None:
        app, self._app = self._app, None
        if app is not None:
            app.drop()
        if self._started:
            self.transport.close()
            return
        self.reply(status, why, b"Retry-After: 2\r\n" if status in (502, 503, 504) else b"", ending=True)

    def _done(self) -> None:
        """The request is answered."""
        if self.request is not None:
            self._plane.ended(self, self.request)
        self.request = None
        self._chunks, self._started = None, False

    def _finish(self, *, lingering: bool) -> None:
        """Serve no more. Lingering: the client is still sending; closing at once could cost it our answer."""
        self._state, self._buffer, self._held = OVER, b"", False
        if not lingering:
            self.transport.close()
            return
        self._read()
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        self.deadline = self._plane.now + LINGER_SECONDS
