"""A server's domain on a real store and bus, without HTTP, that can be closed and opened again on the same files."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aen.bus import Bus
from aen.bus.local import LocalBus
from aen.config import Config
from aen.model import new_id, now
from aen.model.user import Login, LoginKind, User
from aen.roles.server.domain import Domain
from aen.roles.server.permissions import Actor
from aen.service import Service
from aen.store.sqlite import SqliteStore
from aen.tickets import Signer
from tests.fakenode import FakeNode

GATEWAY = "http://127.0.0.2:1"


class Opened(Service):
    """The service whose parts the domain's are."""

    def __init__(self, domain: Domain) -> None:
        super().__init__()
        self.domain = domain

    async def open(self) -> None:
        """See Service."""
        await self.domain.open(self)


@dataclass
class Box:
    """A server and one compute node."""

    folder: Path
    bus: Bus
    store: SqliteStore
    domain: Domain
    service: Opened
    node: FakeNode

    async def restart(self) -> Domain:
        """The server ends and comes again on the same store; the node and its sessions live on."""
        await self.service.stop()
        self.domain = _domain(self.folder, self.store, self.bus)
        self.service = Opened(self.domain)
        await self.service.start()
        return self.domain

    async def person(self, name: str, *, admin: bool = False) -> Actor:
        """That person, signed in (made if there is none of that name)."""
        doc = await self.store.get("users", name)
        if doc is None:
            user = User(id=name, incarnation=new_id(), admin=admin, search=name)
            doc = await self.store.insert("users", user.model_dump(mode="json"))
        user = User.model_validate(doc)
        login = Login(
            id=new_id(), user=name, incarnation=user.incarnation, kind=LoginKind.BROWSER, expires=now() + 3_600_000
        )
        await self.store.insert("logins", login.model_dump(mode="json"))
        return Actor(user, login)


def _domain(folder: Path, store: SqliteStore, bus: Bus) -> Domain:
    signer = Signer(Ed25519PrivateKey.generate())
    config = Config.model_validate(
        {
            "data_dir": str(folder),
            "gateway": {"url": GATEWAY},
            "compute": {"stop_seconds": 1},
            "apps": {"board": {"title": "Board", "command": ["board", "{port}"], "shared": True}},
        }
    )
    return Domain(config, store, bus, signer, ("server", "compute", "gateway"))


@contextlib.asynccontextmanager
async def box(folder: Path, bus: Bus | None = None) -> AsyncIterator[Box]:
    """A running server with one compute node, `n1`; on a bus of its own, or one that is open."""
    async with contextlib.AsyncExitStack() as stack:
        store = SqliteStore(folder / "aen.db")
        if bus is None:
            bus = LocalBus()
            await stack.enter_async_context(bus)
        await stack.enter_async_context(store)
        domain = _domain(folder, store, bus)
        service = Opened(domain)
        await service.start()
        async with FakeNode(bus) as node:
            made = Box(folder, bus, store, domain, service, node)
            try:
                yield made
            finally:
                await made.service.stop()
