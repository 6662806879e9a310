"""A gateway of several workers: real processes that know what it tells them. What holds for one holds for each."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path

import aiohttp
import pytest

from aen import listeners
from aen.errors import Conflict, Invalid
from aen.messages import LanguageChosen, RouteAdded, RouteRemoved
from aen.model import now
from aen.model.route import RevocationKind
from aen.proxy.routes import RouteTable
from aen.roles import gateway
from aen.roles.gateway.mirror import Mirror, Source
from aen.tickets import Signer
from tests import waiting
from tests.integration.test_gateway import PATH, House, housed, until

WORKERS = 2


def doors(count: int) -> dict[str, socket.socket]:
    """Listeners on one port, as they are bound before a gateway gives up its rights."""
    bound = listeners.bind({"gateway": ("gateway.listen", "127.0.0.1:0")})
    return bound | listeners.for_workers(bound, count)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housed(tmp_path, doors=doors(WORKERS), workers=WORKERS) as made:
        yield made


def pids(house: House) -> list[int]:
    """The workers that take connections."""
    crew = house.gateway.crew
    assert crew is not None
    return [one["pid"] for one in crew.health()["each"] if one["open"]]


def connections(house: House) -> list[int]:
    """How many connections each worker has, as it last said."""
    crew = house.gateway.crew
    assert crew is not None
    return [member.figures.connections for member in crew._members.values()]


async def everywhere(house: House, stack: AsyncExitStack, user: str = "alice") -> list[aiohttp.ClientWebSocketResponse]:
    """Open WebSockets until each worker has some."""
    made: list[aiohttp.ClientWebSocketResponse] = []

    async def more() -> None:
        browser = await stack.enter_async_context(house.client(user, Origin=house.origin))
        made.append(await stack.enter_async_context(browser.ws_connect(PATH + "ws")))

    for _ in range(24):
        await more()
    await until(lambda: sum(connections(house)) == len(made))
    assert all(connections(house)), "24 connections, and the kernel gave one worker none of them"
    return made


async def closed(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    message = await ws.receive(timeout=8)
    return message.data if message.type is aiohttp.WSMsgType.CLOSE else None


@pytest.mark.parametrize("tell", [True, False])
@pytest.mark.parametrize(
    ("kind", "subject"),
    [(RevocationKind.LOGIN, "L1"), (RevocationKind.USER, "alice"), (RevocationKind.MEMBER, "p1 alice")],
)
async def test_a_revocation_holds_in_every_worker(house: House, kind: RevocationKind, subject: str, tell: bool) -> None:
    async with AsyncExitStack() as stack:
        sockets = await everywhere(house, stack)
        before = {"Cookie": f"aen-gateway={house.server.grant('alice', 'L1', house.origin)}"}
        await house.server.revoke(kind, subject, tell=tell)
        assert {await closed(ws) for ws in sockets} == {1008}
        for _ in range(12):
            async with house.client() as again, again.get(PATH, headers=before) as answer:
                assert answer.status != 200


async def test_a_worker_that_is_killed_is_replaced_and_knows_what_was_before_it(house: House) -> None:
    await house.server.revoke(RevocationKind.LOGIN, "L9")
    house.server.routes.append(house.route(session="s2", project="other"))
    await house.bus.publish(RouteAdded(datacenter="main", route=house.server.routes[-1]))
    before = pids(house)
    os.kill(before[0], signal.SIGKILL)
    await until(lambda: len(pids(house)) == WORKERS and before[0] not in pids(house))
    os.kill(before[1], signal.SIGKILL)
    await until(lambda: len(pids(house)) == WORKERS and not set(before) & set(pids(house)))
    assert house.gateway.health()["workers"]["replaced"] == 2
    async with house.client("alice") as browser, browser.get("/alice/other/jupyter/") as answer:
        assert answer.status == 200
    async with house.client("alice", login="L9") as revoked, revoked.get(PATH) as answer:
        assert answer.status == 401


async def test_a_worker_that_does_not_listen_is_killed_so_that_a_revocation_holds(house: House) -> None:
    async with AsyncExitStack() as stack:
        sockets = await everywhere(house, stack)
        stopped = pids(house)[0]
        os.kill(stopped, signal.SIGSTOP)
        await house.server.revoke(RevocationKind.LOGIN, "L1")
        ends = [await ws.receive(timeout=8) for ws in sockets]
        assert {end.type for end in ends} <= {
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.ERROR,
        }
        await until(lambda: len(pids(house)) == WORKERS and stopped not in pids(house))


async def test_routes_come_and_go_in_every_worker(house: House) -> None:
    async def asked(path: str) -> set[int]:
        found = set()
        for _ in range(12):
            async with house.client("alice") as browser, browser.get(path) as answer:
                found.add(answer.status)
        return found

    assert await asked(PATH) == {200}
    house.server.routes = []
    await house.bus.publish(RouteRemoved(datacenter="main", session="s1", generation=1))
    crew = house.gateway.crew
    assert crew is not None
    await until(lambda: all(one["outstanding"] == 0 for one in crew.health()["each"]))
    assert 200 not in await asked(PATH)


async def test_a_token_is_asked_about_through_the_gateway(house: House) -> None:
    for _ in range(12):
        async with house.client(Authorization="Bearer secret-token") as script, script.get(PATH) as answer:
            assert (await answer.json())["headers"]["X-AEN-Auth"] == "token"
    assert 1 <= house.server.asked_tokens <= WORKERS
    async with house.client(Authorization="Bearer wrong") as script, script.get(PATH) as answer:
        assert answer.status == 401
    house.server.silence()
    async with house.client(Authorization="Bearer other") as script, script.get(PATH) as answer:
        assert answer.status == 503


async def test_counts_of_all_workers_are_summed_and_never_fall(house: House) -> None:
    def counted() -> int:
        return sum(house.gateway.figures().answered["app"].statuses)

    for _ in range(20):
        async with house.client("alice") as browser, browser.get(PATH) as answer:
            assert answer.status == 200
    await until(lambda: counted() == 20)
    assert sum(1 for line in (house.tmp / "data/gateway/access.log").read_text().splitlines() if PATH in line) == 20
    for pid in pids(house):
        os.kill(pid, signal.SIGKILL)
    await until(lambda: house.gateway.health()["workers"]["replaced"] == WORKERS)
    assert counted() == 20


async def test_a_person_has_their_limit_in_all_workers_together(tmp_path: Path) -> None:
    limits = {"connections": 8}
    async with (
        housed(tmp_path, doors=doors(WORKERS), workers=WORKERS, limits=limits) as house,
        AsyncExitStack() as stack,
    ):
        statuses = []
        for _ in range(40):
            browser = await stack.enter_async_context(house.client("alice"))
            answer = await stack.enter_async_context(browser.get(PATH))
            statuses.append(answer.status)
        assert statuses.count(200) == limits["connections"]
        assert set(statuses) == {200, 429}


async def test_drain_under_load_answers_every_request_that_arrived(house: House) -> None:
    answered, refused = [], []
    ending = asyncio.Event()

    async def load() -> None:
        while not ending.is_set():
            try:
                async with house.client("alice") as browser, browser.get(PATH) as answer:
                    answered.append(answer.status)
            except aiohttp.ClientConnectorError:
                refused.append(1)  # nobody listens any more: that is no lost request
                return

    async with AsyncExitStack() as stack:
        sockets = await everywhere(house, stack)
        loads = [asyncio.create_task(load()) for _ in range(20)]
        await until(lambda: len(answered) > 200)
        draining = asyncio.create_task(house.gateway.drain())
        assert {await closed(ws) for ws in sockets} == {1012}
        await draining
        ending.set()
        await asyncio.gather(*loads)
    assert set(answered) == {200}
    assert refused


@pytest.mark.parametrize("workers", [1, WORKERS])
async def test_a_new_gateway_takes_over_the_port_and_nothing_is_lost(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two gateways with share_port side by side, as in an upgrade; then the old one ends under load."""
    monkeypatch.setattr(gateway, "registered", lambda *_: nullcontext())  # both count in this one process
    answered, ending = [], asyncio.Event()

    def bound(port: int) -> dict[str, socket.socket]:
        first = listeners.bind({"gateway": ("gateway.listen", f"127.0.0.1:{port}")}, shared=True)
        return first | listeners.for_workers(first, workers)

    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        Signer.load_or_make(tmp_path / "key.pem")
        shutil.copy(tmp_path / "key.pem", tmp_path / name / "key.pem")

    async def load(house: House) -> None:
        while not ending.is_set():
            async with house.client("alice") as browser, browser.get(PATH) as answer:
                answered.append(answer.status)

    async with housed(tmp_path / "old", doors=bound(0), workers=workers) as old:
        loads = [asyncio.create_task(load(old)) for _ in range(10)]
        async with housed(tmp_path / "new", doors=bound(old.port), workers=workers) as new:
            await until(lambda: sum(new.gateway.figures().answered["app"].statuses) > 20)
            await old.gateway.drain()
            await old.gateway.stop()
            before = len(answered)
            await until(lambda: len(answered) > before + 50)
            ending.set()
            await asyncio.gather(*loads)  # nobody was refused or reset
    assert set(answered) == {200}


