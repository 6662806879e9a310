"""Random operations on every engine, compared one by one with a model in memory (store_model.py)."""

from __future__ import annotations

import dataclasses
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aen.errors import AenError
from aen.store import Doc, Query, Store
from tests.contract.conftest import Engine
from tests.contract.store_model import ModelStore
from tests.contract.store_schema import SCHEMA

OPERATIONS = 2_000  # for each seed
SEEDS = [int(seed) for seed in os.environ.get("AEN_TEST_SEEDS", "1 2 3").split()]

IDS = [f"id{number}" for number in range(40)] + ["ü", "Z", "a b", "id1x"]
NAMES = [*(f"n{number}" for number in range(30)), "N1", "ñ", "n1\U0010ffff", "n%"]
SCALARS: list[Any] = [None, 0, 1, 2, 3, -5, 2**53 - 1, "", "a", "b", "ab", "1", "ü", True, False]
WORDS = "alpha beta betas gamma delta al be gam zeta".split()


class Run:
    """One seed's run: what is asked of the engine is asked of the model, and the answers compared."""

    def __init__(self, seed: int, store: Store) -> None:
        self.random = random.Random(seed)
        self.store = store
        self.model = ModelStore(SCHEMA)
        self.log: list[str] = []
        self.asked: list[Query] = []

    async def step(self) -> None:
        acts = [
            self.insert,
            self.replace,
            self.delete,
            self.get,
            self.find,
            self.find,
            self.pages,
            self.count,
            self.search,
        ]
        await self.random.choice(acts)()

    async def insert(self) -> None:
        doc = self.doc(self.random.choice(IDS))
        await self.both(
            "insert", lambda: self.store.insert("things", doc), lambda: self.model.insert("things", doc), doc
        )

    async def replace(self) -> None:
        id = self.random.choice(IDS)
        stored = self.model.docs["things"].get(id, {"rev": 1})
        doc = {**self.doc(id), "rev": stored["rev"] if self.random.random() < 0.8 else self.random.randint(0, 9)}
        await self.both(
            "replace", lambda: self.store.replace("things", doc), lambda: self.model.replace("things", doc), doc
        )

    async def delete(self) -> None:
        id, rev = self.random.choice(IDS), self.random.choice([None, None, 1, 2, 3])
        await self.both(
            "delete",
            lambda: self.store.delete("things", id, rev),
            lambda: self.model.delete("things", id, rev),
            (id, rev),
        )

    async def get(self) -> None:
        some = self.random.sample(IDS, 5)
        have = self.model.docs["things"]
        expected = [have[id] for id in some if id in have]
        shared = self.random.random() < 0.5
        assert await self.store.get_many("things", some, shared=shared) == expected, self.log[-20:]
        assert await self.store.get("things", some[0]) == have.get(some[0]), self.log[-20:]

    async def find(self) -> None:
        query = dataclasses.replace(self.query(), shared=self.random.random() < 0.5)
        if self.asked and self.random.random() < 0.5:  # again what was asked before: an engine may know the answer
            query = self.random.choice(self.asked)
        self.asked = [*self.asked[-9:], query]
        expected = self.model.find("things", query)
        page = await self.store.find("things", query)
        assert page.items == expected[: query.limit], (query, self.log[-20:])
        assert bool(page.next) == (len(expected) > query.limit), (query, self.log[-20:])

    async def pages(self) -> None:
        query = dataclasses.replace(self.query(), limit=self.random.choice([1, 2, 5, 13]))
        found: list[Doc] = []
        while True:
            query = dataclasses.replace(query, shared=self.random.random() < 0.5)  # a cursor is the same for both
            page = await self.store.find("things", query)
            found += page.items
            if not page.next:
                break
            query = dataclasses.replace(query, cursor=page.next)
        assert found == self.model.find("things", query), (query, self.log[-20:])

    async def count(self) -> None:
        equal = self.query().equal
        assert await self.store.count("things", equal) == self.model.count("things", equal), (equal, self.log[-20:])

    async def search(self) -> None:
        words = " ".join(self.random.choices(WORDS, k=self.random.randint(1, 3)))
        visible_to = self.random.choice([None, ("tags", "a"), ("owners", 1), ("flag", True), ("color", "b")])
        found = [doc["id"] for doc in await self.store.search("things", words, visible_to, limit=1000)]
        assert len(set(found)) == len(found)
        assert set(found) == self.model.search("things", words, visible_to), (words, visible_to, self.log[-20:])

    async def both(self, act: str, real: Callable[[], Awaitable[Any]], model: Callable[[], Any], what: Any) -> None:
        self.log.append(f"{act} {what}")
        expected: Any
        try:
            expected = model()
        except AenError as error:
            expected = (type(error), getattr(error, "index", ""))
        try:
            got = await real()
        except AenError as error:
            got = (type(error), getattr(error, "index", ""))
        assert got == expected, self.log[-20:]

    def doc(self, id: str) -> Doc:
        pick = self.random.choice
        some: dict[str, Any] = {
            "size": pick(SCALARS),
            "flag": pick(SCALARS),
            "room": pick(SCALARS),
            "shelf": pick(SCALARS),
            "color": pick([None, "", "a", "ab", "b", "B"]),
            "tags": pick([None, []]) if self.random.random() < 0.2 else self.random.choices(SCALARS, k=3),
            "owners": self.random.sample(SCALARS, self.random.randint(0, 4)),
            "about": " ".join(self.random.choices(WORDS, k=self.random.randint(0, 4))),
            "more": pick([None, "", "zeta", "alphabet"]),
            "body": {"list": [pick(SCALARS)], "float": self.random.random()},
        }
        kept = {field: value for field, value in some.items() if self.random.random() < 0.8}
        return {"id": id, "name": pick(NAMES) if self.random.random() < 0.5 else f"name {id}", **kept}

    def query(self) -> Query:
        pick = self.random.choice
        equal, sort = pick(
            [
                ((), "id"),
                ((), "size"),
                ((), "name"),
                ((), "color"),
                ((), "flag"),
                ((("size", pick(SCALARS)),), "size"),
                ((("name", pick(NAMES)),), "id"),
                ((("color", pick([None, "a", "b", "x"])),), "size"),
                ((("color", pick([None, "a", "b"])),), "id"),
                ((("flag", pick(SCALARS)),), "id"),
                ((("shelf", pick(SCALARS)), ("room", pick(SCALARS))), "size"),
                ((("room", pick(SCALARS)),), "id"),
                ((("tags", pick(SCALARS)),), "size"),
                ((("tags", pick(SCALARS)), ("size", pick(SCALARS))), "id"),
                ((("owners", pick(SCALARS)),), "id"),
            ]
        )
        low = high = prefix = None
        if not equal and sort in ("id", "name", "color") and self.random.random() < 0.4:
            prefix = (sort, pick(["", "n", "n1", "id", "id1", "a", "ü"]))
        elif sort not in dict(equal) and self.random.random() < 0.4:
            low, high = self.ends(sort)
        return Query(equal, low, high, prefix, sort, pick([False, True]), pick([1, 3, 10, 100]))

    def ends(self, sort: str) -> tuple[Any, Any]:
        texts = sort in ("id", "name", "color") or self.random.random() < 0.5
        ends: list[Any] = [None, "", "a", "b", "id3", "n2"] if texts else [None, -5, 0, 1, 2, 3]
        return self.random.choice(ends), self.random.choice(ends)


@pytest.mark.parametrize("seed", SEEDS)
async def test_random_operations_agree_with_the_model(engine: Engine, tmp_path: Path, seed: int) -> None:
    async with engine(tmp_path, SCHEMA) as store:
        run = Run(seed, store)
        for _ in range(OPERATIONS):
            await run.step()
        assert await store.check() == []
    async with engine(tmp_path, SCHEMA) as store:  # and once more from what is on disk
        run.store = store
        for _ in range(200):
            await run.step()
        assert await store.check() == []
        assert await store.count("things") == len(run.model.docs["things"]) > 5
