"""Data centers: which there are, and the addresses of their gateways. The part of nodes that changes seldom."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from aen import names
from aen.errors import AenError, Conflict, NotFound
from aen.model.node import DataCenter
from aen.roles.server.changes import every, put
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

_READ_SECONDS = 2.0  # between two looks at what other servers stored


class DataCenters(Part):
    """Kept in memory; the store has them."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._centers: dict[str, DataCenter] = {}

    async def read_centers(self) -> None:
        """Know what is stored."""
        centers = [DataCenter.model_validate(doc) async for doc in every(self.store, "datacenters")]
        self._centers = {center.id: center for center in centers}

    async def read_for_life(self) -> None:
        """What other servers stored: data centers, and which nodes are being emptied."""
        while True:
            await asyncio.sleep(_READ_SECONDS)
            try:
                await self.read_centers()
                draining = {doc["id"]: bool(doc.get("draining")) async for doc in every(self.store, "nodes")}
            except AenError as error:
                log.warning("data centers can't be read; trying again", reason=error.message)
                continue
            self.domain.nodes.drains(draining)

    def datacenters(self) -> tuple[DataCenter, ...]:
        """All data centers, by name."""
        return tuple(sorted(self._centers.values(), key=lambda center: center.id))

    def datacenter(self, name: str) -> DataCenter | None:
        """The data center, or None."""
        return self._centers.get(name)

    async def add_datacenter(self, actor: Actor, name: str, title: str = "") -> DataCenter:
        """A data center, whose gateway is yet to join; or a new title for one. For administrators. Invalid."""
        check(actor, Permission.ADMIN)
        known = self._centers.get(names.node(name)) or DataCenter(id=name)
        center = known.model_copy(update={"title": title.strip()[:100] or known.title})
        self._centers[name] = center = await put(self.store, "datacenters", center)
        await self.domain.activity.record(actor, "datacenter.added", name, detail=center.title, security=True)
        return center

    async def remove_datacenter(self, actor: Actor, name: str) -> None:
        """A data center without nodes and projects is forgotten. For administrators. NotFound, Conflict."""
        check(actor, Permission.ADMIN)
        if name not in self._centers:
            raise NotFound(f"There is no data center named {name!r}.")
        nodes = self.domain.nodes
        there = {one.id for one in self.domain.members.every() if one.datacenter == name}
        there |= {node.id for node in nodes.list() if node.datacenter == name and nodes.up(node.id)}
        if there:
            raise Conflict(
                f"{name} still has nodes: {', '.join(sorted(there))}. Remove them first (`aen node remove`)."
            )
        projects = await self.store.count("projects", (("datacenter", name),))
        if projects:
            raise Conflict(f"{projects} project{'s are' if projects > 1 else ' is'} in {name}: delete them first.")
        del self._centers[name]
        await self.store.delete("datacenters", name)
        await self.domain.activity.record(actor, "datacenter.removed", name, security=True)

    async def ensure_datacenter(self, name: str, gateway_url: str) -> DataCenter:
        """The data center, made or its address brought up to date."""
        known = self._centers.get(names.node(name))
        url = gateway_url.rstrip("/")
        if known is not None and known.gateway_url == url:
            return known
        center = known.model_copy(update={"gateway_url": url}) if known else DataCenter(id=name, gateway_url=url)
        self._centers[name] = center = await put(self.store, "datacenters", center)
        log.info("data center", datacenter=name, gateway=url)
        return center