def test_a_port_is_shared_by_those_alone_that_say_so() -> None:
    place = {"gateway": ("gateway.listen", "127.0.0.1:0")}
    with listeners.bind(place)["gateway"] as alone:
        alone.listen()
        taken = {"gateway": ("gateway.listen", f"127.0.0.1:{alone.getsockname()[1]}")}
        for shared in (False, True):
            with pytest.raises(Conflict):
                listeners.bind(taken, shared=shared)
        listeners.close(listeners.for_workers({"gateway": alone}, 3))
        with pytest.raises(Conflict):
            listeners.bind({"server": ("server.listen", taken["gateway"][1])}, shared=True)


def test_workers_share_a_unix_socket(tmp_path: Path) -> None:
    bound = listeners.bind({"gateway": ("gateway.listen", f"unix:{tmp_path}/s")})
    made = bound | listeners.for_workers(bound, 3)
    assert list(made) == ["gateway", "gateway.1", "gateway.2"]
    assert len({one.getsockname() for one in made.values()}) == 1
    listeners.close(made)


async def test_workers_end_with_their_gateway(house: House) -> None:
    running = pids(house)
    await house.gateway.stop()
    assert not any(Path(f"/proc/{pid}").exists() for pid in running)


async def test_a_door_for_each_worker(tmp_path: Path) -> None:
    there = doors(1)
    with there["gateway"], pytest.raises(Invalid, match=r"gateway\.listen"):
        async with housed(tmp_path, doors=there, workers=WORKERS):
            pass


