"""Examined: what every node found when it examined itself, and where their configurations differ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from aen.errors import AenError
from aen.messages import ExamineNodes, NodeExamined
from aen.model import Word
from aen.roles.server.background import held
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

_MOST_NODES = 2000
_ASK_AFTER = 5.0  # seconds after the start: what was found is kept in memory only
_ASK_EVERY = 24 * 3600.0
_ORDER = {"problem": 0, "warning": 1, "ok": 2}

#: Options that are each node's own: that they differ says nothing.
_OWN = (
    "data_dir",
    "run_dir",
    "envs_dir",
    "ops.listen",
    "server.listen",
    "server.tls.",
    "server.redirect_listen",
    "server.secret_key",
    "gateway.listen",
    "gateway.url",
    "gateway.api_url",
    "gateway.datacenter",
    "gateway.tls.",
    "gateway.workers",
    "gateway.redirect_listen",
    "compute.listen",
    "compute.address",
    "compute.name",
    "compute.storage",
    "bus.listen",
    "bus.leaf_listen",
    "bus.url",
)
#: Options that only some roles read: they are compared among those.
_READ_BY = {
    "server.": ("server",),
    "store.": ("server",),
    "mail.": ("server",),
    "search.": ("server",),
    "archives.": ("server",),
    "new_projects.": ("server",),
    "gateway.": ("gateway",),
    "compute.": ("compute",),
    "acl.": ("compute",),
    "environments.": ("compute",),
    "accounts.": ("compute",),
    "apps": ("server", "compute"),
    "space.": ("server", "compute"),
}


class Difference(Word):
    """An option that is not the same on all nodes that read it: value → nodes. Secrets are hidden."""

    option: str
    values: dict[str, list[str]]


class Examined(Part):
    """Kept in memory, by node and host: a node that starts, or is asked, tells anew."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._found: dict[tuple[str, str], NodeExamined] = {}

    async def begin(self, service: Service) -> None:
        """See Part."""
        await service.enter(held(self.bus.subscribe(NodeExamined, self._heard)))
        service.spawn(self._ask_for_life(), "examined")

    def list(self, actor: Actor) -> Sequence[NodeExamined]:
        """The latest of each node, those with problems first. For administrators."""
        check(actor, Permission.ADMIN)
        return sorted(self._found.values(), key=lambda one: (_worst(one), one.node, one.host))

    async def ask(self, actor: Actor, node: str = "") -> None:
        """Every node (or that one) examines itself now; what it finds comes within seconds. Raises Unavailable."""
        check(actor, Permission.ADMIN)
        await self.bus.publish(ExamineNodes(node=node))

    def drift(self, actor: Actor) -> Sequence[Difference]:
        """Options that nodes with the same role have set differently, by name. For administrators."""
        check(actor, Permission.ADMIN)
        by_option: dict[str, dict[str, list[str]]] = {}
        for one in self._found.values():
            for option in one.options:
                if _compared(option.path, one.roles):
                    by_option.setdefault(option.path, {}).setdefault(option.value, []).append(_named(one, self._found))
        return [
            Difference(option=path, values={value: sorted(nodes) for value, nodes in sorted(found.items())})
            for path, found in sorted(by_option.items())
            if len(found) > 1
        ]

    async def _heard(self, event: NodeExamined) -> None:
        if len(self._found) >= _MOST_NODES:
            self._found.pop(min(self._found, key=lambda key: self._found[key].at))
        self._found[event.node, event.host] = event
        self.domain.events.publish("nodes", "examined", {"id": event.node})

    async def _ask_for_life(self) -> None:
        """Nodes that have been running for long told a server that was here before us; and once a day."""
        pause = _ASK_AFTER
        while True:
            await asyncio.sleep(pause)
            try:
                await self.bus.publish(ExamineNodes(anew=pause == _ASK_EVERY))
            except AenError as error:
                log.warning("nodes could not be asked how they are", reason=error.message)
            pause = _ASK_EVERY


def _worst(one: NodeExamined) -> int:
    return min((_ORDER[finding.state] for finding in one.findings), default=2)


def _compared(path: str, roles: list[str]) -> bool:
    if path.startswith(_OWN):
        return False
    readers = next((by for start, by in _READ_BY.items() if path.startswith(start)), None)
    return readers is None or bool(set(readers) & set(roles))


def _named(one: NodeExamined, known: dict[tuple[str, str], NodeExamined]) -> str:
    """Its name; two servers have the same one, so the host says which."""
    alike = sum(node == one.node for node, _ in known)
    return one.node if alike == 1 else f"{one.node} ({one.host})"
