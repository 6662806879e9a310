"""Leases of nodes: when a silent node on shared storage has surely ended its apps, so that its projects may run elsewhere.

No clocks of two machines are compared: a lease has ended when this server has seen its count unchanged for longer than the
node was given, by this server's own clock. That it ended is written down first, by compare and set: the node is told when it
comes back.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from aen import names
from aen.errors import AenError, Conflict
from aen.messages import LeaseGiven, RenewLease
from aen.model.session import LIVE, Phase, Session
from aen.roles.server.background import held
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.service import Service
from aen.store import Doc, Duplicate, Query, Stale

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

GRACE_SECONDS = 10.0  # a node kills its apps when its lease ends: they are gone by then
_SWEEP_SECONDS = 1.0
_TRIES = 20


class NodeLeases(Part):
    """`ended` are the nodes whose lease has ended."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._seen: dict[str, tuple[int, float]] = {}  # node → its count, and since when it is that (monotonic)
        self.ended: set[str] = set()

    async def begin(self, service: Service) -> None:
        """See Part."""
        await service.enter(held(self.bus.respond(names.address("server"), RenewLease, self._renew)))
        service.spawn(self._sweep_for_life(), "leases")

    async def _renew(self, command: RenewLease) -> LeaseGiven:
        """Written down before it is answered. Conflict: it has ended."""
        for _ in range(_TRIES):
            stored = await self.store.get("claims", _id(command.node))
            if stored is not None and stored["ended"] and not command.fresh:
                raise Conflict("The lease has ended: the projects may run on another node now.")
            count = (stored["count"] if stored else 0) + 1
            doc = {"id": _id(command.node), "count": count, "seconds": command.seconds, "ended": False}
            try:
                await (
                    self.store.insert("claims", doc)
                    if stored is None
                    else self.store.replace("claims", {**doc, "rev": stored["rev"]})
                )
            except (Stale, Duplicate):
                continue
            self._seen[command.node] = count, time.monotonic()
            self.ended.discard(command.node)
            return LeaseGiven()
        raise Conflict("Many change this at the same time.", retry_after=1)

    async def _sweep_for_life(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self.sweep()
            except AenError as error:
                log.warning("sweep of leases failed; it is tried again", reason=error.message)

    async def sweep(self) -> None:
        """Look at the nodes that are silent: whose lease is over, its sessions are lost, and its projects free."""
        for node in self.domain.nodes.list():
            if not node.storage or (self.domain.nodes.up(node.id) and node.id not in self.ended):
                self._seen.pop(node.id, None)
                continue
            stored = await self.store.get("claims", _id(node.id))
            if stored is not None and (stored["ended"] or await self._end(node.id, stored)):
                await self._free(node.id)
            else:
                self.ended.discard(node.id)

    async def _end(self, node: str, stored: Doc) -> bool:
        count, since = self._seen.get(node, (-1, 0.0))
        if count != stored["count"]:
            self._seen[node] = stored["count"], time.monotonic()
            return False
        if time.monotonic() - since <= stored["seconds"] + GRACE_SECONDS:
            return False
        try:
            await self.store.replace("claims", {**stored, "ended": True})
        except Stale:  # it was renewed at this moment
            return False
        log.warning("a node's lease has ended: its projects may run elsewhere", node=node, seconds=stored["seconds"])
        return True

    async def _free(self, node: str) -> None:
        self.ended.add(node)  # first: who hears that a session is lost may start it again at once
        for phase in LIVE:
            query = Query(equal=(("node", node), ("phase", phase.value)), limit=500)
            async for doc in every(self.store, "sessions", query):
                reason = f"{node} was lost, and its apps have ended. Start it again: another node has the same files"
                await self.domain.sessions.dispatch.ended(Session.model_validate(doc), Phase.LOST, reason)


def _id(node: str) -> str:
    return f"lease:{node}"
