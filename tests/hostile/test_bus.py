"""A node in the wrong hands: its credentials tried against everything that isn't its own, and a broker without any.

Over the hub and the leaf as AEN configures them; the attacker is a plain NATS client, not ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from aen import nkeys
from aen.bus.broker import Broker
from aen.bus.link import flushed
from aen.bus.nats import NatsBus
from aen.ca import Authority, Identity
from aen.credentials import Credentials
from aen.errors import AenError, TimedOut, Unavailable
from aen.messages import CertificateRenewed, Done, NodeReported, ReadRoutes, RenewCertificate, Routes, StopSession
from aen.model import Word
from aen.model.node import Load
from tests.brokers import Site, reachable, site
from tests.waiting import until

#: What the compute node n-paris may not say.
PUBLISH = [
    "aen.event.paris.compute.n2.NodeReported.server",  # as another node
    "aen.event.lyon.compute.n-lyon.NodeReported.server",
    "aen.event.paris.gateway.g-paris.NodeReported.server",  # as its gateway
    "aen.event.-.server.s1.Revoked.gateway",  # as the server
    "aen.event.-.server.s1.RouteAdded.gateway-paris",
    "aen.event.paris.compute.n-paris.RouteAdded.gateway-paris",
    "aen.event.paris.compute.n-paris.NodeReported.gateway",  # to others than the server
    "aen.event.paris.compute.n-paris.NodeReported",
    "aen.ask.server.ReadRoutes.paris.compute.n-paris",
    "aen.ask.server.ReadRoutes.paris.gateway.g-paris",
    "aen.ask.server.OpenSession.paris.compute.n-paris",
    "aen.ask.server.CheckToken.paris.compute.n-paris",
    "aen.ask.server.RenewCertificate.paris.compute.n2",
    "aen.ask.compute.n-lyon.StartSession.-.server.s1",
    "aen.ask.compute.n2.StopSession.paris.compute.n-paris",
    "aen.ask.compute.n-paris.StopSession.paris.compute.n-paris",
    "aen.answer.-.server.s1.x.y",  # unasked
    "aen.answer.paris.gateway.g-paris.x.y",
    "_INBOX.x",
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.ACCOUNT.AEN.CONNZ",
    "$JS.API.STREAM.LIST",
    "$JS.API.ACCOUNT.PURGE.AEN",
    "$LDS.x",
    "anything",
]

#: What it may not hear.
SUBSCRIBE = [
    ">",
    "*",
    "aen.>",
    "aen.ask.>",
    "aen.ask.server.>",
    "aen.ask.compute.*.>",
    "aen.ask.compute.n2.>",
    "aen.ask.compute.n-lyon.StartSession.*.*.*",
    "aen.ask.gateway.paris.>",
    "aen.answer.>",
    "aen.answer.-.>",
    "aen.answer.paris.>",
    "aen.answer.paris.gateway.g-paris.>",
    "aen.answer.paris.compute.*.>",
    "aen.event.>",
    "aen.event.*.*.*.*.server",
    "aen.event.*.*.*.SessionReported.server",  # holds secrets
    "aen.event.-.*.*.*.gateway",
    "aen.event.-.*.*.RouteAdded.gateway-paris",
    "aen.event.-.*.*.*.compute-lyon",
    "_INBOX.>",
    "$SYS.>",
    "$JS.>",
]


@dataclass
class Raw:
    """A connection with somebody's credentials, that hears what the broker complains of."""

    client: Client = field(default_factory=Client)
    complaints: list[str] = field(default_factory=list)

    async def connect(self, url: str, mine: Credentials | None, seed: bytes | None = None, **options: Any) -> None:
        async def heard(error: Exception) -> None:
            self.complaints.append(str(error).lower())

        if mine is not None:
            options = {"tls": tls(mine), "tls_handshake_first": True} | options
            seed = seed or mine.nkey.read_bytes()
        if seed is not None:
            self.client._public_nkey = nkeys.public(seed)
            options["signature_cb"] = lambda nonce: nkeys.sign(seed, nonce)
        await asyncio.wait_for(
            self.client.connect(
                [url], allow_reconnect=False, max_reconnect_attempts=1, reconnect_time_wait=0, error_cb=heard, **options
            ),
            10,
        )

    async def denied(self, what: str) -> bool:
        """Whether the broker refuses `what`; a round trip comes behind each complaint."""
        await flushed(self.client)
        return any(f'"{what.lower()}"' in text and "permissions violation" in text for text in self.complaints)


