"""Pool: the connections to one app. Every new one's listener is checked before a byte is sent."""

from __future__ import annotations

import asyncio
import time

from aen.proxy.dialing import dial
from aen.proxy.exchange import Answers
from aen.proxy.nodes import Far
from aen.proxy.upstream import Upstream

_MOST_IDLE = 1024  # kept connections to one app
_IDLE_SECONDS = 30.0
_HEAD_BYTES = 65536


class Pool:
    """The connections to one app: `unix:/path` or `tcp:127.0.0.1:port`, whose listener must have the uid `uid`.

    With `far`, the app is on another host, and `address` its node's: `node:host:port`. The node checks the uid then.
    """

    __slots__ = ("_idle", "address", "answers", "down", "far", "head_bytes", "uid")

    def __init__(
        self,
        address: str,
        uid: int,
        answers: Answers,
        head_bytes: int = _HEAD_BYTES,
        far: Far | None = None,
    ) -> None:
        self.address, self.uid, self.answers, self.head_bytes = address, uid, answers, head_bytes
        self.far = far
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
        """A new connection. Raises OSError, TimeoutError, Stranger when somebody else listens there, or Unreached."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(seconds):
            if self.far is not None:
                return await self.far.reach(self)
            plain = await dial(self.address, self.uid)
            try:
                _, made = await loop.create_connection(lambda: Upstream(self), sock=plain)
            except BaseException:
                plain.close()
                raise
        return made
