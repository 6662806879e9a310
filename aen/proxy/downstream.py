"""Downstream: one client's connection. Takes requests one after the other, leads each to an app, relays both ways."""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios
import time
from typing import cast

from aen.proxy import By, reasons
from aen.proxy.answering import Answering
from aen.proxy.body import LAST_CHUNK, Chunked, chunk
from aen.proxy.doors import Door, open_door, upstream_head
from aen.proxy.exchange import LONGEST_KEPT, Request, check
from aen.proxy.head import CHUNKED, END, REQUEST_LINE, Refused, unfinished
from aen.proxy.replying import IN_BODY, IN_HEAD, LINGER_SECONDS, OVER, SENT
from aen.proxy.upstream import Upstream, write_at_once

_SOON = 1.0  # seconds in which the request of who has just connected comes, while we end
_TOO_LARGE = "The body of the request is too large for this app, says whoever runs this gateway."


class Downstream(Answering):
    """A client. The transport is read only while there is somewhere for the bytes to go."""

    __slots__ = ()

    # ── the client's side ───────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        write_at_once(transport)
        peer = transport.get_extra_info("peername")
        # A listener on all interfaces speaks IPv6, and shows IPv4 clients as ::ffff:a.b.c.d.
        self.peer = self.address = peer[0].removeprefix("::ffff:") if isinstance(peer, tuple) else ""
        self._plane.connections.add(self)
        self.deadline = self._plane.now + (_SOON if self._plane.draining else self._plane.limits.head_seconds)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        state = self._state
        if state == IN_HEAD:
            last = self._last
            if last is not None and data == last.data and not self._buffer and self._repeat(last):
                return
            self._buffer = self._buffer + data if self._buffer else data
            self._heads()
        elif state == IN_BODY and not self._buffer and self._app is not None:
            self._body(data)
        elif state != OVER:
            self._buffer = self._buffer + data if self._buffer else data
            self._read()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._plane.gone(self)
        self._last = None
        app, self._app, self._state = self._app, None, OVER
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
        self._stalled, self.deadline = False, self._time_left()
        if self._app is not None and not self._app.transport.is_closing():
            self._app.transport.resume_reading()

    def hold(self, held: bool) -> None:
        """The app takes no more for now (or does again)."""
        self._held = held
        self._read()

    def expired(self) -> None:
        """The deadline has passed."""
        self.deadline = 0.0
        if self._state == IN_BODY and not self._started and not self._held:
            self._fail(408, "The body of the request did not come in time.")
        elif self._state in (IN_BODY, SENT) and not self._started:
            self._fail(504, reasons.SLOW)
        elif self._state == IN_HEAD and self._buffer:
            self.refuse(408, "The head of the request took too long.")
        else:
            self.transport.abort() if self._stalled else self.transport.close()

    def drain(self) -> None:
        """Serve no request after the one under way."""
        self._ending, self._last = True, None
        if self.request is not None:
            self.request.known = None  # its answer says that it is the last
        if self._state != IN_HEAD or self._buffer or self._unread():
            return
        if self.fresh:  # who has just connected has a request on its way
            self.deadline = self._plane.now + _SOON
        else:
            self.transport.close()

    def _time_left(self) -> float:
        """The deadline of who takes again what we send: that of where the connection is by now."""
        now, limits = self._plane.now, self._plane.limits
        if self._state == IN_HEAD:
            return now + limits.idle_seconds
        if self._state == OVER:
            return now + LINGER_SECONDS
        return 0.0 if self._started else now + limits.first_byte_seconds

    def _unread(self) -> bool:
        """Whether the client has sent something that we have not read yet: a request that is to be answered."""
        descriptor = self.transport.get_extra_info("socket").fileno()
        return descriptor >= 0 and bool(
            int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)
        )

    def _read(self) -> None:
        """Read from the client, or not: by what is known now."""
        waits = self._state in (IN_BODY, SENT) and (self._app is None or bool(self._buffer))
        if self.transport.is_closing():
            return
        self._paused = self._held or (waits and self._state != OVER)
        if self._paused:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _next(self) -> None:
        """Await the next request on this connection."""
        self._state = IN_HEAD
        limits = self._plane.limits
        self.deadline = self._plane.now + (limits.head_seconds if self._buffer else limits.idle_seconds)
        if self._paused or self._buffer:  # paused by the app, or since we answered before there was one
            self._held = False
            self._read()
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._heads)  # not within the answer before it

    # ── the same again ──────────────────────────────────────────────────────────────────────────────

    def _repeat(self, last: Request) -> bool:
        """Send the last request again, whose very bytes have come again; False: it must be looked at anew.

        The same bytes lead to the same place as long as no route and no login has changed, and this login counts.
        The object is used again too. A connection that serves for it is at hand, so nothing else can hold it:
        whatever still waits for a request that failed has ended the client's connection.
        """
        plane, visitor = self._plane, last.visitor
        changed = last.routes != plane.routes.version or last.logins != plane.logins
        if changed or visitor is None or visitor.ended or visitor.expires < plane.now_ms or self._ending:
            self._last = None
            return False
        app = last.door.pool.take() if last.door is not None and not self._stalled else None
        if app is None:
            return False
        last.began, last.status = time.monotonic(), 0
        self.request, self._app, self._state, self._started = last, app, SENT, False
        self.deadline = plane.now + plane.limits.first_byte_seconds
        app.begin(self, last.head)
        return True

    def _keep(self, request: Request, door: Door) -> None:
        """Keep a request for when it comes again: only the plainest ones, which are whole and whose target was kept."""
        plane, fields = self._plane, request.fields
        whole, visitor = self._whole, request.visitor
        if not whole or request.old or fields.length or fields.websocket or self._ending or fields.expect:
            return
        if door.entry is None or visitor is None or fields.asks_page:
            return
        if visitor.by is By.TOKEN and not fields.token:  # taken out of the target
            return
        request.data, request.routes, request.logins = whole, plane.routes.version, plane.logins
        self._last = request

    # ── heads ───────────────────────────────────────────────────────────────────────────────────────

    def _heads(self) -> None:
        """Take the next request, if its head is whole. Several may follow each other when we answer by ourselves."""
        limits = self._plane.limits
        try:
            while self._state == IN_HEAD and self._buffer:
                end = self._buffer.find(END, 0, limits.head_bytes + 4)
                if end < 0:
                    unfinished(self._buffer, limits.head_bytes)
                    if not self._partial:
                        self._partial, self.deadline = True, self._plane.now + limits.head_seconds
                    return
                size, data = end + 4, self._buffer
                self._whole = data if len(data) == size <= LONGEST_KEPT else b""
                self._buffer = data[size:]
                self._head(data, end + 2)
                self._whole = b""
        except Refused as refused:
            self.refuse(refused.status, refused.why)

    def _head(self, data: bytes, end: int) -> None:
        """Take the request whose header block ends at `end`."""
        stop = data.find(b"\r\n")
        match = REQUEST_LINE.fullmatch(data, 0, stop)
        if match is None:
            raise Refused(400, "The request line is not well formed.")
        method, target, key, minor = match.groups()
        fields = self._plane.requests.get(data[stop + 2 : end])
        old = minor == b"0"
        check(method, fields, old)
        request = Request(method.decode(), target, key or b"", old, fields)
        if fields.forwarded_for or self.address is not self.peer:  # a proxy asks for many on one connection
            self.address = self._plane.address_of(self.peer, fields.forwarded_for)
        self.request = request
        self._ending = self._ending or old or fields.close or self._plane.draining
        length = fields.length or 0
        self._chunks = Chunked() if length == CHUNKED else None
        self._body_left, self._taken = length, 0
        self._state = IN_BODY if length else SENT
        self._started, self._partial, self.fresh, self.deadline = False, False, False, 0.0
        open_door(self._plane, self, request)

    def go(self, request: Request, door: Door) -> None:
        """The request may go through `door`: find a connection and send it."""
        if request.visitor is not None and not self._plane.seat(self, request.visitor.user):
            self._ending = True
            self.reply(429, "You have too many connections open. Close some tabs.", b"Retry-After: 5\r\n")
            return
        if door.most and request.fields.length is not None and request.fields.length > door.most:
            self.reply(413, _TOO_LARGE)
            return
        request.door, request.head = door, upstream_head(self._plane, self, request, door)
        self._keep(request, door)
        app = door.pool.take()
        if app is not None:
            self.connected(request, app)
        else:
            self._read()
            self._plane.connect(self, request, door.pool)

    def connected(self, request: Request, app: Upstream) -> None:
        """A connection to the app is there."""
        if self.request is not request or self._state == OVER or self.transport.is_closing():
            app.drop()
            return
        self._app = app
        if self._stalled:
            app.transport.pause_reading()
        self.deadline = self._plane.now + self._plane.limits.first_byte_seconds
        app.begin(self, request.head)
        if self._state == IN_BODY and self._buffer:
            data, self._buffer = self._buffer, b""
            self._body(data)
        if self.request is request and (self._paused or self._buffer):
            self._read()

    def _body(self, data: bytes) -> None:
        """Relay a part of the request's body."""
        app, plane = self._app, self._plane
        assert app is not None
        if not self._started:  # the time runs anew with each part: there is no limit to all of it
            self.deadline = plane.now + plane.limits.first_byte_seconds
        if self._chunks is not None:
            self._chunked(self._chunks, app, data)
            return
        left = self._body_left
        if len(data) < left:
            self._body_left = left - len(data)
            app.transport.write(data)
            return
        app.transport.write(data[:left])
        self._body_left, self._state = 0, SENT
        self._buffer = data[left:]

    def _chunked(self, chunks: Chunked, app: Upstream, data: bytes) -> None:
        try:
            payload = chunks.feed(data)
            self._taken += len(payload)
            door = self.request.door if self.request is not None else None
            if door is not None and 0 < door.most < self._taken:
                raise Refused(413, _TOO_LARGE)
        except Refused as refused:
            self._app = None
            app.drop()  # the app sees a body without its end, never another request
            self._fail(refused.status, refused.why)
            return
        if payload:
            app.transport.write(chunk(payload))
        if chunks.done:
            app.transport.write(LAST_CHUNK)
            self._state, self._buffer = SENT, chunks.extra
