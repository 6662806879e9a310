"""Upstream: one connection to an app, serving one exchange at a time; its answers are checked as strictly as requests."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import TYPE_CHECKING, cast

from aen.proxy.body import Chunked
from aen.proxy.head import CHUNKED, END, STATUS_LINE, UNTIL_CLOSE, Refused, unfinished
from aen.proxy.headers import ResponseFields

if TYPE_CHECKING:
    from aen.proxy.downstream import Downstream
    from aen.proxy.pool import Pool

_TLS_BUFFER = 256 * 1024  # bytes waiting to be written before the other side is no longer read
_MOST_INTERIM = 16  # 1xx answers to one request
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_IDLE, _IN_HEAD, _IN_BODY, _TUNNEL, _OVER = range(5)


def write_at_once(transport: asyncio.Transport) -> None:
    """Have everything written at once; where the kernel does not take all of it, the other side is no longer read.

    uvloop would keep what is written until it has looked at all connections, so that all waited for the last of them.
    """
    transport.set_write_buffer_limits(high=_TLS_BUFFER if transport.get_extra_info("sslcontext") else 0)


class Upstream(asyncio.Protocol):
    """One connection to an app, serving one exchange at a time."""

    __slots__ = (
        *("_buffer", "_chunks", "_interim", "_keep", "_left", "_state", "_used"),
        *("client", "pool", "since", "transport"),
    )

    transport: asyncio.Transport

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.client: Downstream | None = None
        self.since = 0.0  # idle since then, monotonic
        self._used, self._keep = False, False  # has served a request before; may serve another
        self._state, self._left, self._interim = _IDLE, 0, 0
        self._buffer = b""
        self._chunks: Chunked | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        write_at_once(transport)

    def begin(self, client: Downstream, head: bytes) -> None:
        """Send a request's head; its answer goes to `client`."""
        self.client, self._state, self._interim = client, _IN_HEAD, 0
        self.transport.write(head)

    def drop(self) -> None:
        """End the connection at once; whoever it served is not told."""
        self.client, self._state = None, _OVER
        self.transport.abort()

    def pause_writing(self) -> None:
        """See asyncio.Protocol: the app takes no more for now, so the client is not read."""
        if self.client is not None:
            self.client.hold(True)

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.client is not None:
            self.client.hold(False)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        state = self._state
        if state == _IN_BODY:
            self._body(data)
        elif state == _IN_HEAD:
            if self._again(data):
                return
            self._buffer = self._buffer + data if self._buffer else data
            self._heads()
        elif state == _IDLE:  # nobody asked: it can't be trusted with the next request
            self.pool.forget(self)
            self.drop()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        client, state = self.client, self._state
        untouched = not self._buffer and not self._interim
        self.client, self._state = None, _OVER
        if client is None:
            self.pool.forget(self)
        elif state == _IN_HEAD:
            client.no_answer(again=self._used and untouched)
        elif state == _IN_BODY and error is None and self._left == UNTIL_CLOSE:
            client.finish_body()
            client.answered()
        else:
            client.cut_off()

    def _again(self, data: bytes) -> bool:
        """The head of an answer comes that has come before: it was checked then, and goes out as it did."""
        client = self.client
        if client is None or client.request is None or self._buffer or self._interim:
            return False
        request = client.request
        known = request.known
        if known is None or not data.startswith(known.head):
            known = self.pool.answers.heads.get(data[: data.find(END) + 4])
            if known is None or not client.plain(request):
                return False
            if request.data:
                request.known = known
        left = known.length + known.size - len(data)
        if left < 0 or self.transport.is_closing():
            return False
        if left:
            self._state, self._left, self._keep, self._chunks = _IN_BODY, left, True, None
            client.respond_again(request, known, data)
            return True
        self._state, self._used, self.client = _IDLE, True, None
        self.pool.give_back(self)
        client.answer_again(request, known, data)
        return True

    def _heads(self) -> None:
        """Take the heads of answers: interim ones, then the one that counts."""
        try:
            while self._state == _IN_HEAD:
                end = self._buffer.find(END)
                if end < 0:
                    unfinished(self._buffer, self.pool.head_bytes)
                    return
                head, self._buffer = self._buffer[: end + 4], self._buffer[end + 4 :]
                self._head(head)
        except Refused as refused:
            self._broken(refused.why)

    def _head(self, head: bytes) -> None:
        client = self.client
        assert client is not None
        stop = head.find(b"\r\n")
        match = STATUS_LINE.fullmatch(head, 0, stop)
        if match is None or stop > self.pool.head_bytes:
            raise Refused(502, "The app's status line is not well formed.")
        fields, status = self.pool.answers.get(head[stop + 2 : -2]), int(match[2])
        if match[1] == b"0" and fields.length == CHUNKED:
            raise Refused(502, "The app's answer is chunked in HTTP/1.0.")
        if status == 101:
            self._switch(client, fields)
        elif status < 200:
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise Refused(502, "The app sends interim answers without end.")
            client.interim(status, match[3] or b"", fields)
        else:
            keep = match[1] != b"0" and not fields.close
            self._answer(client, status, match[3] or b"", fields, head, keep=keep)

    def _switch(self, client: Downstream, fields: ResponseFields) -> None:
        key = client.awaits_upgrade()
        proof = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        if not key or not fields.upgrade or fields.accept != proof:
            raise Refused(502, "The app switched protocols unasked.")
        self._state = _TUNNEL
        rest, self._buffer = self._buffer, b""
        client.switched(fields)
        if rest and client.tunnel is not None:
            client.tunnel.app_sent(rest)

    def _answer(
        self, client: Downstream, status: int, phrase: bytes, fields: ResponseFields, head: bytes, *, keep: bool
    ) -> None:
        bodyless = client.head_only or status in (204, 304)
        length = 0 if bodyless else fields.length
        self._keep = keep and length != UNTIL_CLOSE
        client.respond(status, phrase, fields, length, bodyless=bodyless)
        if self._keep and not bodyless:
            client.remember(head, status, length, self.pool.answers)
        rest, self._buffer = self._buffer, b""
        self._left, self._state = length, _IN_BODY
        self._chunks = Chunked() if length == CHUNKED else None
        if length == 0:
            self._end(bool(rest))
        elif rest:
            self._body(rest)
        client.flush()

    def _body(self, data: bytes) -> None:
        client = self.client
        if client is None:
            return
        if self._chunks is not None:
            self._chunked(client, self._chunks, data)
        elif self._left == UNTIL_CLOSE:
            client.body(data)
        elif len(data) < self._left:
            self._left -= len(data)
            client.body(data)
        else:
            client.body(data[: self._left])
            self._end(len(data) > self._left)

    def _chunked(self, client: Downstream, chunks: Chunked, data: bytes) -> None:
        try:
            payload = chunks.feed(data)
        except Refused:
            self.drop()
            client.cut_off()
            return
        if payload:
            client.body(payload)
        if chunks.done:
            self._end(bool(chunks.extra))

    def _end(self, extra: bool) -> None:
        """The answer is whole. `extra`: bytes came after it, so the connection serves nobody else."""
        client = self.client
        assert client is not None
        client.finish_body()
        self.client = None
        if self._keep and not extra and client.sent_all and not self.transport.is_closing():
            self._state, self._used = _IDLE, True
            self.transport.resume_reading()
            self.pool.give_back(self)
        else:
            self.drop()
        client.answered()

    def _broken(self, why: str) -> None:
        client = self.client
        self.drop()
        if client is not None:
            client.bad_answer(why)
