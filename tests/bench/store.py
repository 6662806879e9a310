"""SQLite store against aiosqlite (same documents, durability and index), and the MongoDB store against it, side by side."""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import aiosqlite

from aen.model.user import User
from aen.store import SCHEMA, Collection, Doc, Index, Query, Stale, Store
from aen.store.mongo import MongoStore
from aen.store.sqlite import SqliteStore
from tests import standin
from tests.bench.row import Row, percentile

DOCUMENTS = 10_000  # of about 450 bytes, in groups of 20
USERS = 50_000
ROUNDS = 15  # interleaved; the median counts: how long the disk takes to sync changes from second to second
SECONDS = 0.2  # of each measurement
THINGS = Collection("things", (Index("by_group", ("group", "at")),))
GROUPS = DOCUMENTS // 20


class Side(Protocol):
    """One of the two that are compared."""

    async def load(self, docs: list[Doc]) -> None: ...
    async def read(self, id: str) -> None: ...
    async def insert(self, id: str) -> None: ...
    async def add_one(self, id: str) -> None: ...
    async def list(self, group: str) -> None: ...


class Ours:
    """AEN's store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def load(self, docs: list[Doc]) -> None:
        await asyncio.gather(*(self.store.insert("things", doc) for doc in docs))

    async def read(self, id: str) -> None:
        assert await self.store.get("things", id) is not None

    async def insert(self, id: str) -> None:
        await self.store.insert("things", document(id))

    async def add_one(self, id: str) -> None:
        while True:
            doc = await self.store.get("things", id)
            assert doc is not None
            try:
                await self.store.replace("things", {**doc, "n": doc["n"] + 1})
            except Stale:
                continue
            return

    async def list(self, group: str) -> None:
        page = await self.store.find("things", Query(equal=(("group", group),), sort="at", limit=20))
        assert page.items


class Plain:
    """aiosqlite, used as its documentation shows: one connection, each write committed."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self.connection = connection

    async def open(self) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000", "cache_size=-16000"):
            await self.connection.execute(f"PRAGMA {pragma}")
        await self.connection.execute("CREATE TABLE things(id TEXT PRIMARY KEY, rev INTEGER, body TEXT) WITHOUT ROWID")
        await self.connection.execute(
            "CREATE INDEX by_group ON things(json_extract(body,'$.group'), json_extract(body,'$.at'), id)"
        )
        await self.connection.commit()

    async def load(self, docs: list[Doc]) -> None:
        rows = [(doc["id"], 1, json.dumps(doc)) for doc in docs]
        await self.connection.executemany("INSERT INTO things VALUES(?,?,?)", rows)
        await self.connection.commit()

    async def read(self, id: str) -> None:
        assert await self._get(id) is not None

    async def insert(self, id: str) -> None:
        await self.connection.execute("INSERT INTO things VALUES(?,?,?)", (id, 1, json.dumps(document(id))))
        await self.connection.commit()

    async def add_one(self, id: str) -> None:
        while True:
            row = await self._get(id)
            assert row is not None
            doc = json.loads(row[1])
            body = json.dumps({**doc, "n": doc["n"] + 1})
            sql = "UPDATE things SET rev=rev+1, body=? WHERE id=? AND rev=?"
            cursor = await self.connection.execute(sql, (body, id, row[0]))
            await self.connection.commit()
            if cursor.rowcount == 1:
                return

    async def list(self, group: str) -> None:
        sql = "SELECT body FROM things WHERE json_extract(body,'$.group')=? ORDER BY json_extract(body,'$.at'), id LIMIT 20"
        rows = await self.connection.execute_fetchall(sql, (group,))
        assert [json.loads(row[0]) for row in rows]

    async def _get(self, id: str) -> Any:
        async with self.connection.execute("SELECT rev, body FROM things WHERE id=?", (id,)) as cursor:
            row = await cursor.fetchone()
        if row is not None:
            json.loads(row[1])
        return row


def document(id: str) -> Doc:
    """A document of about 450 bytes."""
    number = random.randrange(GROUPS)
    return {"id": id, "group": f"g{number}", "at": number, "n": 0, "title": "x" * 40, "text": "lorem ipsum " * 25}


