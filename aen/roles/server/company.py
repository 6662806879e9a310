"""Company: the other servers that share this one's store. What one does, the pages and queues of the others hear at once."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import structlog

from aen.errors import AenError
from aen.messages import ServerTold
from aen.roles.server.background import held
from aen.roles.server.domain import Part
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

What = Literal["page", "failed", "changed", "job", "here"]
_WAITING = 5_000  # that wait to be told; more are lost, and pages told to read anew
_LOOK_SECONDS = 2.0  # between two looks whether the bus was away meanwhile


class Company(Part):
    """Tells and hears. With a bus that lets in one server only (local, managed) there is nobody to tell."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self.alone = domain.config.bus.mode != "external"  # the bus of a site's own lets in several servers
        self._me = secrets.token_hex(8)
        self._queue: asyncio.Queue[ServerTold] = asyncio.Queue(_WAITING)
        self._hearing: dict[str, list[Callable[[ServerTold], None]]] = {}
        self._missed = False

    async def begin(self, service: Service) -> None:
        """See Part."""
        if self.alone:
            return
        await service.enter(held(self.bus.subscribe(ServerTold, self._heard)))
        service.spawn(self._tell_for_life(), "company")

    def tell(self, what: What, topic: str, kind: str = "", data: dict[str, Any] | None = None) -> None:
        """Tell the others, if there can be any. Never waits, never raises."""
        if self.alone:
            return
        try:
            self._queue.put_nowait(ServerTold(origin=self._me, what=what, topic=topic, kind=kind, data=data or {}))
        except asyncio.QueueFull:
            self._missed = True

    def hear(self, what: What, handler: Callable[[ServerTold], None]) -> None:
        """`handler` is called with what another server tells; it must not wait or raise."""
        self._hearing.setdefault(what, []).append(handler)

    async def _heard(self, event: ServerTold) -> None:
        if event.origin == self._me:
            return
        for handler in self._hearing.get(event.what, ()):
            handler(event)

    async def _tell_for_life(self) -> None:
        connections = self._connections()
        while True:
            event = None
            with contextlib.suppress(TimeoutError):
                event = await asyncio.wait_for(self._queue.get(), _LOOK_SECONDS)
            if self._missed:
                self._missed = False
                event = ServerTold(origin=self._me, what="changed")
            if event is not None:
                await self._publish(event)
            if connections != self._connections():  # what was told while the bus was away was lost, both ways
                connections = self._connections()
                await self._publish(ServerTold(origin=self._me, what="changed"))
                self._everything()

    async def _publish(self, event: ServerTold) -> None:
        try:
            await self.bus.publish(event)
        except AenError as error:  # too large, or the bus is closing: whoever looks at a page reads anew
            log.debug("other servers were not told", what=event.what, topic=event.topic, reason=error.message)

    def _everything(self) -> None:
        for handler in self._hearing.get("changed", ()):
            handler(ServerTold(origin="", what="changed"))

    def _connections(self) -> int:
        return int(self.bus.health().get("connections", 0))
