"""Upstream: connections to apps. A pool for each app; every new connection's listener is checked before a byte is sent."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from aen.proxy.body import Chunked
from aen.proxy.head import CHUNKED, END, STATUS_LINE, UNTIL_CLOSE, Memory, Refused, unfinished
from aen.proxy.headers import ResponseFields
from aen.proxy.peers import Stranger, loopback, tcp_uids, unix_uid

if TYPE_CHECKING:
    from aen.proxy.downstream import Downstream

WRITE_BUFFER = 256 * 1024  # bytes waiting to be written before the other side is no longer read
_MOST_IDLE = 512  # kept connections to one app
_IDLE_SECONDS = 30.0
_MOST_INTERIM = 16  # 1xx answers to one request
_HEAD_BYTES = 65536
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

_IDLE, _IN_HEAD, _IN_BODY, _TUNNEL, _OVER = range(5)


class Pool:
    """The connections to one app: `unix:/path` or `tcp:127.0.0.1:port`, whose listener must have the uid `uid`."""

    __slots__ = ("_idle", "address", "answers", "head_bytes", "uid")

    def __init__(self, address: str, uid: int, answers: Memory[ResponseFields], head_bytes: int = _HEAD_BYTES) -> None:
        self.address, self.uid, self.answers, self.head_bytes = address, uid, answers, head_bytes
        self._idle: list[Upstream] = []

    def take(self) -> Upstream | None:
        """A kept connection, the one used last, or None."""
        return self._idle.pop() if self._idle else None

    def give_back(self, connection: Upstream) -> None:
        """Keep a connection for the next request."""
        if len(self._idle) >= _MOST_IDLE:
            connection.drop()
            return
        connection.since = time.monotonic()
        self._idle.append(connection)

    def forget(self, connection: Upstream) -> None:
        """An idle connection is gone."""
        if connection in self._idle:
            self._idle.remove(connection)

    def prune(self, before: float | None = None) -> None:
        """Drop what has been idle since `before` (monotonic seconds); all when None."""
        old = [one for one in self._idle if before is None or one.since < before]
        for connection in old:
            self._idle.remove(connection)
            connection.drop()

    def prune_idle(self) -> None:
        """Drop what has been idle for long."""
        if self._idle:
            self.prune(time.monotonic() - _IDLE_SECONDS)

    async def connect(self, seconds: float) -> Upstream:
        """A new connection. Raises OSError, TimeoutError, or Stranger when somebody else listens there."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            plain = await self._socket(loop)
            try:
                _, made = await loop.create_connection(lambda: Upstream(self), sock=plain)
            except BaseException:
                plain.close()
                raise
        return made

    async def _socket(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        kind, _, rest = self.address.partition(":")
        if kind == "unix":
            return await _open(loop, socket.AF_UNIX, rest, self._check_unix)
        host, _, port = rest.rpartition(":")
        host = host.strip("[]")
        if kind != "tcp" or not port.isdigit() or not loopback(host):
            raise Stranger(f"{self.address} is not an address on this host")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = await _open(loop, family, (host, int(port)), None)
        try:
            uids = await asyncio.to_thread(tcp_uids, family, int(port))
            self._check(uids)
        except BaseException:
            made.close()
            raise
        return made

    def _check_unix(self, made: socket.socket) -> None:
        self._check({unix_uid(made)})

    def _check(self, uids: set[int]) -> None:
        if uids != {self.uid}:
            raise Stranger(f"uid {sorted(uids)} listens at {self.address}, not {self.uid}")


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
        transport.set_write_buffer_limits(high=WRITE_BUFFER)

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
            self._buffer = self._buffer + data if self._buffer else data
            self._heads()
        elif state == _TUNNEL:
            if self.client is not None and self.client.tunnel is not None:
                self.client.tunnel.app_sent(data)
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

    def _heads(self) -> None:
        """Take the heads of answers: interim ones, then the one that counts."""
        try:
            while self._state == _IN_HEAD:
                end = self._buffer.find(END)
                if end < 0:
                    unfinished(self._buffer, self.pool.head_bytes)
                    return
                head, self._buffer = self._buffer[: end + 2], self._buffer[end + 4 :]
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
        fields, status = self.pool.answers.get(head[stop + 2 :]), int(match[2])
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
            self._answer(client, status, match[3] or b"", fields, old=match[1] == b"0")

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

    def _answer(self, client: Downstream, status: int, phrase: bytes, fields: ResponseFields, *, old: bool) -> None:
        bodyless = client.head_only or status in (204, 304)
        length = 0 if bodyless else fields.length
        self._keep = not old and not fields.close and length != UNTIL_CLOSE
        client.respond(status, phrase, fields, length, bodyless=bodyless)
        rest, self._buffer = self._buffer, b""
        self._left, self._state = length, _IN_BODY
        self._chunks = Chunked() if length == CHUNKED else None
        if length == 0:
            self._end(bool(rest))
        elif rest:
            self._body(rest)

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


async def _open(
    loop: asyncio.AbstractEventLoop, family: int, address: Any, check: Callable[[socket.socket], None] | None
) -> socket.socket:
    """A connected socket that `check` has accepted."""
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    try:
        if family == socket.AF_UNIX:
            await _connect_unix(made, address)
        else:
            await loop.sock_connect(made, address)
        if check is not None:
            check(made)
    except BaseException:
        made.close()
        raise
    return made


async def _connect_unix(made: socket.socket, path: str) -> None:
    """Connect at once. When the app's queue is full the kernel says EAGAIN and tells nobody later: so ask again."""
    pause = 0.002
    while True:
        try:
            made.connect(path)
        except BlockingIOError:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.1)
        else:
            return
