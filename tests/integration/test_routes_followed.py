"""A gateway that follows a real server's routes over a bus that loses events: what was missed is fetched, and no more than that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from aen import names
from aen.bus.local import LocalBus
from aen.errors import Unavailable
from aen.messages import Event, ReadRoutes, RouteAdded, RouteRemoved, Routes
from aen.model.route import RevocationKind
from aen.roles.gateway import following as module
from aen.roles.gateway.admission import Doorman, Revoked
from aen.roles.gateway.following import Following
from tests.box import Box, box
from tests.integration.test_gateways_server import _project, _session
from tests.led import Table
from tests.waiting import until


class Lossy(LocalBus):
    """Loses what is told of routes when it is told to, and remembers the answers about them."""

    def __init__(self) -> None:
        super().__init__()
        self.loses = False
        self.answers: list[Routes] = []

    async def publish(self, event: Event) -> None:
        if not (self.loses and isinstance(event, RouteAdded | RouteRemoved)):
            await super().publish(event)

    async def request(self, address: str, command: Any, timeout: float = 10.0) -> Any:
        answer = await super().request(address, command, timeout)
        if isinstance(answer, Routes):
            self.answers.append(answer)
        return answer


class Pair:
    """A server with 400 sessions, and a gateway that follows it."""

    def __init__(self, server: Box, bus: Lossy, folder: Path) -> None:
        self.server, self.bus = server, bus
        doorman = Doorman(bus, Revoked())
        self.led = Table(doorman)
        self.following = Following(bus, "main", self.led, doorman, folder / "state.json")

    @property
    def told(self) -> Any:
        """The server's table."""
        return self.server.domain.sessions.routes

    def fill(self) -> None:
        for number in range(400):
            self.told.put(*_session(f"s{number:04}"), _project(20))

    async def equal(self) -> bool:
        known = {route.session: route for route in self.led.routes.routes()}
        return known == {session: route for session, (_, route) in self.told._routes.items()}


@pytest.fixture
async def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    monkeypatch.setattr(module, "ROUTES_SECONDS", 600.0)  # so that nothing comes by this
    async with AsyncExitStack() as stack:
        bus = Lossy()
        await stack.enter_async_context(bus)
        made = Pair(await stack.enter_async_context(box(tmp_path, bus)), bus, tmp_path)
        made.fill()
        await made.following.start()
        stack.push_async_callback(made.following.stop)
        await until(made.equal, 20, "the gateway knows all routes")
        yield made


async def test_a_gap_brings_what_was_missed_and_nothing_else(pair: Pair) -> None:
    pages = len(pair.bus.answers)
    pair.bus.loses = True
    pair.told.drop("s0007", 1, "main")
    pair.told.put(*_session("s0008", 2), _project(20))
    await until(lambda: _no_events(pair), 20, "these events are lost")
    pair.bus.loses = False
    pair.told.put(*_session("s0009", 2), _project(20))
    await until(pair.equal, 20, "what was missed is known")
    [answer] = pair.bus.answers[pages:]
    assert [gone.session for gone in answer.ended] == ["s0007"]
    assert [route.session for route in answer.routes] == ["s0008", "s0009"]
    assert [route.session for route in pair.led.forgotten] == ["s0007"]


async def test_a_lost_event_that_no_other_follows_is_found_by_asking(pair: Pair) -> None:
    pair.bus.loses = True
    pair.told.drop("s0007", 1, "main")
    await until(lambda: _no_events(pair), 20, "this event is lost")
    assert not await pair.equal()
    await pair.following.read_routes()
    assert await pair.equal()


async def test_after_a_restart_of_the_server_all_is_read_and_what_is_gone_ends(pair: Pair) -> None:
    await pair.server.restart()
    pair.fill()
    pair.told.drop("s0011", 1, "main")
    await pair.following.read_routes()
    await until(pair.equal, 20, "the gateway says what the new server says")
    assert "s0011" in [route.session for route in pair.led.forgotten]
    assert len(pair.led.forgotten) == 1, "whoever is at another session notices nothing"


async def test_who_was_shut_out_by_mistake_comes_in_again(pair: Pair) -> None:
    """The log says that someone left, the route that they are there (again): the server is asked."""
    await pair.server.domain.revocations.add(RevocationKind.MEMBER, "p1 person3")

    async def is_out() -> bool:
        return all("person3" not in route.users for route in pair.led.routes.routes())

    await until(is_out, 20, "the revocation counts")
    await pair.following.read_routes()
    assert await pair.equal()


async def test_a_server_that_has_yet_to_take_in_what_its_nodes_say_does_not_answer(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes (to a bound): else every gateway would forget routes that are there."""
    monkeypatch.setattr(pair.server.domain.nodes, "up", lambda node, _=0: node == "n8")

    async def answers(node: str, seconds: float) -> bool:
        pair.told.wait_for({node})
        pair.told._began -= seconds
        try:
            await pair.bus.request(names.address("server"), ReadRoutes(datacenter="main", known={}))
        except Unavailable:
            return False
        return True

    assert not await answers("n8", 60), "it is heard, and its word waits"
    assert await answers("n8", 600)
    assert not await answers("n9", 5), "it may be heard yet"
    assert await answers("n9", 60)


async def _no_events(pair: Pair) -> bool:
    return not pair.told._events