def test_a_mirror_says_what_its_source_does(tmp_path: Path) -> None:
    mirror, heard = Mirror(), []

    def tell(session: str, route: object) -> None:
        heard.append(session)
        mirror.put(route) if route is not None else mirror.drop(session)  # type: ignore[arg-type]

    source: RouteTable = Source(tell)
    house = House(tmp_path, None, None, AsyncExitStack())  # type: ignore[arg-type]
    one, two = house.route(), house.route(session="s2", users=["alice", "bob"], user="*", project="q")
    source.add(one)
    source.add(two)
    source.add(house.route(generation=2))
    assert not source.add(one)
    source.expel("p1", "bob")
    source.remove("s2", 5)
    assert {route.session: route for route in mirror.routes()} == {route.session: route for route in source.routes()}
    source.replace([], source.changes)
    assert (len(mirror), mirror.find(b"alice/genome/jupyter", "alice")) == (0, None)
    assert heard[-1] == "s1"


async def test_each_worker_hears_that_somebody_reads_another_language(house: House) -> None:
    """What they have from before tells the old one: it is renewed, whichever worker they come to."""
    await house.bus.publish(LanguageChosen(user="alice", at=now() + 1000))
    page = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}

    async def led_away() -> bool:
        async with house.client("alice", **page) as browser, browser.get(PATH, allow_redirects=False) as answer:
            return answer.headers.get("Location", "").startswith("/.aen/renew")

    await waiting.until(led_away, 10, "a worker has heard of it")
    async with AsyncExitStack() as stack:
        await everywhere(house, stack)  # the other has, too: it was told before it took these connections
        assert all([await led_away() for _ in range(16)])