@dataclass
class Ring:
    """The installation under attack."""

    site: Site
    brokers: dict[str, Broker]
    server: NatsBus
    gateway: NatsBus

    @property
    def leaf(self) -> str:
        return f"tls://127.0.0.1:{self.site.leaves['paris']}"

    @property
    def hub(self) -> str:
        return f"tls://127.0.0.1:{self.site.hub}"


@pytest.fixture
async def ring() -> AsyncIterator[Ring]:
    async with (
        site("paris", "lyon") as made,
        made.brokers() as brokers,
        made.bus("s1", brokers["s1"]) as server,
        made.bus("g-paris", brokers["g-paris"]) as gateway,
    ):
        await reachable(server, gateway)
        yield Ring(made, brokers, server, gateway)


async def test_everything_that_is_not_its_own_is_refused(ring: Ring) -> None:
    mine = Raw()
    await mine.connect(ring.leaf, ring.site.credentials["n-paris"])
    for subject in PUBLISH:
        await mine.client.publish(subject, b"{}")
        assert await mine.denied(subject), f"may publish {subject}"
    for subject in SUBSCRIBE:
        for queue in ("", "server"):
            mine.complaints.clear()
            await mine.client.subscribe(subject, queue, _ignore)
            assert await mine.denied(subject), f"may subscribe {subject} {queue}"
    mine.complaints.clear()
    for subject in ("aen.event.paris.compute.n-paris.NodeReported.server",):
        await mine.client.publish(subject, b"{}")
        assert not await mine.denied(subject)
    await mine.client.close()


async def test_a_gateway_reaches_nothing_of_another_data_center(ring: Ring) -> None:
    mine = Raw()
    await mine.connect(ring.leaf, ring.site.credentials["g-paris"])
    for subject in (
        "aen.ask.server.ReadRoutes.lyon.gateway.g-lyon",
        "aen.event.lyon.gateway.g-lyon.NodeReported.server",
        "aen.event.-.server.s1.RouteRemoved.gateway-lyon",
        "aen.ask.compute.n-lyon.StartSession.paris.gateway.g-paris",
    ):
        await mine.client.publish(subject, b"{}")
        assert await mine.denied(subject), subject
    for subject in ("aen.event.-.*.*.*.gateway-lyon", "aen.ask.gateway.lyon.>", "aen.answer.lyon.>"):
        await mine.client.subscribe(subject, "", _ignore)
        assert await mine.denied(subject), subject
    await mine.client.close()


async def test_a_leaf_in_the_wrong_hands_speaks_for_its_own_data_center_only(ring: Ring) -> None:
    """The gateway's broker itself is the attacker: everything is allowed there, the hub alone refuses."""
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    spy = Raw()
    await spy.connect(ring.server._dial.urls[0], ring.site.credentials["s1"], tls_hostname="127.0.0.1")
    await spy.client.subscribe("aen.>", "", hear)
    await flushed(spy.client)
    place = ring.site.folder / "g-paris/broker/nats.conf"
    opened = place.read_text()
    for line in opened.splitlines():
        if "publish:" in line:
            opened = opened.replace(line, '      publish: { allow: [">"] }')
        if "subscribe:" in line:
            opened = opened.replace(line, '      subscribe: { allow: [">"] }')
    place.write_text(opened)
    os.kill(int((place.parent / "pid").read_text()), signal.SIGHUP)
    mine = await until(lambda: _opened(ring), 40, "the leaf allows all")
    bad = [
        "aen.event.lyon.compute.n-lyon.NodeReported.server",
        "aen.event.-.server.s1.Revoked.gateway",
        "aen.ask.server.ReadRoutes.lyon.gateway.g-lyon",
        "aen.ask.compute.n-lyon.StartSession.-.server.s1",
        "aen.answer.lyon.gateway.g-lyon.x.y",
    ]
    for subject in bad:
        await mine.client.publish(subject, b"{}")
    good = "aen.event.paris.compute.anybody.NodeReported.server"
    await mine.client.publish(good, b"{}")
    await until(lambda: _in(good, heard), 40, "what is its own arrives")
    assert not set(bad) & set(heard)
    for one in (mine, spy):
        await one.client.close()


