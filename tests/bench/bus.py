"""The bus: question and answer, and events; in one process, over NATS, over hub and leaf with TLS and keys, beside bare nats-py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

from nats.aio.client import Client
from nats.aio.msg import Msg

from aen.bus import Bus
from aen.bus.local import LocalBus
from aen.messages import Done, Revoked, StopSession
from aen.model import Word
from aen.model.route import Revocation, RevocationKind
from tests.bench.row import Row
from tests.brokers import node_bus, plain_broker, reachable, site
from tests.waiting import until

ROUNDS, REQUESTS, EVENTS = 3, 3_000, 5_000
AT = "compute.n-paris"
Ask = Callable[[], Awaitable[object]]


async def measure() -> AsyncIterator[Row]:
    """Requests per second, 20 at a time, and one alone; events per second to one who hears; rounds taken in turn."""
    async with AsyncExitStack() as stack:
        local = await stack.enter_async_context(LocalBus())
        broker = await stack.enter_async_context(plain_broker())
        plain = await stack.enter_async_context(node_bus(broker.url, "server", node="s1"))
        near = node_bus(broker.url, "gateway", "compute", node="n-paris")
        await stack.enter_async_context(near)
        made = await stack.enter_async_context(site("paris"))
        brokers = await stack.enter_async_context(made.brokers())
        server, far = made.bus("s1", brokers["s1"]), made.bus("n-paris")
        gateway = made.bus("g-paris", brokers["g-paris"])
        for bus in (server, far, gateway):
            await stack.enter_async_context(bus)
        await reachable(server, far)
        for answering in (local, near, far):
            answering.respond(AT, StopSession, _done)
        await near.settled()
        await until(lambda: _fine(server), 20, "the node behind the leaf can be asked")
        bare = await _bare(broker.url, stack)
        ways: dict[str, Ask] = {
            "bare nats-py": lambda: bare.request("bench", b"x" * 80, 10),
            "local": lambda: local.request(AT, StopSession(session="s")),
            "NATS": lambda: plain.request(AT, StopSession(session="s")),
            "hub, leaf, TLS, keys": lambda: server.request(AT, StopSession(session="s")),
        }
        for at_once in (1, 20):
            rates = await _in_turn({name: lambda ask=ask: _asked(ask, at_once) for name, ask in ways.items()})  # type: ignore[misc]  # noqa: B023
            for name, rate in rates.items():
                against = None if name == "bare nats-py" else rates["bare nats-py"]
                yield Row(f"requests, {at_once} at a time, {name}", rate, "/s", against)
        pairs: dict[str, tuple[Bus, Bus]] = {
            "local": (local, local),
            "NATS": (plain, near),
            "hub, leaf, TLS, keys": (server, gateway),
        }
        rates = await _in_turn({name: lambda pair=pair: _told(*pair) for name, pair in pairs.items()})  # type: ignore[misc]
        for name, rate in rates.items():
            yield Row(f"events, {name}", rate, "/s")


async def _bare(url: str, stack: AsyncExitStack) -> Client:
    """Two bare connections: one answers what the other asks."""
    answering, asking = Client(), Client()
    for client in (answering, asking):
        await client.connect(url)
        stack.push_async_callback(client.close)

    async def answer(message: Msg) -> None:
        await message.respond(b"x" * 20)

    await answering.subscribe("bench", cb=answer)
    await answering.flush()
    await answering.flush()
    return asking


async def _in_turn(ways: dict[str, Callable[[], Awaitable[float]]]) -> dict[str, float]:
    """The best of ROUNDS for each, taken in turn: what else the machine does then hits all of them alike."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            found[name].append(await way())
    return {name: max(rates) for name, rates in found.items()}


async def _asked(ask: Ask, at_once: int) -> float:
    left = REQUESTS if at_once > 1 else REQUESTS // 5
    count, began = left, time.perf_counter()

    async def some() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await ask()

    await asyncio.gather(*(some() for _ in range(at_once)))
    return count / (time.perf_counter() - began)


async def _told(teller: Bus, hearer: Bus) -> float:
    heard, all_heard = 0, asyncio.Event()

    async def hear(event: Revoked) -> None:
        nonlocal heard
        heard += event.revocation.number > 0
        if heard >= EVENTS:
            all_heard.set()

    async def first() -> bool:
        await teller.publish(_event(0))
        return seen.is_set()

    seen = asyncio.Event()

    async def look(event: Revoked) -> None:
        seen.set()

    subscriptions = [hearer.subscribe(Revoked, hear), hearer.subscribe(Revoked, look)]
    await until(first, 20, "events arrive")
    began = time.perf_counter()
    for number in range(1, EVENTS + 1):
        await teller.publish(_event(number))
        if number % 500 == 0:
            await asyncio.sleep(0)  # a burst of all would be more than any subscriber keeps
    await asyncio.wait_for(all_heard.wait(), 60)
    rate = EVENTS / (time.perf_counter() - began)
    for subscription in subscriptions:
        subscription.cancel()
    return rate


async def _done(command: StopSession) -> Word:
    return Done()


async def _fine(bus: Bus) -> bool:
    try:
        await bus.request(AT, StopSession(session="s"), 1)
    except Exception:
        return False
    return True


def _event(number: int) -> Revoked:
    return Revoked(revocation=Revocation(number=number, kind=RevocationKind.LOGIN, subject="x", at=0))
