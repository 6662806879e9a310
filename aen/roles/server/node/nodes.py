"""Nodes and data centers: who is there, how busy, and where the next project goes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from aen import plugins
from aen.errors import AenError, Conflict, NotFound, Unavailable
from aen.messages import NodeReported
from aen.model import now
from aen.model.node import NodeRecord
from aen.model.project import Project
from aen.model.session import LIVE
from aen.roles.server.background import held
from aen.roles.server.changes import change, every, put
from aen.roles.server.node.datacenters import DataCenters
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

HEARD_SECONDS = 10.0  # without a heartbeat for longer, a node gets nothing new
_GRACE_MS = 600_000
_STORE_EVERY = 30.0  # seconds between writes of a node that only breathes
_TELL_EVERY = 10.0  # seconds between events of a node that only breathes
_TELLING = ("roles", "datacenter", "version", "isolated", "ready", "message", "started", "storage", "project_root")


class Nodes(DataCenters):
    """The nodes as heartbeats tell of them. Kept in memory, stored now and then.

    Who is heard is told by a clock that nobody sets: that the machine's time was put right is no reason to give up nodes.
    """

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._nodes: dict[str, NodeRecord] = {}
        self.listeners: list[Callable[[NodeReported], None]] = []  # told each heartbeat; they must not wait or raise
        self._placed: Counter[str] = Counter()  # chosen since the node's last heartbeat, which does not show it yet
        self._stored: dict[str, float] = {}  # monotonic, as the next two
        self._told: dict[str, float] = {}
        self._unsaved: set[str] = set()
        self.heard: dict[str, float] = {}  # node → its last heartbeat, since this server began
        self._began, self._began_at = time.monotonic(), now()
        self._connections = 0  # that the bus had made when it was looked at last
        self._rule = plugins.load("aen.placements", domain.config.compute.placement)()

    async def begin(self, service: Service) -> None:
        """See Part."""
        async for doc in every(self.store, "nodes"):
            record = NodeRecord.model_validate(doc)
            self._nodes[record.id] = record
        await self.read_centers()
        gateway = self.domain.config.gateway
        if "gateway" in self.domain.roles and gateway.url:
            await self.ensure_datacenter(gateway.datacenter, gateway.url)
        await service.enter(held(self.bus.subscribe(NodeReported, self._heard)))
        service.spawn(self._save_for_life(), "nodes")
        if not self.domain.company.alone:
            service.spawn(self.read_for_life(), "datacenters")

    def list(self) -> list[NodeRecord]:
        """All nodes ever heard of, by data center and name."""
        return sorted(self._nodes.values(), key=lambda node: (node.datacenter, node.id))

    def get(self, name: str) -> NodeRecord | None:
        """The node, or None."""
        return self._nodes.get(name)

    def up(self, name: str, seconds: float = HEARD_SECONDS) -> bool:
        """Whether the node was heard of in the last `seconds`."""
        return self.silence(name) <= seconds

    def silence(self, name: str) -> float:
        """For how many seconds nothing was heard of the node; infinite when it is unknown."""
        node = self._nodes.get(name)
        if node is None:
            return float("inf")
        if name in self.heard:
            return time.monotonic() - self.heard[name]
        # This server has only just begun to listen: who was there shortly before has not had the time to say so.
        before = self._began_at - node.last_seen
        return time.monotonic() - self._began + (before / 1000 if before >= _GRACE_MS else 0)

    def _forgive_the_bus(self) -> None:
        """While this server heard nobody, because the bus was away, no node was silent: those of before get time to speak."""
        made = self.bus.health().get("connections", 0)
        if made == self._connections:
            return
        self._connections = made
        away = time.monotonic() - max(self.heard.values(), default=time.monotonic())
        self.heard = {name: at + away for name, at in self.heard.items()}

    def drains(self, draining: dict[str, bool]) -> None:
        """What is stored of who is being emptied: another server may have been told so."""
        for name, record in self._nodes.items():
            if record.draining != draining.get(name, record.draining):
                self._nodes[name] = record.model_copy(update={"draining": draining[name]})

    def isolated(self) -> bool:
        """Whether every compute node runs apps as each person's own account (False: evaluation mode)."""
        compute = [node for node in self._nodes.values() if "compute" in node.roles]
        heard = [node for node in compute if self.up(node.id)]
        return all(node.isolated for node in heard or compute)

    async def forget(self, name: str) -> None:
        """Drop the record of a node that is gone. NotFound, or Conflict while it is heard of or belongs."""
        if name not in self._nodes:
            raise NotFound(f"There is no node named {name!r}.")
        if self.up(name):
            raise Conflict(f"{name} is running: stop it first.")
        member = self.domain.members.get(name)
        if member is not None and not member.removed:
            raise Conflict(f"{name} has joined and may come back: remove it (`aen node remove {name}`) if it is gone.")
        await self.drop(name)

    async def drop(self, name: str) -> None:
        """Know nothing of the node any more."""
        self._nodes.pop(name, None)
        self.heard.pop(name, None)
        await self.store.delete("nodes", name)
        self.domain.events.publish("nodes", "node-removed", {"id": name})

    async def drain(self, actor: Actor, name: str, draining: bool) -> NodeRecord:
        """Whether anything new is started there; what runs goes on. For administrators. NotFound."""
        check(actor, Permission.ADMIN)
        record = self._nodes.get(name)
        if record is None:
            raise NotFound(f"There is no node named {name!r}.")
        if record.draining == draining:
            return record
        record = self._nodes[name] = record.model_copy(update={"draining": draining})
        await put(self.store, "nodes", record)
        act = "node.draining" if draining else "node.back"
        await self.domain.activity.record(actor, act, name, security=True)
        self.domain.events.publish("nodes", "node", record.model_dump(mode="json"))
        return record

    def choose(self, datacenter: str, project: Project | None = None) -> str:
        """The compute node where a new project goes, by the site's rule among those that are ready. Unavailable.

        When none is ready yet, one that is getting ready: the start waits there and shows how far it is.
        """
        self._forgive_the_bus()
        there = [node for node in self._nodes.values() if "compute" in node.roles and node.datacenter == datacenter]
        if project is not None and project.storage:
            there = [node for node in there if node.storage == project.storage]
        heard = [node for node in there if self.up(node.id)]
        if not heard:
            raise self._nobody(datacenter, there)
        open = [node for node in heard if not node.draining]
        if not open:
            raise Unavailable(
                f"Every compute node of data center {datacenter} is being emptied and takes nothing new. "
                "Ask an administrator.",
                retry_after=60,
            )
        ready = [node for node in open if node.ready]
        best = self._best(ready) if ready else max(open, key=lambda node: (node.progress, node.id))
        self._placed[best.id] += 1
        return best.id

    def takes(self, name: str, *, running: bool) -> bool:
        """Whether a project whose files are there stays there. One that runs does, however the node is.

        Those of a silent node wait, until it is back or removed, or its lease has ended: then nothing of them runs there.
        """
        node = self._nodes.get(name)
        return node is not None and (running or not (node.draining or name in self.domain.node_leases.ended))

    def elsewhere(self, project: Project) -> str:
        """Where a project can be started although its node is not heard, or takes nothing new: a node with the same storage.

        Empty: nowhere.
        """
        if not project.storage:
            return ""
        try:
            return self.choose(project.datacenter, project)
        except Unavailable:
            return ""

    def storage(self, name: str) -> str:
        """The name of what the node's project root lies on, when others share it; else empty."""
        node = self._nodes.get(name)
        return node.storage if node is not None else ""

    def need(self, name: str) -> None:
        """Raise Unavailable, with what to do, unless the node is there. One that is getting ready makes starts wait."""
        self._forgive_the_bus()
        node = self._nodes.get(name)
        if node is not None and self.up(name) and node.draining:
            raise Unavailable(
                f"The project's files are on the compute node {name}, which an administrator is emptying: nothing new "
                "is started there at the moment.",
                retry_after=60,
            )
        if node is None or not self.up(name):
            raise Unavailable(
                f"The project's files are on the compute node {name}, which has not been heard of "
                f"{_ago(self.silence(name))}. Ask an administrator to start it again (or, if it is gone for good, to "
                "remove it: what lies on shared storage can be started elsewhere then).",
                retry_after=10,
            )

    def _best(self, ready: Sequence[NodeRecord]) -> NodeRecord:
        """The node that the site's rule gives most; of equals, always the same one."""
        score = self._rule.score
        return max(ready, key=lambda node: (score(node, self._placed[node.id]), node.id))

    def _nobody(self, datacenter: str, there: Sequence[NodeRecord]) -> Unavailable:
        if there:
            known = ", ".join(sorted(node.id for node in there))
            return Unavailable(
                f"No compute node of data center {datacenter} can be heard at the moment (known: {known}). "
                "Ask an administrator to start one.",
                retry_after=10,
            )
        return Unavailable(
            f"Data center {datacenter} has no compute node yet. Ask an administrator to start one: "
            "`aen serve --role compute`.",
            retry_after=10,
        )

    async def _heard(self, event: NodeReported) -> None:
        member = self.domain.members.get(event.node)
        if member is not None and member.removed:
            return  # said before it was cut off
        if event.gateway_url and (member is None or "gateway" in member.roles):
            # First: whoever sees the gateway up may invite compute nodes through it.
            with contextlib.suppress(AenError):  # the store is away: its next heartbeat tells it again
                await self.ensure_datacenter(event.datacenter, event.gateway_url)
        self._forgive_the_bus()
        heard = self.heard[event.node] = time.monotonic()
        before = self._nodes.get(event.node)
        record = NodeRecord(
            id=event.node,
            sessions=sum(report.phase in LIVE for report in event.sessions),
            draining=before.draining if before is not None else False,
            **event.model_dump(include={*NodeRecord.model_fields} - {"id", "rev", "sessions", "last_seen", "draining"}),
        )
        self._nodes[event.node] = record
        self._placed.pop(event.node, None)
        changed = before is None or any(getattr(before, key) != getattr(record, key) for key in _TELLING)
        if changed or heard - self._stored.get(event.node, 0.0) > _STORE_EVERY:
            self._unsaved.add(event.node)
        moving = changed or (before is not None and before.progress != record.progress)
        if moving or heard - self._told.get(event.node, 0.0) > _TELL_EVERY:
            self._told[event.node] = heard
            self.domain.events.publish("nodes", "node", record.model_dump(mode="json"))
        for listener in self.listeners:
            listener(event)

    async def _save_for_life(self) -> None:
        while True:
            await asyncio.sleep(1)
            for name in list(self._unsaved):
                self._unsaved.discard(name)
                record = self._nodes.get(name)
                if record is not None:
                    await self._save(record)

    async def _save_among_several(self, record: NodeRecord) -> None:
        """Store what the node told; whether it is being emptied is told by who was told so, here or elsewhere."""

        def edit(stored: NodeRecord) -> None:
            for field in NodeRecord.model_fields.keys() - {"rev", "draining"}:
                setattr(stored, field, getattr(record, field))

        try:
            await change(self.store, "nodes", NodeRecord, record.id, edit)
        except NotFound:
            await put(self.store, "nodes", record)

    async def _save(self, record: NodeRecord) -> None:
        try:
            if self.domain.company.alone:
                await put(self.store, "nodes", record)
            else:
                await self._save_among_several(record)
            self._stored[record.id] = time.monotonic()
        except AenError as error:  # somebody was faster, or the store is away: it is saved when it is back
            log.debug("a node is not saved yet", node=record.id, reason=error.message)
            self._unsaved.add(record.id)


def _ago(seconds: float) -> str:
    if seconds == float("inf"):
        return "since this server started"
    return f"for {seconds:.0f} s" if seconds < 120 else f"for {seconds / 60:.0f} min"
