"""MongoDB is killed, hangs and drops connections under writers: nothing that was answered is lost, and all goes on by itself.

It runs on the stand-in nx-27017, which syncs every write that asks for it (j=true), so a kill loses nothing it answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aen.errors import TimedOut, Unavailable
from aen.store import Collection, Index, Query, Stale
from aen.store.mongo import MongoStore
from tests.standin import Standin
from tests.waiting import until

THINGS = (Collection("things", (Index("by_writer", ("writer", "number")),)),)
WRITERS = 8
KILLS = 3
SECONDS = 60


@pytest.fixture
async def standin(tmp_path: Path) -> AsyncIterator[Standin]:
    own = Standin(tmp_path).start()
    yield own
    await asyncio.to_thread(own.stop)


class Writer:
    """Inserts and replaces until it is told to stop, and knows what it was answered."""

    def __init__(self, store: MongoStore, name: str) -> None:
        self.store, self.name = store, name
        self.answered: dict[str, int] = {}  # id → rev
        self.unknown: set[str] = set()
        self.refused = 0
        self.stopping = False

    async def run(self) -> None:
        number = 0
        while not self.stopping:
            number += 1
            id = f"{self.name}-{number}"
            try:
                doc = await self.store.insert("things", {"id": id, "writer": self.name, "number": number})
                self.answered[id] = 1
                await self.store.replace("things", doc)
                self.answered[id] = 2
            except Unavailable:
                self.refused += 1
                await asyncio.sleep(0.02)
            except TimedOut:
                self.unknown.add(id)


async def test_no_answered_write_is_lost_when_it_is_killed_and_started_again(standin: Standin) -> None:
    async with MongoStore(f"{standin.url}/aen", THINGS) as store:
        writers = [Writer(store, f"w{number}") for number in range(WRITERS)]
        running = [asyncio.create_task(writer.run()) for writer in writers]

        def answers() -> int:
            return sum(len(writer.answered) for writer in writers)

        for _ in range(KILLS):
            before = answers()

            async def went_on(before: int = before) -> bool:
                return answers() > before + 20 * WRITERS

            await until(went_on, SECONDS, "the writers go on")
            await asyncio.to_thread(standin.kill)
            await asyncio.to_thread(standin.start)
        before = answers()
        await until(went_on, SECONDS, "the writers go on after the last kill")
        for writer in writers:
            writer.stopping = True
        await asyncio.gather(*running)  # nobody was told Duplicate or Stale of their own write
        assert store.health()["status"] == "ok"
        for writer in writers:
            page = await store.find("things", Query((("writer", writer.name),), sort="number", limit=10_000))
            stored = {doc["id"]: doc["rev"] for doc in page.items}
            assert [
                id for id, rev in writer.answered.items() if stored.get(id, 0) < rev and id not in writer.unknown
            ] == []
        assert await store.check() == []


async def test_while_it_is_down_everybody_is_told_and_it_repairs_itself(standin: Standin) -> None:
    async with MongoStore(f"{standin.url}/aen?serverSelectionTimeoutMS=200", THINGS) as store:
        await store.insert("things", {"id": "before"})
        await asyncio.to_thread(standin.kill)
        with pytest.raises(Unavailable, match="does not answer right now"):
            await store.get("things", "before")
        with pytest.raises(Unavailable, match="does not answer right now"):
            await store.insert("things", {"id": "during"})
        assert store.health()["status"] == "degraded"
        await asyncio.to_thread(standin.start)

        async def back() -> bool:
            return bool(store.health()["status"] == "ok")

        await until(back, SECONDS, "the store is found again")
        assert await store.get("things", "before") == {"id": "before", "rev": 1}
        assert await store.get("things", "during") is None  # told as not done, and it was not


async def test_a_server_that_hangs_delays_writes_but_loses_none(standin: Standin) -> None:
    async with MongoStore(f"{standin.url}/aen?socketTimeoutMS=300", THINGS) as store:
        doc = await store.insert("things", {"id": "counter", "n": 0})
        standin.pause()
        write = asyncio.create_task(store.replace("things", {**doc, "n": 1}))
        with pytest.raises(Unavailable):
            await store.get("things", "counter")  # timed out, and said so
        standin.go_on()
        assert await write == {"id": "counter", "n": 1, "rev": 2}
        assert await store.get("things", "counter") == {"id": "counter", "n": 1, "rev": 2}


async def test_a_connection_dropped_in_the_midst_of_a_write_does_it_once(standin: Standin) -> None:
    async with _dropping(standin.port) as (port, drop), MongoStore(f"mongodb://127.0.0.1:{port}/aen", THINGS) as store:
        doc = await store.insert("things", {"id": "counter", "n": 0})
        for number in range(1, 6):
            drop.set()  # the next answer to a write is swallowed, and its connection closed
            doc = await store.replace("things", {**doc, "n": number})
            assert not drop.is_set(), "nothing was dropped"
            assert doc == {"id": "counter", "n": number, "rev": number + 1}
            with pytest.raises(Stale):
                await store.replace("things", {**doc, "rev": number})
        drop.set()
        assert (await store.insert("things", {"id": "new"}))["rev"] == 1
        assert not drop.is_set(), "nothing was dropped"


@contextlib.asynccontextmanager
async def _dropping(target: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A way to the server that, once told to, lets one write through, swallows its answer and closes the connection."""
    drop = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        tasks.add(own)
        back, there = await asyncio.open_connection("127.0.0.1", target)
        swallow = asyncio.Event()
        sending = asyncio.create_task(_onwards(reader, there, drop, swallow))
        try:
            while data := await back.read(65536):
                if swallow.is_set():
                    drop.clear()
                    return
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            return
        finally:
            sending.cancel()
            for end in (there, writer):
                end.close()
            await asyncio.gather(sending, there.wait_closed(), writer.wait_closed(), return_exceptions=True)

    server: Any = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], drop
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _onwards(
    reader: asyncio.StreamReader, there: asyncio.StreamWriter, drop: asyncio.Event, swallow: asyncio.Event
) -> None:
    while data := await reader.read(65536):
        if drop.is_set() and (b"\x02update\0" in data or b"\x02insert\0" in data):
            swallow.set()
        there.write(data)
        await there.drain()
