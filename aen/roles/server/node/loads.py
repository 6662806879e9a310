"""Loads: how busy each node was: a point every 5 minutes for two days, one every hour for a month. Bounded, kept over restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from pydantic import Field

from aen.errors import AenError, NotFound
from aen.model import Document, Word, now
from aen.model.node import NodeRecord
from aen.roles.server.changes import change
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service
from aen.store import Duplicate

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)
FINE_MS, COARSE_MS = 300_000, 3_600_000
_FINE, _COARSE = 2 * 288, 30 * 24  # points of each
_LOOK = 60.0  # seconds


class Point(Word):
    """How a node was at a time: shares of 0 to 1 (load over processors may be more), and its sessions."""

    at: int
    load: float = 0.0
    memory: float = 0.0
    disk: float = 0.0
    sessions: int = 0


class Loads(Document):
    """The history of one node. `id` is its name."""

    fine: list[Point] = Field(default_factory=list)
    coarse: list[Point] = Field(default_factory=list)


class Loaded(Part):
    """Samples for life. With several servers, whoever comes first takes the point."""

    def __init__(self, domain: Domain, clock: Callable[[], int] = now) -> None:
        super().__init__(domain)
        self._clock = clock
        self._taken: dict[str, int] = {}  # node → the time of its last point, in steps

    async def begin(self, service: Service) -> None:
        """See Part."""
        service.spawn(self._sample_for_life(), "loads")

    async def of(self, actor: Actor, node: str) -> Loads:
        """What is known of a node, for administrators. NotFound."""
        check(actor, Permission.ADMIN)
        doc = await self.store.get("loads", node)
        if doc is None and self.domain.nodes.get(node) is None:
            raise NotFound(f"There is no node named {node[:63]!r}.")
        return Loads.model_validate(doc) if doc is not None else Loads(id=node)

    async def sample(self) -> None:
        """Take a point of each node that is heard, where one is due."""
        for node in self.domain.nodes.list():
            if "compute" in node.roles and self.domain.nodes.up(node.id):
                await self._take(node)

    async def _take(self, node: NodeRecord) -> None:
        point = _point(node, self._clock())
        if self._taken.get(node.id) == point.at // FINE_MS:
            return  # the history is long: it is read only when there is something to add

        def edit(loads: Loads) -> None:
            if _due(loads.fine, point, FINE_MS):
                loads.fine = [*loads.fine, point][-_FINE:]
            if _due(loads.coarse, point, COARSE_MS):
                loads.coarse = [*loads.coarse, point][-_COARSE:]

        if await self.store.get("loads", node.id) is None:
            try:
                await self.store.insert("loads", Loads(id=node.id).model_dump(mode="json"))
            except Duplicate:
                log.debug("another server was faster with this node")
        await change(self.store, "loads", Loads, node.id, edit)
        self._taken[node.id] = point.at // FINE_MS

    async def _sample_for_life(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            try:
                await self.sample()
            except AenError as error:
                log.warning("the load of nodes could not be kept", reason=error.message)


def _due(points: list[Point], point: Point, step: int) -> bool:
    return not points or point.at // step > points[-1].at // step


def _point(node: NodeRecord, at: int) -> Point:
    load = node.load
    return Point(
        at=at,
        load=round(load.load1 / max(load.cpus, 1), 4),
        memory=_share(load.memory_total - load.memory_free, load.memory_total),
        disk=_share(load.disk_total - load.disk_free, load.disk_total),
        sessions=node.sessions,
    )


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
