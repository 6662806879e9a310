"""Endpoint (5002): lets the gateways of this data center, and nobody else, through to the apps of this node.

One TLS connection is one connection to an app: `AEN1 <session> <generation>\\n` → `OK\\n` or `ERR <code>\\n`, then bytes.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from aen.model.session import Phase
from aen.roles.compute.records import Record
from aen.roles.compute.relay import Outer
from aen.roles.trust import Trust
from aen.service import Service, State

log = structlog.get_logger(__name__)

HANDSHAKE_SECONDS = 5.0
_STALL_SECONDS = 300.0  # a gateway may take so long for the end of an answer
_MOST_AT_ONCE = 64  # connections taken in one go: others want their turn
_BREATH_SECONDS = 0.2  # no descriptor is left: so long nobody is taken
_SAY_SECONDS = 10.0  # between two lines of the log about the same kind of refusal


class Endpoint(Service):
    """The listener of a compute node. `find` gives the record of a session that is known here."""

    name = "endpoint"

    def __init__(
        self, bound: socket.socket, trust: Trust, find: Callable[[str], Record | None], most: int = 8192
    ) -> None:
        super().__init__()
        self.trust, self.find, self.most = trust, find, most
        self.connections: set[Outer] = set()
        self.refused: Counter[str] = Counter()
        self.served = 0
        self.draining = False
        self._bound = bound
        self._tasks: set[asyncio.Task[None]] = set()
        self._said: dict[str, float] = {}
        self._shaking = 0  # handshakes under way

    async def open(self) -> None:
        """Take connections."""
        self._bound.setblocking(False)
        self._bound.listen(2048)
        self._stack.push_async_callback(self._close)
        self._listen()
        self.spawn(self.trust.keep(self.cut_revoked), "trust")

    def health(self) -> dict[str, Any]:
        """How many connections there are and were, and what was refused."""
        return super().health() | {
            "connections": len(self.connections),
            "served": self.served,
            "refused": dict(self.refused),
        }

    def cut_revoked(self) -> None:
        """Certificates were taken away: whoever came with one is cut off."""
        for one in [one for one in self.connections if one.serial in self.trust.revoked]:
            self.count("revoked", one.peer, "its certificate was taken away")
            one.transport.abort()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that a connection waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def count(self, code: str, peer: str, why: str) -> None:
        """Count a refusal, and say it once in a while."""
        self.refused[code] += 1
        at = time.monotonic()
        if at - self._said.get(code, -_SAY_SECONDS) >= _SAY_SECONDS:
            self._said[code] = at
            log.warning("a connection was refused", code=code, address=peer, why=why, so_far=self.refused[code])

    def trouble(self, session: str, generation: int) -> str:
        """Why this start of a session can't be led to; empty: it can."""
        record = self.find(session)
        if self.draining:
            return "draining"
        if record is None or generation > record.generation or record.phase is not Phase.RUNNING:
            return "unknown-session"
        return "old-generation" if generation < record.generation else ""

    def _listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._bound, self._take)

    def _take(self) -> None:
        """Take those who wait. Who is too many is told nothing: that would cost a handshake."""
        for _ in range(_MOST_AT_ONCE):
            try:
                made, address = self._bound.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as error:
                self.count("descriptors", "", str(error))
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._bound)
                loop.call_later(_BREATH_SECONDS, self._again)
                return
            if len(self.connections) + self._shaking >= self.most:
                made.close()
                self.count("busy", address[0], f"{self.most} connections are open")
            else:
                self.run(self._shake_hands(made, address[0]))

    def _again(self) -> None:
        if self.state is State.RUNNING:
            self._listen()

    async def _shake_hands(self, made: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        self._shaking += 1
        try:
            await loop.connect_accepted_socket(
                lambda: Outer(self, peer),
                made,
                ssl=self.trust.tls.server,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_STALL_SECONDS,
            )
        except OSError as error:  # of TLS, of time, of the connection
            self.count("handshake", peer, str(error) or type(error).__name__)
        finally:
            self._shaking -= 1

    async def _close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._bound)
        self._bound.close()  # who waits in its queue is told so at once
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for one in list(self.connections):
            one.transport.abort()
        await asyncio.sleep(0)  # let the transports see their end
