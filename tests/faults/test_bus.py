"""The bus when things break: broker killed under load, hub cut off, garbage, strangers' kinds, late answers, small brokers."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from nats.aio.client import Client

from aen.bus.nats import NatsBus
from aen.errors import AenError, Internal, Invalid, TimedOut, Unavailable
from aen.messages import CertificateRenewed, Done, RenewCertificate, Revoked, StopSession
from aen.model import Word
from aen.model.route import Revocation, RevocationKind
from tests.brokers import node_bus, plain_broker, site
from tests.waiting import until

AT = "compute.n1"


async def test_a_broker_that_dies_under_load_loses_nothing_silently() -> None:
    """Each request is answered, or says that it is unknown or could not be sent; asked again, it is done once."""
    done: list[str] = []

    async def act(command: StopSession) -> Word:
        done.append(command.id)
        return Done()

    async with plain_broker() as broker:
        asker, node = node_bus(broker.url, "server", node="s1"), node_bus(broker.url, "compute")
        async with asker, node:
            node.respond(AT, StopSession, act)
            await node.settled()
            outcomes: dict[str, str] = {}
            commands: list[StopSession] = []
            ending = asyncio.Event()

            async def load() -> None:
                while not ending.is_set():
                    command = StopSession(session="s")
                    commands.append(command)
                    outcomes[command.id] = await _outcome(asker, command)
                    await asyncio.sleep(0)

            loads = [asyncio.create_task(load()) for _ in range(20)]
            for _ in range(3):
                before = len(outcomes)
                await until(lambda before=before: _is(len(outcomes) > before + 200), 40, "requests go on")  # type: ignore[misc]
                await broker.kill()
                await until(lambda: _is(asker.health()["status"] != "ok"), 40, "it was noticed")
                await broker.start()
                await until(
                    lambda: _is(asker.health()["status"] == node.health()["status"] == "ok"), 20, "both are back"
                )
            ending.set()
            await asyncio.gather(*loads)
            assert set(outcomes.values()) <= {"Done", "TimedOut", "Unavailable"}
            assert {id for id, outcome in outcomes.items() if outcome == "Done"} <= set(done)
            for command in commands[-500:]:
                await asker.request(AT, command)
            assert len(done) == len(set(done)), "nothing was done twice"


async def test_a_hub_that_is_gone_is_known_at_once_and_heals() -> None:
    async with site("paris") as made, made.brokers() as brokers, made.bus("s1", brokers["s1"]) as server:
        server.respond("server", RenewCertificate, _renewed)
        async with made.bus("n-paris") as node:
            command = RenewCertificate(node="n-paris")
            await until(lambda: _can(node, command), 40, "it can ask")
            pid = brokers["s1"].health()["pid"]
            os.kill(pid, signal.SIGSTOP)  # as a cut line: nothing is closed
            await until(lambda: _refused(node, command), 30, "nobody there, at once")
            assert node.health()["status"] == "ok", "the data center keeps its own bus"
            os.kill(pid, signal.SIGCONT)
            await until(lambda: _can(node, command), 30, "healed")


async def test_a_connection_that_never_ends_keeps_nobody_from_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """nats-py's `close` waits for the farewell of a TLS connection that was reset in its handshake, and for ever."""
    stuck: list[Client] = []
    close = Client.close

    async def never(client: Client) -> None:
        stuck.append(client)
        await asyncio.Event().wait()

    monkeypatch.setattr("aen.bus.link.CLOSE_SECONDS", 0.05)
    async with plain_broker() as broker, node_bus(broker.url, "server", node="s1") as bus:
        await until(lambda: _is(bus.health()["status"] == "ok"), 40, "it is there")
        monkeypatch.setattr(Client, "close", never)
        await broker.kill()
        await until(lambda: _is(bool(stuck)), 40, "an end was waited for")
        monkeypatch.setattr(Client, "close", close)
        await broker.start()
        await until(lambda: _is(bus.health()["status"] == "ok"), 40, "it is back")
        for client in stuck:
            await client.close()


async def test_a_node_starts_without_its_bus_and_hears_when_it_comes() -> None:
    async with plain_broker() as broker:
        await broker.kill()
        heard: list[int] = []

        async def hear(event: Revoked) -> None:
            heard.append(event.revocation.number)

        async with node_bus(broker.url, "server", node="s1") as server, node_bus(broker.url, "gateway") as gateway:
            assert server.health()["status"] == gateway.health()["status"] == "degraded"
            assert "refused" in gateway.health()["reason"].lower()
            gateway.subscribe(Revoked, hear)
            with pytest.raises(Unavailable):
                await gateway.request("server", RenewCertificate(node="n1"))
            await server.publish(_revoked(1))
            assert server.health()["unsent"] == 1
            await broker.start()
            await until(
                lambda: _is(server.health()["status"] == gateway.health()["status"] == "ok"), 20, "both are there"
            )
            await server.publish(_revoked(2))
            await until(lambda: _is(heard == [2]), 40, "the event arrives")


