"""A login storm: 10 people sign in each second for a minute, whatever the answers take; the KDF works in threads.

Each by the form, as a browser of its own, and opens the home page. The server is the real program, on this machine's
processors; so are those who sign in.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from aen.logins.local import hashed
from aen.store.sqlite import SqliteStore
from tests.bench.row import Row, percentile
from tests.bench.server import AS_SHIPPED, hand_over, make_user
from tests.bench.topology import cpu_of
from tests.served import PASSWORD
from tests.world import World

RATE = 10.0  # people each second
SECONDS = float(os.environ.get("AEN_BENCH_SECONDS", "60"))
_PEOPLE = 100  # they come again: a login is one of many of the same person


async def measure() -> AsyncIterator[Row]:
    """Row after row."""
    world = World(options=AS_SHIPPED)
    await _fill(Path(world.config["data_dir"]))
    with world:
        assert world.process is not None
        await asyncio.to_thread(world.health)
        begun, cpu = time.monotonic(), cpu_of(world.process.pid)
        waits, pages, statuses = await _storm(world)
        busy = (cpu_of(world.process.pid) - cpu) / (time.monotonic() - begun)
    count = sum(statuses.values())
    yield Row(f"{count} people in {SECONDS:g} s: signing in, p50", percentile(waits, 0.5), "s")
    yield Row(f"{count} people in {SECONDS:g} s: signing in, p95", percentile(waits, 0.95), "s", None, "<= 1")
    yield Row(f"{count} people in {SECONDS:g} s: signing in, longest", max(waits), "s")
    yield Row("the home page after it, p95", percentile(pages, 0.95), "s")
    yield Row("answers that were no sign-in", float(count - statuses[303]), "", None, "<= 0")
    yield Row("processor of the server", busy * 100, "%")


async def _fill(data: Path) -> None:
    data.mkdir(parents=True)
    password = await hashed(PASSWORD)
    async with SqliteStore(data / "aen.db") as store:
        await asyncio.gather(*(store.insert("users", make_user(number, password)) for number in range(_PEOPLE)))
    hand_over(data)


async def _storm(world: World) -> tuple[list[float], list[float], Counter[int]]:
    """They come by the clock, and wait for nobody: seconds of signing in and of the page, and what was answered."""
    waits: list[float] = []
    pages: list[float] = []
    statuses: Counter[int] = Counter()
    coming: list[asyncio.Task[None]] = []
    begun = time.monotonic()
    for number in range(round(RATE * SECONDS)):
        await asyncio.sleep(begun + number / RATE - time.monotonic())
        coming.append(asyncio.create_task(_comes(world.server, number % _PEOPLE, waits, pages, statuses)))
    await asyncio.gather(*coming)
    return waits, pages, statuses


async def _comes(server: str, number: int, waits: list[float], pages: list[float], statuses: Counter[int]) -> None:
    headers = {"Origin": server, "Accept": "text/html"}
    form: dict[str, Any] = {"name": f"u{number:05}", "password": PASSWORD}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers=headers) as http:
        begun = time.monotonic()
        async with http.post(f"{server}/login", data=form, allow_redirects=False) as answer:
            await answer.read()
            statuses[answer.status] += 1
        waits.append(time.monotonic() - begun)
        begun = time.monotonic()
        async with http.get(f"{server}/") as answer:
            await answer.read()
        pages.append(time.monotonic() - begun)
