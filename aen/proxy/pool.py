"""Pool: the connections to one app. Every new one's listener is checked before a byte is sent."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

from aen.proxy.head import Memory
from aen.proxy.headers import ResponseFields
from aen.proxy.peers import Stranger, loopback, tcp_uids, unix_uid
from aen.proxy.upstream import Upstream

_MOST_IDLE = 1024  # kept connections to one app
_IDLE_SECONDS = 30.0
_HEAD_BYTES = 65536


class Pool:
    """The connections to one app: `unix:/path` or `tcp:127.0.0.1:port`, whose listener must have the uid `uid`."""

    __slots__ = ("_idle", "address", "answers", "down", "head_bytes", "uid")

    def __init__(self, address: str, uid: int, answers: Memory[ResponseFields], head_bytes: int = _HEAD_BYTES) -> None:
        self.address, self.uid, self.answers, self.head_bytes = address, uid, answers, head_bytes
        self._idle: list[Upstream] = []
        self.down = False  # the last try to connect failed

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