async def test_garbage_hurts_nobody() -> None:
    heard: list[int] = []

    async def hear(event: Revoked) -> None:
        heard.append(event.revocation.number)

    async def act(command: StopSession) -> Word:
        return Done()

    async with plain_broker() as broker, node_bus(broker.url, "server", "gateway", "compute") as bus:
        bus.subscribe(Revoked, hear)
        bus.respond(AT, StopSession, act)
        await bus.settled()
        stranger = Client()
        await stranger.connect(broker.url)
        event, ask = f"aen.event.{bus.me.tokens}.Revoked.gateway", f"aen.ask.{AT}.StopSession.{bus.me.tokens}"
        for data in (b"", b"\xff\xfe", b"null", b"[]", b"{}", b'{"revocation": 1}', b"{" * 100_000):
            await stranger.publish(event, data)
            await stranger.publish(ask, data, reply=f"{bus.me.inbox}.x.y")
            await stranger.publish(ask, data)  # nobody waits for the answer
        for subject in ("aen.event.-.nobody.x.Revoked.gateway", "aen.event.-.gateway.x.Revoked.gateway"):
            await stranger.publish(subject, _revoked(9).model_dump_json().encode())
        await stranger.flush()
        await bus.publish(_revoked(3))
        await until(lambda: _is(heard == [3]), 40, "the good one arrives")
        assert await bus.request(AT, StopSession(session="s")) == Done()
        await stranger.close()


async def test_what_answers_with_garbage_is_an_internal_error() -> None:
    async with plain_broker() as broker, node_bus(broker.url, "server") as bus:
        stranger = Client()
        await stranger.connect(broker.url)

        async def garbage(message: object) -> None:
            await message.respond(b"\x00nonsense")  # type: ignore[attr-defined]

        await stranger.subscribe(f"aen.ask.{AT}.StopSession.>", cb=garbage)
        await stranger.flush()

        async def internal() -> bool | None:
            try:
                await bus.request(AT, StopSession(session="s"))
            except Internal:
                return True
            except Unavailable:  # on a busy machine the broker drops the stranger, which comes back by itself
                return None
            raise AssertionError("nonsense was taken for an answer")

        await until(internal, 40, "an internal error")
        await stranger.close()


async def test_a_late_answer_is_nobodys_and_is_remembered() -> None:
    go = asyncio.Event()
    calls = 0

    async def slow(command: StopSession) -> Word:
        nonlocal calls
        calls += 1
        await go.wait()
        return Done()

    async with plain_broker() as broker, node_bus(broker.url, "server", "compute") as bus:
        bus.respond(AT, StopSession, slow)
        command = StopSession(session="s")
        with pytest.raises(TimedOut):
            await bus.request(AT, command, 0.1)
        go.set()
        await until(lambda: _is(bus.health()["late"] == 1), 40, "it came late")
        assert await bus.request(AT, command) == Done()
        assert calls == 1


async def test_several_may_answer_at_one_address_and_one_does() -> None:
    counts = {"s1": 0, "s2": 0}

    async with plain_broker() as broker, node_bus(broker.url, "gateway") as asker:

        def counted(name: str, bus: NatsBus) -> None:
            async def renewed(command: RenewCertificate) -> Word:
                counts[name] += 1
                return await _renewed(command)

            bus.respond("server", RenewCertificate, renewed)

        async with node_bus(broker.url, "server", node="s1") as first:
            counted("s1", first)
            async with node_bus(broker.url, "server", node="s2") as second:
                counted("s2", second)
                for bus in (first, second):
                    await bus.settled()
                for _ in range(100):
                    await asker.request("server", RenewCertificate(node="n1"))
                assert sum(counts.values()) == 100
                assert all(counts.values())
            for _ in range(10):  # the other one goes on alone
                await asker.request("server", RenewCertificate(node="n1"))
    assert sum(counts.values()) == 110


async def test_a_broker_that_takes_too_little_is_told_of() -> None:
    async with plain_broker("max_payload: 65536\n") as broker, node_bus(broker.url, "server") as bus:
        assert bus.health()["status"] == "degraded"
        assert "max_payload" in bus.health()["reason"]


async def test_what_is_too_large_is_told_before_it_is_sent() -> None:
    async with plain_broker() as broker, node_bus(broker.url, "server") as bus:
        with pytest.raises(Invalid):
            await bus.request(AT, StopSession(session="s" * 600_000))
        assert bus.health()["connections"] == 1


async def _renewed(command: RenewCertificate) -> Word:
    return CertificateRenewed(authority="", revoked=[])


def _revoked(number: int) -> Revoked:
    return Revoked(revocation=Revocation(number=number, kind=RevocationKind.LOGIN, subject="x", at=0))


async def _outcome(bus: NatsBus, command: StopSession) -> str:
    try:
        return type(await bus.request(AT, command, 2)).__name__
    except AenError as error:
        return type(error).__name__


async def _can(bus: NatsBus, command: RenewCertificate) -> bool:
    try:
        await bus.request("server", command.model_copy(update={"id": os.urandom(8).hex()}), 1)
    except (Unavailable, TimedOut):
        return False
    return True


async def _refused(bus: NatsBus, command: RenewCertificate) -> bool:
    try:
        await bus.request("server", command.model_copy(update={"id": os.urandom(8).hex()}), 1)
    except Unavailable:
        return True
    except TimedOut:
        pass
    return False


async def _is(fact: bool) -> bool:
    return fact
