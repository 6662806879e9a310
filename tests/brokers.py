"""Brokers for tests: a real nats-server of its own, on a free port, with the buses of the nodes that talk over it."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aen import nkeys
from aen.bus import Bus, C, E, Subscription
from aen.bus.broker import Broker, stop
from aen.bus.broker_config import Known
from aen.bus.nats import NatsBus
from aen.ca import Authority, Identity
from aen.config.ground import BusOptions
from aen.config.model import Compute, Config, Gateway
from aen.credentials import Credentials, Joined
from aen.errors import TimedOut, Unavailable
from aen.messages import CertificateRenewed, Command, Event, RenewCertificate
from aen.model import Word
from tests.ports import free_port, free_ports
from tests.waiting import until

PROGRAM = Path(sys.executable).parent / "nats-server"


class PlainBroker:
    """A nats-server without TLS and without keys, on loopback. `start` again after `kill`: same port."""

    def __init__(self, folder: Path, options: str = "") -> None:
        self.folder, self.port = folder, free_port()  # one of ours: while it is down, nobody else may be given it
        self.options = options
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and wait until it says its ports."""
        config = self.folder / "nats.conf"
        config.write_text(f"listen: 127.0.0.1:{self.port}\nports_file_dir: {str(self.folder)!r}\n{self.options}")
        with (self.folder / "nats.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(PROGRAM, "-c", config, stdout=log, stderr=log)
        await until(self._listening, 60, "nats-server says its port")

    async def kill(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        for file in self.folder.glob("*.ports"):
            file.unlink()

    async def _listening(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, (self.folder / "nats.log").read_text()
        for file in self.folder.glob(f"*_{self.process.pid}.ports"):
            with suppress(ValueError):  # it is being written
                return bool(json.loads(file.read_text()).get("nats"))
        return False


@asynccontextmanager
async def plain_broker(options: str = "") -> AsyncIterator[PlainBroker]:
    """One that runs."""
    with tempfile.TemporaryDirectory(prefix="aen-broker-") as folder:
        broker = PlainBroker(Path(folder), options)
        try:
            await broker.start()
            yield broker
        finally:
            await broker.kill()


def node_bus(url: str, *roles: str, node: str = "n1", datacenter: str = "main") -> NatsBus:
    """The bus of one node without credentials."""
    config = Config(
        bus=BusOptions(mode="external", url=url), gateway=Gateway(datacenter=datacenter), compute=Compute(name=node)
    )
    return NatsBus(config, roles)


@asynccontextmanager
async def nats_bus() -> AsyncIterator[Bus]:
    """One bus over a broker of its own: a node that has every role."""
    async with plain_broker() as broker, node_bus(broker.url, "server", "gateway", "compute") as bus:
        await until(lambda: _connected(bus), 60, "the node has its bus")  # it starts without after 3 s
        yield bus


async def _connected(bus: NatsBus) -> bool:
    return bool(bus.health()["status"] == "ok")


@dataclass
class Site:
    """A managed installation in small: an authority, credentials for each node, the brokers of server and gateways."""

    folder: Path
    authority: Authority
    hub: int  # ports
    leaves: dict[str, int]
    known: list[Known] = field(default_factory=list)
    credentials: dict[str, Credentials] = field(default_factory=dict)

    def node(self, name: str, *roles: str, datacenter: str = "") -> Credentials:
        """The credentials of a node that joined."""
        place = self.leaves.get(datacenter, self.hub)
        url = f"tls://127.0.0.1:{place if roles == ('compute',) else self.hub}"
        seed = nkeys.make()
        joined = Joined(name, roles, datacenter, "https://aen.example.org", url)
        key, issued = self.authority.own(Identity(name, roles, datacenter), [f"{name}.example.org", "127.0.0.1"])
        authority = self.authority.bundle()
        data = self.folder / name
        made = Credentials.save(data, joined, key=key, certificate=issued.certificate, authority=authority, nkey=seed)
        self.known.append(Known(name, roles, datacenter, nkeys.public(seed)))
        self.credentials[name] = made
        return made

    def config(self, name: str) -> Config:
        """What is configured on that node."""
        joined = self.credentials[name].joined
        leaf = self.leaves.get(joined.datacenter, 0)
        return Config(
            data_dir=self.folder / name,
            bus=BusOptions(mode="managed", listen=f"127.0.0.1:{self.hub}", leaf_listen=f"127.0.0.1:{leaf}"),
        )

    def broker(self, name: str) -> Broker:
        """The broker beside that node."""
        return Broker(self.config(name), self.credentials[name].joined.roles, self.credentials[name])

    @asynccontextmanager
    async def brokers(self) -> AsyncIterator[dict[str, Broker]]:
        """All of them, knowing all nodes."""
        async with AsyncExitStack() as stack:
            made = {}
            for name in ("s1", *(f"g-{place}" for place in self.leaves)):
                made[name] = await stack.enter_async_context(self.broker(name))
                await made[name].set_nodes(self.known)
            yield made

    def bus(self, name: str, broker: Broker | None = None) -> NatsBus:
        """The bus of that node; `broker`: its own."""
        own = None if broker is None else lambda: broker.url
        return NatsBus(self.config(name), self.credentials[name].joined.roles, self.credentials[name], own)


@asynccontextmanager
async def site(*datacenters: str, node: str = "") -> AsyncIterator[Site]:
    """A server `s1`, and for each data center `D` a gateway `g-D` and a compute node `n-D` (or `node`).

    Ends every broker at last.
    """
    with tempfile.TemporaryDirectory(prefix="aen-site-") as place:
        folder = Path(place)
        hub, *leaves = free_ports(1 + len(datacenters))
        made = Site(folder, Authority.make(folder / "authority"), hub, dict(zip(datacenters, leaves, strict=True)))
        made.node("s1", "server")
        for name in datacenters:
            made.node(f"g-{name}", "gateway", datacenter=name)
            made.node(node or f"n-{name}", "compute", datacenter=name)
        try:
            yield made
        finally:
            for name in made.credentials:
                await stop(folder / name)


class Apart(Bus):
    """One bus for the contract's tests that is three: the server asks and tells from the hub, the compute node hears behind a leaf."""

    def __init__(self, server: NatsBus, compute: NatsBus) -> None:
        self.server, self.compute = server, compute
        self.stirred = True

    async def __aexit__(self, *exc: object) -> None:
        await self.compute.__aexit__()
        await self.server.__aexit__()

    async def publish(self, event: Event) -> None:
        if self.stirred:
            await self._settled()
        await self.server.publish(event)

    def subscribe(self, kind: type[E], handler: Callable[[E], Awaitable[None]]) -> Subscription:
        self.stirred = True
        return self.compute.subscribe(kind, handler)

    async def request(self, address: str, command: Command, timeout: float = 10.0) -> Any:
        await self._settled()
        return await self.server.request(address, command, timeout)

    def respond(self, address: str, kind: type[C], handler: Callable[[C], Awaitable[Word]]) -> Subscription:
        return (self.server if address == "server" else self.compute).respond(address, kind, handler)

    def health(self) -> dict[str, Any]:
        return self.server.health()

    async def _settled(self) -> None:
        """Both brokers know what is listened to: a question that takes the same way has been answered."""
        self.stirred = False
        await self.compute.settled()
        # What a broker still believed to be listened to, when it was not any more, is lost without a word.
        await until(lambda: _answers(self.compute), 40, "the brokers know what is listened to")


async def reachable(asker: NatsBus, responder: NatsBus) -> None:
    """Wait until `asker`, a server, can be asked by `responder` over all brokers between them."""
    subscription = asker.respond("server", RenewCertificate, _renewed)
    try:
        await until(lambda: _answers(responder), 20, f"{responder.me.node} can ask the server")
    finally:
        subscription.cancel()


async def _answers(bus: NatsBus) -> bool:
    with suppress(Unavailable, TimedOut):
        await bus.request("server", RenewCertificate(node=bus.me.node), 2)
        return True
    return False


async def _renewed(command: RenewCertificate) -> CertificateRenewed:
    return CertificateRenewed(authority="", revoked=[])


@asynccontextmanager
async def managed_bus() -> AsyncIterator[Bus]:
    """Server at the hub, gateway with its leaf, compute node behind it; TLS, keys and rights as AEN makes them."""
    async with site("paris", node="n1.example.org") as made, made.brokers() as brokers:
        hub = brokers["s1"]
        server, compute = made.bus("s1", hub), made.bus("n1.example.org")
        async with Apart(await server.__aenter__(), await compute.__aenter__()) as apart:
            await reachable(server, compute)
            server.respond("server", RenewCertificate, _renewed)
            yield apart
