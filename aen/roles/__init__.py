"""Roles: what runs where. One table; `all` is a row of it. Roles never import each other."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from aen.bus import Bus
from aen.bus.broker import Broker
from aen.config import Config
from aen.launchers import Launcher
from aen.service import Service


@dataclass(frozen=True)
class Context:
    """What a node hands to its roles: configuration with every blank filled, the bus, what was bound as root."""

    config: Config
    roles: tuple[str, ...]  # the roles of this node
    bus: Bus
    launcher: Launcher | None  # where compute is one of the roles
    listeners: Mapping[str, socket.socket] = field(
        default_factory=dict
    )  # by option: "server", "gateway", "server.redirect", …
    broker: Broker | None = None  # the one that AEN runs beside this node (bus.mode managed; server and gateway)


class Role(Service):
    """A service that is a role: it is told to drain before it is stopped."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context

    async def drain(self) -> None:
        """Take no new work and finish what is under way; bounded by the configuration."""


def _role(module: str, name: str) -> Callable[[Context], Role]:
    """A role by its place, imported only where it runs."""

    def make(context: Context) -> Role:
        made: Role = getattr(import_module(module), name)(context)
        return made

    return make


#: In the order of their start; they stop in reverse, so the front door opens last and closes first.
ROLES: dict[str, Callable[[Context], Role]] = {
    "server": _role("aen.roles.server", "Server"),
    "compute": _role("aen.roles.compute", "Compute"),
    "gateway": _role("aen.roles.gateway", "Gateway"),
}

#: What `--role` takes.
TARGETS: dict[str, tuple[str, ...]] = {**{name: (name,) for name in ROLES}, "all": tuple(ROLES)}
