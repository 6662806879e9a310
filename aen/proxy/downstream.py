"""Downstream: one client's connection. Takes requests one after the other, leads each to an app, relays both ways."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, cast

from aen.proxy import Visitor
from aen.proxy.answers import cleared, redirect, refusal
from aen.proxy.body import LAST_CHUNK, Chunked, chunk
from aen.proxy.doors import Door, open_door, upstream_head
from aen.proxy.head import CHUNKED, END, REQUEST_LINE, UNTIL_CLOSE, Refused, unfinished
from aen.proxy.headers import RequestFields, ResponseFields
from aen.proxy.tunnel import Tunnel
from aen.proxy.upstream import WRITE_BUFFER, Upstream

if TYPE_CHECKING:
    from aen.proxy.plane import Plane

_HEAD, _BODY, _SENT, _TUNNEL, _OVER = range(5)  # awaiting a head; taking a body; request is whole; …; no more requests
_AGAIN = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))  # may be sent twice
_LINGER_SECONDS = 2.0  # what a client still sends is read and dropped, so that it gets to see our answer


class Request:
    """What is known of the request under way."""

    __slots__ = ("began", "door", "fields", "head", "key", "method", "old", "status", "target", "visitor")

    def __init__(self, method: str, target: bytes, key: bytes, old: bool, fields: RequestFields) -> None:
        self.method, self.target, self.key, self.old, self.fields = method, target, key, old, fields
        self.visitor: Visitor | None = None
        self.door: Door | None = None
        self.head = b""
        self.status = 0
        self.began = time.monotonic()


class Downstream(asyncio.Protocol):
    """A client. The transport is read only while there is somewhere for the bytes to go."""

    __slots__ = (
        *(
            "_body_left",
            "_buffer",
            "_chunked_out",
            "_chunks",
            "_ending",
            "_held",
            "_state",
            "_partial",
            "_stalled",
            "_started",
        ),
        *("_app", "_plane", "_taken", "address", "deadline", "request", "transport", "tunnel"),
    )

    transport: asyncio.Transport

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._app: Upstream | None = None
        self._buffer, self._state = b"", _HEAD
        self._chunks: Chunked | None = None
        self._body_left, self._taken = 0, 0
        self._held, self._stalled, self._started = False, False, False
        self._chunked_out, self._ending, self._partial = False, False, False
        self.request: Request | None = None
        self.tunnel: Tunnel | None = None
        self.address = ""
        self.deadline = 0.0  # monotonic; 0: none

    # ── the client's side ───────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        transport.set_write_buffer_limits(high=WRITE_BUFFER)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else ""
        self._plane.connections.add(self)
        self.deadline = self._plane.now + self._plane.limits.head_seconds

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        state = self._state
        if state == _TUNNEL:
            assert self.tunnel is not None
            self.tunnel.client_sent(data)
        elif state == _BODY and not self._buffer and self._app is not None:
            self._body(data)
        elif state != _OVER:
            self._buffer = self._buffer + data if self._buffer else data
            if state == _HEAD:
                self._heads()
            else:
                self._read()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._plane.gone(self)
        app, self._app, self._state = self._app, None, _OVER
        if app is not None:
            app.drop()
        if self.request is not None:
            self._plane.ended(self, self.request)
            self.request = None
        self.tunnel = None

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the client takes no more for now, so the app is not read."""
        self._stalled = True
        self.deadline = self._plane.now + self._plane.limits.stall_seconds
        if self._app is not None and not self._app.transport.is_closing():
            self._app.transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._stalled, self.deadline = False, 0.0
        if self._app is not None and not self._app.transport.is_closing():
            self._app.transport.resume_reading()

    def hold(self, held: bool) -> None:
        """The app takes no more for now (or does again)."""
        self._held = held
        self._read()

    def expired(self) -> None:
        """The deadline has passed."""
        self.deadline = 0.0
        if self._state == _SENT and not self._started:
            self._fail(504, "The app did not begin to answer in time.")
        elif self._state == _HEAD and self._buffer:
            self.refuse(408, "The head of the request took too long.")
        else:
            self.transport.abort() if self._stalled else self.transport.close()

    def drain(self) -> None:
        """Serve no request after the one under way."""
        self._ending = True
        if self._state == _HEAD and not self._buffer:
            self.transport.close()

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self.request is not None and self.tunnel is None

    def _read(self) -> None:
        """Read from the client, or not: by what is known now."""
        waits = self._state in (_BODY, _SENT) and (self._app is None or bool(self._buffer))
        if self.transport.is_closing():
            return
        if self._held or (waits and self._state != _OVER):
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    # ── heads ───────────────────────────────────────────────────────────────────────────────────────

    def _heads(self) -> None:
        """Take the next request, if its head is whole. Several may follow each other when we answer by ourselves."""
        limits = self._plane.limits
        try:
            while self._state == _HEAD and self._buffer:
                end = self._buffer.find(END, 0, limits.head_bytes + 4)
                if end < 0:
                    unfinished(self._buffer, limits.head_bytes)
                    if not self._partial:
                        self._partial, self.deadline = True, self._plane.now + limits.head_seconds
                    return
                head, self._buffer = self._buffer[: end + 2], self._buffer[end + 4 :]
                self._head(head)
        except Refused as refused:
            self.refuse(refused.status, refused.why)

    def _head(self, head: bytes) -> None:
        stop = head.find(b"\r\n")
        match = REQUEST_LINE.fullmatch(head, 0, stop)
        if match is None:
            raise Refused(400, "The request line is not well formed.")
        method, target, key, minor = match.groups()
        fields = self._plane.requests.get(head[stop + 2 :])
        old = minor == b"0"
        _fits(method, fields, old, self._plane.limits.body_bytes)
        request = Request(method.decode(), target, key or b"", old, fields)
        self.request = request
        self._ending = self._ending or old or fields.close or self._plane.draining
        length = fields.length or 0
        self._chunks = Chunked() if length == CHUNKED else None
        self._body_left, self._taken = length, 0
        self._state = _BODY if length else _SENT
        self._started, self._partial, self.deadline = False, False, 0.0
        open_door(self._plane, self, request)

    def go(self, request: Request, door: Door) -> None:
        """The request may go through `door`: find a connection and send it."""
        request.door, request.head = door, upstream_head(self._plane, self, request, door)
        app = door.pool.take()
        if app is not None:
            self.connected(request, app)
        else:
            self._read()
            self._plane.connect(self, request, door.pool)

    def connected(self, request: Request, app: Upstream) -> None:
        """A connection to the app is there."""
        if self.request is not request or self._state == _OVER or self.transport.is_closing():
            app.drop()
            return
        self._app = app
        if self._stalled:
            app.transport.pause_reading()
        self.deadline = self._plane.now + self._plane.limits.first_byte_seconds
        app.begin(self, request.head)
        if self._state == _BODY and self._buffer:
            data, self._buffer = self._buffer, b""
            self._body(data)
        if self.request is request:
            self._read()

    def _body(self, data: bytes) -> None:
        """Relay a part of the request's body."""
        app = self._app
        assert app is not None
        if self._chunks is not None:
            self._chunked(self._chunks, app, data)
            return
        left = self._body_left
        if len(data) < left:
            self._body_left = left - len(data)
            app.transport.write(data)
            return
        app.transport.write(data[:left])
        self._body_left, self._state = 0, _SENT
        self._buffer = data[left:]

    def _chunked(self, chunks: Chunked, app: Upstream, data: bytes) -> None:
        try:
            payload = chunks.feed(data)
            self._taken += len(payload)
            most = self._plane.limits.body_bytes
            if most and self._taken > most:
                raise Refused(413, "The body of the request is too large.")
        except Refused as refused:
            self._app = None
            app.drop()  # the app sees a body without its end, never another request
            self._fail(refused.status, refused.why)
            return
        if payload:
            app.transport.write(chunk(payload))
        if chunks.done:
            app.transport.write(LAST_CHUNK)
            self._state, self._buffer = _SENT, chunks.extra

    # ── the app's side ──────────────────────────────────────────────────────────────────────────────

    @property
    def head_only(self) -> bool:
        """Whether the request asks for a head without a body."""
        return self.request is not None and self.request.method == "HEAD"

    @property
    def sent_all(self) -> bool:
        """Whether the request has gone to the app to its end."""
        return self._state == _SENT

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
        framing = b""
        if self._chunked_out:
            framing = b"Transfer-Encoding: chunked\r\n"
        elif length > 0 or (not bodyless and length == 0):
            framing = b"Content-Length: %d\r\n" % length
        elif bodyless and fields.stated and status not in (204, 304):
            framing = b"Content-Length: %d\r\n" % fields.length
        ending = b"Connection: close\r\n" if self._ending else b""
        self.transport.write(b"HTTP/1.1 %d %b\r\n%b%b%b\r\n" % (status, phrase, fields.forwarded, framing, ending))

    def body(self, data: bytes) -> None:
        """A part of the answer's body."""
        if not self._chunked_out:
            self.transport.write(data)
        elif data:
            self.transport.write(chunk(data))

    def finish_body(self) -> None:
        """The answer's body is whole."""
        if self._chunked_out:
            self.transport.write(LAST_CHUNK)

    def answered(self) -> None:
        """The app has answered and its connection is given back: go on with the next request."""
        self._app = None
        unsent = self._state == _BODY
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
        request.status, self._state, self.deadline, self._started = 101, _TUNNEL, 0.0, True
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
        whole = self._state == _SENT
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
        self._ending = True
        self.reply(status, why, b"Retry-After: 2\r\n" if status in (502, 503, 504) else b"")

    def _done(self) -> None:
        """The request is answered."""
        if self.request is not None:
            self._plane.ended(self, self.request)
        self.request = None
        self._chunks, self._started = None, False

    def _next(self) -> None:
        """Await the next request on this connection."""
        self._state = _HEAD
        limits = self._plane.limits
        self.deadline = self._plane.now + (limits.head_seconds if self._buffer else limits.idle_seconds)
        if self._held or self._buffer:
            self._held = False
            self._read()
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._heads)  # not within the answer before it

    def _finish(self, *, lingering: bool) -> None:
        """Serve no more. Lingering: the client is still sending; closing at once could cost it our answer."""
        self._state, self._buffer, self._held = _OVER, b"", False
        if not lingering:
            self.transport.close()
            return
        self._read()
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        self.deadline = self._plane.now + _LINGER_SECONDS


def _fits(method: bytes, fields: RequestFields, old: bool, most: int) -> None:
    """Raises Refused where request line and headers don't go together."""
    if method in (b"CONNECT", b"TRACE"):
        raise Refused(501, "This method is not supported.")
    if not fields.host and not old:
        raise Refused(400, "The Host is missing.")
    if old and fields.length == CHUNKED:
        raise Refused(400, "HTTP/1.0 knows no Transfer-Encoding.")
    if fields.websocket and (old or method != b"GET"):
        raise Refused(400, "A WebSocket handshake is a GET in HTTP/1.1.")
    if most and fields.length is not None and fields.length > most:
        raise Refused(413, "The body of the request is too large.")
