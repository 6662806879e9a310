"""Answering: what a client's connection sends: the answers of apps, relayed, and the few that are our own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aen.proxy.answers import cleared, framing_lines, redirect, refusal
from aen.proxy.body import LAST_CHUNK, Chunked, chunk
from aen.proxy.doors import Door, trouble_door
from aen.proxy.exchange import LONGEST_KEPT, Known, Request
from aen.proxy.head import UNTIL_CLOSE
from aen.proxy.headers import ResponseFields
from aen.proxy.tunnel import Tunnel
from aen.proxy.upstream import Upstream

if TYPE_CHECKING:
    from aen.proxy.plane import Plane

#: Where a connection is: awaiting a head; taking a body; the request is whole; …; no more requests.
IN_HEAD, IN_BODY, SENT, TUNNEL, OVER = range(5)
_AGAIN = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))  # may be sent twice
_LINGER_SECONDS = 2.0  # what a client still sends is read and dropped, so that it gets to see our answer


class Answering(asyncio.Protocol):
    """The sending side. `downstream.py` is the receiving side of the same connection."""

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

    def connected(self, request: Request, app: Upstream) -> None:
        """A connection to the app is there."""
        raise NotImplementedError

    def go(self, request: Request, door: Door) -> None:
        """The request may go through `door`."""
        raise NotImplementedError

    def _next(self) -> None:
        """Await the next request on this connection."""
        raise NotImplementedError

    # ── the app's side ──────────────────────────────────────────────────────────────────────────────

    @property
    def head_only(self) -> bool:
        """Whether the request asks for a head without a body."""
        return self.request is not None and self.request.method == "HEAD"

    @property
    def sent_all(self) -> bool:
        """Whether the request has gone to the app to its end."""
        return self._state == SENT

    def interim(self, status: int, phrase: bytes, fields: ResponseFields) -> None:
        """An interim answer of the app: 100 to those who asked for it, 103 to those who know it."""
        request = self.request
        if request is None or request.old or (status == 100 and not request.fields.expect):
            return
        lines = b"" if status == 100 else fields.forwarded
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, phrase, lines))

    def respond(self, status: int, phrase: bytes, fields: ResponseFields, length: int, *, bodyless: bool) -> None:
        """The head of the app's answer. `length` as in head.py; `bodyless`: there is none, whatever the head says."""
        request = self.request
        assert request is not None
        self._started, self.deadline, request.status = True, 0.0, status
        self._chunked_out = length < 0 and not request.old
        if request.fields.websocket or not self.sent_all:
            self._ending = True
        if length == UNTIL_CLOSE and request.old:
            self._ending = True
        framing = framing_lines(status, length, fields, chunked=self._chunked_out, bodyless=bodyless)
        ending = b"Connection: close\r\n" if self._ending else b""
        # Written with the beginning of the body where that is here already: one system call instead of two.
        self._unsent = b"HTTP/1.1 %d %b\r\n%b%b%b\r\n" % (status, phrase, fields.forwarded, framing, ending)

    def remember(self, head: bytes, status: int, length: int) -> None:
        """The answer whose head has just been given to `respond` came as `head`: for when it comes again."""
        request = self.request
        if request is not None and request.data and not self._ending and length >= 0 and len(head) <= LONGEST_KEPT:
            request.known = Known(head, status, length, self._unsent)

    def respond_again(self, request: Request, known: Known, data: bytes) -> None:
        """The answer of last time begins again, in `data`; more is to come."""
        self._started, self.deadline, request.status = True, 0.0, known.status
        self._chunked_out = False
        self.transport.write(data if known.same else known.out + data[known.size :])

    def answer_again(self, request: Request, known: Known, data: bytes) -> None:
        """The answer of last time, whole in `data`: what `respond`, `body` and `answered` do, in one go."""
        plane = self._plane
        request.status = known.status
        self._app = self.request = None
        self._state, self.deadline = IN_HEAD, plane.now + plane.limits.idle_seconds
        self.transport.write(data if known.same else known.out + data[known.size :])
        plane.ended(self, request)
        if self._buffer or self._paused:
            self._next()

    def body(self, data: bytes) -> None:
        """A part of the answer's body."""
        if self._chunked_out:
            data = chunk(data)
        if self._unsent:
            data, self._unsent = self._unsent + data, b""
        self.transport.write(data)

    def flush(self) -> None:
        """Write the answer's head, if that still waits for a body."""
        if self._unsent:
            head, self._unsent = self._unsent, b""
            self.transport.write(head)

    def finish_body(self) -> None:
        """The answer's body is whole."""
        if self._chunked_out:
            head, self._unsent = self._unsent, b""
            self.transport.write(head + LAST_CHUNK)
        else:
            self.flush()

    def answered(self) -> None:
        """The app has answered and its connection is given back: go on with the next request."""
        self._app = None
        unsent = self._state == IN_BODY
        self._done()
        if self._ending:
            self._finish(lingering=unsent or bool(self._buffer))
        else:
            self._next()

    def no_answer(self, *, again: bool) -> None:
        """The app's connection ended before an answer. `again`: it was a kept one, which may have been stale."""
        self._app = None
        request = self.request
        if request is None:
            return
        if again and request.method in _AGAIN and not request.fields.length and request.door is not None:
            self._plane.connect(self, request, request.door.pool)
        else:
            self._fail(502, "The app ended the connection without an answer. It may have stopped.")

    def bad_answer(self, why: str) -> None:
        """The app's answer can't be passed on."""
        self._app = None
        self._plane.complain(self, why)
        self._fail(502, why)

    def unreachable(self, request: Request, status: int, why: str) -> None:
        """No connection to the app could be made."""
        if self.request is request:
            self._fail(status, why)

    def cut_off(self) -> None:
        """The app went away in the middle of its answer: so do we, so that the client sees that it is not whole."""
        self._app = None
        if self.tunnel is None and not self._started:
            self._fail(502, "The app's answer was cut off.")
        else:
            self.flush()
            self.transport.close()

    def awaits_upgrade(self) -> bytes:
        """The key of the WebSocket handshake under way, or empty."""
        return self.request.fields.websocket if self.request is not None else b""

    def switched(self, fields: ResponseFields) -> None:
        """The app takes the WebSocket: from now on bytes pass as they are."""
        request, app = self.request, self._app
        assert request is not None
        assert app is not None
        lines = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
        self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\n%b%b\r\n" % (lines, fields.forwarded))
        request.status, self._state, self.deadline, self._started = 101, TUNNEL, 0.0, True
        self._last, request.head = None, b""  # it may last for days
        self.tunnel = Tunnel(self.transport, app.transport, asyncio.get_running_loop())
        rest, self._buffer = self._buffer, b""
        if rest:
            self.tunnel.client_sent(rest)
        self._read()

    # ── our own answers ─────────────────────────────────────────────────────────────────────────────

    def refuse(self, status: int, why: str, headers: bytes = b"") -> None:
        """Answer a request that is not well formed, and serve no other on this connection."""
        if status == 426:
            headers += b"Sec-WebSocket-Version: 13\r\n"
        self._plane.refused(self, status, why)
        self.transport.write(refusal(status, why, close=True, headers=headers))
        self._done()
        self._finish(lingering=True)

    def reply(self, status: int, why: str, headers: bytes = b"") -> None:
        """Answer the request by ourselves: it reaches no app."""
        whole = self._state == SENT
        self._ending = self._ending or not whole
        request = self.request
        if request is not None:
            request.status = status
        answer = refusal(status, why, close=self._ending, headers=headers, head_only=self.head_only)
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
        request = self.request
        if request is not None and (door := trouble_door(self._plane, request, status, why)) is not None:
            self.go(request, door)
            return
        self._ending = True
        self.reply(status, why, b"Retry-After: 2\r\n" if status in (502, 503, 504) else b"")

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
        self.deadline = self._plane.now + _LINGER_SECONDS
