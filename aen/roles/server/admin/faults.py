"""Faults: exceptions of AEN on any node, grouped by place and type, until an administrator has read them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from aen.errors import AenError
from aen.messages import FaultReported
from aen.model import now
from aen.model.fault import Fault
from aen.roles.server.background import held
from aen.roles.server.changes import change
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service
from aen.store import Duplicate, Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)
_MOST_KINDS = 500  # more than so many kinds of faults are not told apart: a bad node must not fill the store
_KEPT_MS = 90 * 86_400_000
_COUNT_AGAIN = 5.0  # seconds
_IDS, _NODES = 10, 20


class Faults(Part):
    """The faults. `unread` is kept in memory, for the badge on every page of administrators."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self.unread = 0
        self._kinds = 0

    async def begin(self, service: Service) -> None:
        """Hear them, and count them anew for life: another server may take some, too."""
        await self._count()
        await service.enter(held(self.bus.subscribe(FaultReported, self.take)))
        service.spawn(self._count_for_life(), "faults")

    async def take(self, event: FaultReported) -> None:
        """Keep a fault that a node tells of. Safe to call from anywhere: it raises nothing."""
        try:
            await self._keep(event)
            await self._count()
        except AenError as error:
            log.warning("a fault could not be kept", place=event.place, reason=error.message)

    async def _keep(self, event: FaultReported) -> None:
        def edit(fault: Fault) -> None:
            fault.count, fault.last, fault.unread = fault.count + 1, max(event.at, fault.last), True
            fault.message, fault.trace, fault.what = event.message, event.trace, event.what
            fault.ids = [id for id in dict.fromkeys([event.id, *fault.ids]) if id][:_IDS]
            fault.nodes = sorted({*fault.nodes, event.node})[:_NODES]

        if await self.store.get("faults", event.fingerprint) is None:
            if self._kinds >= _MOST_KINDS:
                return
            new = Fault(id=event.fingerprint, place=event.place, kind=event.kind, message="", first=event.at)
            try:
                await self.store.insert("faults", new.model_dump(mode="json"))
            except Duplicate:
                log.debug("another server was faster with this fault")
        await change(self.store, "faults", Fault, event.fingerprint, edit)

    async def _that_hold(self, text: str) -> list[Fault]:
        """There are `_MOST_KINDS` at the most: all are looked through."""
        page = await self.store.find("faults", Query(sort="last", descending=True, limit=_MOST_KINDS))
        faults = [Fault.model_validate(doc) for doc in page.items]
        return [
            one for one in faults if any(text in each.lower() for each in (*one.ids, one.message, one.place, one.kind))
        ]

    async def list(
        self, actor: Actor, limit: int = 50, cursor: str = "", unread: bool = False, text: str = ""
    ) -> tuple[list[Fault], str]:
        """Kinds of faults, the one that happened last first, for staff. `text`: those that hold it (the id that somebody was
        told, a word of the message, a place), without a cursor."""
        check(actor, Permission.STAFF)
        if text.strip():
            return await self._that_hold(text.strip().lower()), ""
        equal = (("unread", True),) if unread else ()
        page = await self.store.find("faults", Query(equal, sort="last", descending=True, limit=limit, cursor=cursor))
        return [Fault.model_validate(doc) for doc in page.items], page.next

    async def mark_read(self, actor: Actor, id: str = "") -> int:
        """One kind of fault (`id`), or all, are read: they count anew when they happen again. Returns how many."""
        check(actor, Permission.STAFF)

        def read(fault: Fault) -> None:
            fault.unread = False

        if id:
            await change(self.store, "faults", Fault, id, read)
            await self._count()
            return 1
        page = await self.store.find("faults", Query((("unread", True),), sort="last", limit=_MOST_KINDS))
        for doc in page.items:
            await change(self.store, "faults", Fault, doc["id"], read)
        await self._count()
        return len(page.items)

    async def _count(self) -> None:
        self.unread = await self.store.count("faults", (("unread", True),))
        self._kinds = await self.store.count("faults")

    async def _count_for_life(self) -> None:
        while True:
            await asyncio.sleep(_COUNT_AGAIN)
            try:
                await self._count()
                old = await self.store.find("faults", Query(sort="last", high=now() - _KEPT_MS, limit=100))
                for doc in old.items:
                    await self.store.delete("faults", doc["id"])
            except AenError as error:
                log.warning("faults can't be counted", reason=error.message)