async def test_what_a_node_says_of_itself_must_be_so(ring: Ring) -> None:
    heard: list[str] = []

    async def hear(event: NodeReported) -> None:
        heard.append(event.node)

    async def routes(command: ReadRoutes) -> Word:
        return Routes(version=command.datacenter)

    ring.server.subscribe(NodeReported, hear)
    ring.server.respond("server", ReadRoutes, routes)
    await ring.server.settled()
    async with ring.site.bus("n-paris") as node:
        await reachable(ring.server, node)
        for name, place in (("n-lyon", "paris"), ("n-paris", "lyon"), ("n-paris", "paris")):
            await node.publish(_beat(name, place))
        await until(lambda: _in("n-paris", heard), 40, "the true one arrives")
    assert heard == ["n-paris"]
    assert ring.server.health()["refused"] == 2
    assert (await ring.gateway.request("server", ReadRoutes(datacenter="paris"))).version == "paris"
    with pytest.raises(AenError, match="datacenter") as caught:
        await ring.gateway.request("server", ReadRoutes(datacenter="lyon"))
    assert caught.value.code == "denied"


async def test_an_answer_goes_to_nobody_but_the_asker(ring: Ring) -> None:
    """Else the server would say, in its own name and with all its rights, what an asker likes where it likes."""
    said: list[str] = []

    async def hear(message: Msg) -> None:
        said.append(message.subject)

    async def routes(command: ReadRoutes) -> Word:
        return Routes(version="1")

    ring.server.respond("server", ReadRoutes, routes)
    spy = Raw()
    await spy.connect(ring.server._dial.urls[0], ring.site.credentials["s1"], tls_hostname="127.0.0.1")
    await spy.client.subscribe("aen.event.>", "", hear)
    await spy.client.subscribe("aen.answer.paris.>", "", hear)
    await flushed(spy.client)
    mine = Raw()
    await mine.connect(ring.leaf, ring.site.credentials["g-paris"])
    ask, data = "aen.ask.server.ReadRoutes.paris.gateway.g-paris", ReadRoutes(datacenter="paris").model_dump_json()
    before = ring.server.health()["refused"]
    for reply in ("aen.event.-.server.s1.Revoked.gateway", "aen.answer.paris.compute.n-paris.x.y"):
        await mine.client.publish(ask, data.encode(), reply=reply)
    await until(lambda: _is(ring.server.health()["refused"] == before + 2), 40, "both refused")
    assert await ring.gateway.request("server", ReadRoutes(datacenter="paris"))
    assert [subject for subject in said if "g-paris" not in subject] == []
    for one in (mine, spy):
        await one.client.close()


async def test_without_the_right_credentials_nobody_comes_in(ring: Ring, tmp_path: Path) -> None:
    right = ring.site.credentials["n-paris"]
    other = Authority.make(tmp_path / "other")
    key, issued = other.own(Identity("n-paris", ("compute",), "paris"), ["127.0.0.1"])
    foreign = Credentials.save(
        tmp_path / "foreign",
        right.joined,
        key=key,
        certificate=issued.certificate,
        authority=ring.site.authority.bundle(),
        nkey=right.nkey.read_bytes(),
    )
    blind = ssl.create_default_context(cafile=str(right.authority))
    plain = ring.leaf.replace("tls:", "nats:")
    tries: dict[str, Callable[[Raw], Awaitable[None]]] = {
        "no key": lambda raw: raw.client.connect([ring.leaf], tls=tls(right), tls_handshake_first=True, **ONCE),
        "a key that nobody knows": lambda raw: raw.connect(ring.leaf, right, seed=nkeys.make()),
        "a password": lambda raw: raw.client.connect(
            [ring.leaf.replace("://", "://sys:sys@")], tls=tls(right), tls_handshake_first=True, **ONCE
        ),
        "no certificate": lambda raw: raw.connect(ring.leaf, right, tls=blind),
        "a certificate of another authority": lambda raw: raw.connect(ring.leaf, foreign),
        "no TLS": lambda raw: raw.connect(plain, None, seed=right.nkey.read_bytes()),
        "a compute node at the hub": lambda raw: raw.connect(ring.hub, right),
        "a gateway as a client of the hub": lambda raw: raw.connect(
            ring.server._dial.urls[0], ring.site.credentials["g-paris"], tls_hostname="127.0.0.1"
        ),
        "another data center's node": lambda raw: raw.connect(ring.leaf, ring.site.credentials["n-lyon"]),
    }
    for name, connect in tries.items():
        raw = Raw()
        with pytest.raises((Error, OSError, TimeoutError)):
            await asyncio.wait_for(connect(raw), 10)
        assert not raw.client.is_connected, name
        with contextlib.suppress(Error, OSError):
            await raw.client.close()
    fine = Raw()
    await fine.connect(ring.leaf, right)
    await fine.client.close()