async def measure() -> AsyncIterator[Row]:
    """All figures, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            SqliteStore(Path(folder) / "ours.db", (THINGS,)) as store,
            aiosqlite.connect(Path(folder) / "plain.db") as connection,
        ):
            ours, plain = Ours(store), Plain(connection)
            await plain.open()
            docs = [{**document(f"d{number}"), "group": f"g{number % GROUPS}"} for number in range(DOCUMENTS)]
            for side in (ours, plain):
                await side.load(docs)
            async for row in _compared(ours, plain):
                yield row
        async for row in _many_users(Path(folder) / "users.db"):
            yield row
    async for row in _beside_mongo():
        yield row


async def _beside_mongo() -> AsyncIterator[Row]:
    """The store on MongoDB beside the store on SQLite. The server is a stand-in unless a real one is named (standin.REAL)."""
    with tempfile.TemporaryDirectory() as folder:
        here, server = Path(folder), "MongoDB" if standin.REAL else standin.STANDIN
        url = standin.real_url(here) if standin.REAL else standin.url_for(here)
        async with SqliteStore(here / "ours.db", (THINGS,)) as store, MongoStore(url, (THINGS,)) as mongo:
            docs = [{**document(f"d{number}"), "group": f"g{number % GROUPS}"} for number in range(DOCUMENTS)]
            sides = (Ours(mongo), Ours(store))
            for side in sides:
                for start in range(0, DOCUMENTS, 500):
                    await side.load(docs[start : start + 500])
            async for row in _compared(*sides, name=f"store on {server} (against SQLite)", aim=""):
                yield row


async def _compared(ours: Side, plain: Side, name: str = "store", aim: str = ">= 1") -> AsyncIterator[Row]:
    for what, act in ACTS.items():
        for concurrency in (1, 20):
            rates: dict[int, list[float]] = {0: [], 1: []}
            tails: dict[int, list[float]] = {0: [], 1: []}
            for round in range(ROUNDS):
                # Whoever goes first changes from round to round: the disk remembers what was written before.
                for which in (0, 1) if round % 2 == 0 else (1, 0):
                    rate, tail = await _rate((ours, plain)[which], act, concurrency)
                    rates[which].append(rate)
                    tails[which].append(tail)
            middle = [statistics.median(rates[which]) for which in (0, 1)]
            yield Row(f"{name}: {what}, {concurrency} at once", middle[0], "/s", middle[1], aim)
            if concurrency > 1:
                late = [statistics.median(tails[which]) for which in (0, 1)]
                yield Row(f"{name}: {what}, {concurrency} at once, p99", late[0], "ms", late[1])


async def _rate(side: Side, act: Callable[[Side], Awaitable[None]], concurrency: int) -> tuple[float, float]:
    """Operations a second, and the 99th percentile in ms."""
    taken: list[float] = []
    begun = time.perf_counter()
    until = begun + SECONDS

    async def work() -> None:
        while (start := time.perf_counter()) < until:
            await act(side)
            taken.append((time.perf_counter() - start) * 1000)

    await asyncio.gather(*(work() for _ in range(concurrency)))
    return len(taken) / (time.perf_counter() - begun), percentile(taken, 0.99)


def _any() -> str:
    return f"d{random.randrange(DOCUMENTS)}"


def _new() -> str:
    return f"n{random.getrandbits(64):x}"


ACTS: dict[str, Callable[[Side], Awaitable[None]]] = {
    "point read": lambda side: side.read(_any()),
    "insert": lambda side: side.insert(_new()),
    "read and compare-and-set": lambda side: side.add_one(_any()),
    "list 20 by index": lambda side: side.list(f"g{random.randrange(GROUPS)}"),
}


async def _many_users(path: Path) -> AsyncIterator[Row]:
    """What a page of a site with very many users asks."""
    async with SqliteStore(path, SCHEMA) as store:
        begun = time.perf_counter()
        for start in range(0, USERS, 1000):
            await asyncio.gather(*(store.insert("users", _user(number)) for number in range(start, start + 1000)))
        yield Row(f"store: load {USERS} users", USERS / (time.perf_counter() - begun), "/s")
        questions: dict[str, Callable[[], Awaitable[Any]]] = {
            "count all": lambda: store.count("users"),
            "count who is no administrator": lambda: store.count("users", (("admin", False),)),
            "first page by last login": lambda: store.find(
                "users", Query(sort="last_login", descending=True, limit=50)
            ),
            "page by prefix of the name": lambda: store.find(
                "users", Query(sort="id", prefix=("id", "u012"), limit=50)
            ),
            "search of a word": lambda: store.search("users", "person4711"),
            "search of an unfinished word that 11,111 have": lambda: store.search("users", "person1", limit=50),
        }
        for name, ask in questions.items():
            taken = []
            for _ in range(30):
                start_at = time.perf_counter()
                await ask()
                taken.append((time.perf_counter() - start_at) * 1000)
            yield Row(f"store: {USERS} users: {name}, p50", statistics.median(taken), "ms")
    begun = time.perf_counter()
    async with SqliteStore(path, SCHEMA):
        yield Row(f"store: open with {USERS} users", (time.perf_counter() - begun) * 1000, "ms")


def _user(number: int) -> Doc:
    name = f"u{number:05}"
    user = User(
        id=name,
        incarnation="x",
        full_name=f"Person {number}",
        email=f"{name}@example.org",
        admin=number % 1000 == 0,
        last_login=number * 7919 % USERS,
        search=f"{name} person{number} {name}@example.org",
    )
    return user.model_dump(mode="json")
