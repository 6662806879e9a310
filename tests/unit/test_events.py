"""The hub of live events, and its stream over real HTTP."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import ClientResponse, ClientSession, web

from aen.roles.server import events as module
from aen.roles.server.domain import Domain
from aen.roles.server.events import RESYNC, WAITING, Events, Happened
from aen.service import Service
from tests.unit.test_jobs import Alone
from tests.waiting import until


@pytest.fixture
def hub() -> Events:
    return Events(cast(Domain, SimpleNamespace(company=Alone())))


async def take(events: AsyncIterator[Happened], count: int) -> list[Happened]:
    async with asyncio.timeout(10):
        return [await anext(events) for _ in range(count)]


async def rest(events: AsyncIterator[Happened]) -> list[Happened]:
    """All that comes until the end."""
    async with asyncio.timeout(10):
        return [event async for event in events]


async def test_a_subscriber_hears_its_topics_in_order_from_then_on(hub: Events) -> None:
    hub.publish("project:1", "before", {})
    heard = hub.subscribe(["project:1", "user:ana"])
    other = hub.subscribe(["project:2"])
    hub.publish("project:1", "a", {"n": 1})
    hub.publish("project:2", "b", {"n": 2})
    hub.publish("user:ana", "c", {"n": 3})
    found = await take(heard, 2)
    assert [(event.topic, event.kind, event.data) for event in found] == [
        ("project:1", "a", {"n": 1}),
        ("user:ana", "c", {"n": 3}),
    ]
    assert found[0].number < found[1].number
    assert (await take(other, 1))[0].kind == "b"


async def test_after_close_nothing_is_heard_or_kept(hub: Events) -> None:
    heard = hub.subscribe(["a", "b"])
    heard.close()
    heard.close()
    hub.publish("a", "x", {})
    assert await rest(heard) == []
    assert await rest(heard) == []  # and asking again ends again
    assert hub.health() == {"status": "ok", "topics": 0, "subscribers": 0}


async def test_a_slow_consumer_gets_a_resync_and_the_end_others_are_not_touched(hub: Events) -> None:
    slow, quick = hub.subscribe(["t"]), hub.subscribe(["t"])
    for number in range(WAITING + 5):
        hub.publish("t", "k", {"n": number})
        assert (await take(quick, 1))[0].data == {"n": number}
    assert [event.kind for event in await rest(slow)] == [RESYNC]
    assert hub.health()["subscribers"] == 1


async def test_draining_ends_all_and_refuses_new_ones(hub: Events) -> None:
    heard = hub.subscribe(["t"])
    hub.publish("t", "k", {})
    hub.drain()
    assert [event.kind for event in await rest(heard)] == ["k"]
    assert await rest(hub.subscribe(["t"])) == []


async def test_its_services_end_drains_it(hub: Events) -> None:
    service = Service()
    await hub.begin(service)
    async with service:
        heard = hub.subscribe(["t"])
    assert await rest(heard) == []


class Site:
    """A real HTTP server with one stream."""

    def __init__(self, hub: Events) -> None:
        self.hub = hub
        self.allowed = True
        self.asked = 0
        self.first: list[tuple[str, dict[str, Any]]] = []

    async def handler(self, request: web.Request) -> web.StreamResponse:
        return await self.hub.stream(request, ["t"], self.still_allowed, self.first)

    async def still_allowed(self) -> bool:
        self.asked += 1
        return self.allowed

    async def subscribed(self) -> bool:
        return bool(self.hub.health()["subscribers"])

    async def left(self) -> bool:
        return not self.hub.health()["subscribers"]


@pytest.fixture
async def site(hub: Events) -> AsyncIterator[tuple[Site, str]]:
    made = Site(hub)
    app = web.Application()
    app.router.add_get("/events", made.handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    yield made, f"http://127.0.0.1:{port}/events"
    hub.drain()
    await runner.cleanup()


async def frame(response: ClientResponse) -> dict[str, str]:
    """The next event's fields (a comment under the empty name)."""
    found: dict[str, str] = {}
    async with asyncio.timeout(10):
        while line := (await response.content.readline()).decode().rstrip("\n"):
            name, _, value = line.partition(": ")
            found[name.rstrip(":")] = value
    return found


async def test_the_stream_carries_events_with_ids(hub: Events, site: tuple[Site, str]) -> None:
    made, url = site
    made.first = [("state", {"phase": "STARTING"})]
    async with ClientSession() as client, client.get(url) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-store"
        assert await frame(response) == {"retry": "2000"}
        assert await frame(response) == {"event": "state", "data": '{"phase":"STARTING"}'}
        hub.publish("t", "step", {"text": "two\nlines\r\n\r\nevent: forged", "ü": "ü"})
        sent = await frame(response)
        assert sent["event"] == "step"
        assert int(sent["id"]) > 0
        assert sent["data"].startswith('{"text":"two\\nlines\\r\\n\\r\\nevent: forged"')
        hub.publish("t", "step", {})
        assert int((await frame(response))["id"]) > int(sent["id"])


async def test_who_comes_back_is_told_to_read_the_state_anew(hub: Events, site: tuple[Site, str]) -> None:
    _, url = site
    async with ClientSession() as client, client.get(url, headers={"Last-Event-ID": "7"}) as response:
        await frame(response)
        assert (await frame(response))["event"] == RESYNC


async def test_the_stream_ends_when_the_server_drains(hub: Events, site: tuple[Site, str]) -> None:
    _, url = site
    async with ClientSession() as client, client.get(url) as response:
        await frame(response)
        hub.drain()
        assert await asyncio.wait_for(response.content.read(), 10) == b""


async def test_a_client_that_leaves_is_forgotten(hub: Events, site: tuple[Site, str]) -> None:
    made, url = site
    async with ClientSession() as client:
        response = await client.get(url)
        await until(made.subscribed, 10, "the client is subscribed")
        response.close()

    async def left() -> bool:
        hub.publish("t", "k", {})  # a closed connection is noticed by writing at the latest
        return await made.left()

    await until(left, 10, "the client is forgotten")


async def test_the_stream_beats_and_ends_with_the_login(
    hub: Events, site: tuple[Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.05)
    made, url = site
    async with ClientSession() as client, client.get(url) as response:
        await frame(response)
        assert await frame(response) == {"": "still here"}
        assert made.asked >= 1
        made.allowed = False
        left = await asyncio.wait_for(response.content.read(), 10)
        assert re.findall(rb"event: (\w+)", left) == [b"ended"]  # so that a page goes to the login at once


async def test_a_busy_stream_ends_with_the_login_too(
    hub: Events, site: tuple[Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.2)
    made, url = site
    made.allowed = False
    async with ClientSession() as client, client.get(url) as response:
        await until(made.subscribed, 10, "the client is subscribed")

        async def ended() -> bool:
            hub.publish("t", "k", {})
            return await made.left()

        await until(ended, 10, "the stream ended though events kept coming")
        assert response.status == 200
