"""Nodes and data centers: who is there, how busy, and where the next project goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aen.model.node import DataCenter, NodeRecord

from aen.roles.server.domain import Part
from aen.service import Service

if TYPE_CHECKING:


class Nodes(Part):
    """The nodes as heartbeats tell of them. Kept in memory, stored now and then."""

    async def begin(self, service: Service) -> None:
        """See Part."""

    def list(self) -> list[NodeRecord]:
        """All nodes ever heard of, by data center and name."""
        raise NotImplementedError

    def get(self, name: str) -> NodeRecord | None:
        """The node, or None."""
        raise NotImplementedError

    def up(self, name: str, seconds: float = 10) -> bool:
        """Whether the node was heard of in the last `seconds`."""
        raise NotImplementedError

    def isolated(self) -> bool:
        """Whether every compute node runs apps as each person's own account (False: evaluation mode)."""
        raise NotImplementedError

    async def forget(self, name: str) -> None:
        """Drop the record of a node that is gone. Conflict while it is heard of."""
        raise NotImplementedError

    def datacenters(self) -> list[DataCenter]:
        """All data centers, by name."""
        raise NotImplementedError

    async def ensure_datacenter(self, name: str, gateway_url: str) -> DataCenter:
        """The data center, made or its address brought up to date."""
        raise NotImplementedError

    def choose(self, datacenter: str) -> str:
        """The compute node where a new project goes: the least busy that is ready. Unavailable with what to do."""
        raise NotImplementedError