async def test_a_broker_without_tls_is_not_talked_to() -> None:
    """Somebody between the node and its broker, who says that there is no TLS, hears nothing."""
    heard: list[bytes] = []

    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"headers":true,"nonce":"abc"}\r\n'
        )
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                heard.append(data)
        writer.close()

    async with (
        site("paris") as made,
        await asyncio.start_server(impostor, "127.0.0.1", made.leaves["paris"]),
        made.bus("n-paris") as node,
    ):
        with pytest.raises(Unavailable):
            await node.request("server", RenewCertificate(node="n-paris"), 1)
        await until(lambda: _is(bool(heard)), 40, "it was tried")
    assert not any(b"CONNECT" in data or b"aen." in data for data in heard)


async def test_a_removed_node_is_cut_off_at_once_and_others_stay(ring: Ring) -> None:
    ours = ring.brokers["g-paris"]
    async with ring.site.bus("n-paris") as node:
        await reachable(ring.server, node)
        address = "compute.n-paris"
        node.respond(address, StopSession, _done)
        await node.settled()
        await until(lambda: _asked(ring.server, address), 40, "it can be asked")
        before = ring.gateway.health()["connections"]
        await ours.set_nodes([known for known in ring.site.known if known.node != "n-paris"])
        await until(lambda: _is(node.health()["status"] != "ok"), 40, "it is cut off")
        with pytest.raises(Unavailable):
            await ring.server.request(address, StopSession(session="s"), 5)
        assert ring.gateway.health()["connections"] == before
        await ours.set_nodes(ring.site.known)
        await until(lambda: _asked(ring.server, address), 40, "it is back by itself")


async def test_a_removed_gateways_leaf_is_cut_off(ring: Ring) -> None:
    """nats-server lets a leaf that is connected go on over a reload: the hub is started again."""
    ring.server.respond("server", RenewCertificate, _renewed)
    await until(lambda: _may_ask(ring.gateway), 40, "it can ask")
    async with ring.site.bus("g-lyon", ring.brokers["g-lyon"]) as other:
        hub = ring.brokers["s1"]
        pid = hub.health()["pid"]
        await hub.set_nodes([known for known in ring.site.known if known.node != "g-paris"])
        await until(lambda: _is(hub.health()["pid"] not in (0, pid)), 40, "it runs anew")
        await until(lambda: _may_ask(other), 40, "the other data center is back")
        assert not await _may_ask(ring.gateway)
        assert ring.gateway.health()["status"] == "ok", "its own broker is still its own"


ONCE: dict[str, Any] = {"allow_reconnect": False, "max_reconnect_attempts": 1, "reconnect_time_wait": 0}


def tls(mine: Credentials) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(mine.authority))
    context.load_cert_chain(mine.certificate, mine.key)
    return context


def _beat(node: str, datacenter: str) -> NodeReported:
    facts: dict[str, Any] = {
        "version": "1",
        "load": Load(),
        "isolated": True,
        "ready": True,
        "sessions": [],
        "started": 0,
    }
    return NodeReported(node=node, datacenter=datacenter, roles=["compute"], **facts)


async def _ignore(message: Msg) -> None:
    pass


async def _done(command: StopSession) -> Word:
    return Done()


async def _asked(bus: NatsBus, address: str) -> bool:
    with contextlib.suppress(Unavailable, TimedOut):  # what is asked while a broker joins may be lost: never answered
        await bus.request(address, StopSession(session="s"), 5)
        return True
    return False


async def _renewed(command: RenewCertificate) -> Word:
    return CertificateRenewed(authority="", revoked=[])


async def _may_ask(bus: NatsBus) -> bool:
    with contextlib.suppress(Unavailable, TimedOut):
        await bus.request("server", RenewCertificate(node=bus.me.node), 2)
        return True
    return False


async def _opened(ring: Ring) -> Raw | None:
    """A connection to the leaf that may say anything, if there is one yet."""
    raw = Raw()
    await raw.connect(ring.leaf, ring.site.credentials["n-paris"])
    await raw.client.publish("anything", b"")
    if not await raw.denied("anything"):
        return raw
    await raw.client.close()
    return None


async def _is(fact: bool) -> bool:
    return fact


async def _in(one: str, all: list[str]) -> bool:
    return one in all
