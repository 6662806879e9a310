"""Far: nodes with papers of a real authority, a compute node's endpoint, and a gateway that reaches it over mutual TLS."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aen.ca import Authority, Identity
from aen.credentials import Credentials, Joined
from aen.messages import ProjectSpec
from aen.model.session import Phase
from aen.roles.compute.endpoint import Endpoint
from aen.roles.compute.records import Record
from aen.roles.gateway.links import Links
from aen.roles.trust import Trust

CENTER = "paris"
SESSION = "s1"


def joined(
    folder: Path, authority: Authority, role: str, node: str, datacenter: str = CENTER, roles: tuple[str, ...] = ()
) -> Credentials:
    """A node as it is after it has joined."""
    identity = Identity(node, roles or (role,), datacenter)
    key, issued = authority.own(identity, ("127.0.0.1", node))
    facts = Joined(node, identity.roles, datacenter, "http://server.test", "tls://127.0.0.1:4223")
    return Credentials.save(
        folder / node, facts, key=key, certificate=issued.certificate, authority=authority.bundle(), nkey=b"-"
    )


def record(upstream: str, uid: int | None = None, **changes: Any) -> Record:
    """A running session of the node."""
    values: dict[str, Any] = {
        "session": SESSION, "generation": 1, "user": "alice", "app": "jupyterlab", "app_server": "jupyter",
        "project": ProjectSpec(id="p1", owner="alice", name="genome", team=[]),
        "phase": Phase.RUNNING, "upstream": upstream, "uid": os.getuid() if uid is None else uid,
    }  # fmt: skip
    return Record(**{**values, **changes})


@dataclass
class Pair:
    """A gateway's side and a compute node's side. `sessions` are those of the node."""

    folder: Path
    authority: Authority
    gateway: Credentials
    node: Credentials
    endpoint: Endpoint
    port: int
    links: Links
    host: str = "127.0.0.1"
    sessions: dict[str, Record] = field(default_factory=dict)

    @property
    def upstream(self) -> str:
        """What the node reports."""
        return f"node:{self.host}:{self.port}"

    def client(self, credentials: Credentials | None = None) -> ssl.SSLContext:
        """Somebody's TLS, as whoever `credentials` says; the gateway's own when None."""
        return Trust(credentials or self.gateway).tls.client


@asynccontextmanager
async def pair(folder: Path, most: int = 8192, bound: socket.socket | None = None) -> AsyncIterator[Pair]:
    """An endpoint on `bound` or a free port, and what a gateway needs to reach it."""
    authority = Authority.make(folder / "authority")
    gateway = joined(folder, authority, "gateway", "g1")
    node = joined(folder, authority, "compute", "n1")
    sessions: dict[str, Record] = {}
    with bound or socket.create_server(("127.0.0.1", 0)) as bound:
        async with Endpoint(bound, Trust(node), sessions.get, most) as endpoint:
            assert isinstance(endpoint, Endpoint)
            host, port = bound.getsockname()[:2]
            yield Pair(folder, authority, gateway, node, endpoint, port, Links(Trust(gateway)), host, sessions)
