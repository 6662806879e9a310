"""A whole installation moves between SQLite and MongoDB (a stand-in) and back, and nothing is half-moved unnoticed."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from aen.errors import Conflict, Unavailable
from aen.store import SCHEMA, Doc, Store
from aen.store.mongo import MongoStore
from aen.store.moving import UNFINISHED, content, copy, refuse_unfinished
from aen.store.sqlite import SqliteStore
from tests import standin


async def _fill(store: Store) -> None:
    """Some documents in every collection, of several revs."""
    chance = random.Random(7)
    for collection in SCHEMA:
        for number in range(chance.randint(3, 9)):
            doc: Doc = {"id": f"{collection.name}{number}", "text": "ü𝄞\0", "deep": [1.5, {"a": [None, True]}]}
            doc |= {
                field: f"{field} {number}" for index in collection.indexes if index.unique for field in index.fields
            }
            stored = await store.insert(collection.name, doc)
            for _ in range(chance.randint(0, 2)):
                stored = await store.replace(collection.name, {**stored, "n": chance.random()})
    await asyncio.gather(*(store.insert("activity", {"id": f"a{number:05}", "at": number}) for number in range(1200)))


async def _contents(store: Store) -> list[Any]:
    return [await content(store, collection.name) for collection in SCHEMA]


def _quiet(text: str) -> None:
    assert text


async def test_an_installation_goes_to_mongodb_and_back(tmp_path: Path) -> None:
    told: list[str] = []
    async with SqliteStore(tmp_path / "first.db") as first, MongoStore(standin.url_for(tmp_path)) as second:
        await _fill(first)
        copied = await copy(first, second, told.append)
        assert copied == await _contents(first) == await _contents(second)
        assert sum(one.count for one in copied) > 1200
        assert any(text.startswith("activity: 500 of 12") for text in told)
        assert await second.check() == []
        await refuse_unfinished(second)
        async with SqliteStore(tmp_path / "third.db") as third:
            assert await copy(second, third, _quiet) == copied
            assert await third.check() == []
            assert await third.get("activity", "a00007") == {"id": "a00007", "at": 7, "rev": 1}


async def test_what_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "first.db") as first, MongoStore(standin.url_for(tmp_path)) as second:
        await first.insert("settings", {"id": "mine"})
        await second.insert("users", {"id": "theirs"})
        with pytest.raises(Conflict, match=r"not empty.*users"):
            await copy(first, second, _quiet)
        assert await second.get("settings", "mine") is None


async def test_a_store_in_use_is_not_copied(tmp_path: Path) -> None:
    url = standin.url_for(tmp_path)
    async with SqliteStore(tmp_path / "first.db") as first, MongoStore(url) as second, MongoStore(url):
        for one, other in ((first, second), (second, first)):
            with pytest.raises(Conflict, match=r"in use by .*process"):
                await copy(one, other, _quiet)


async def test_an_interrupted_copy_is_refused_and_goes_on(tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def stop(text: str) -> None:
        if text.startswith("activity: 1000"):
            raise Enough

    async with SqliteStore(tmp_path / "first.db") as first, MongoStore(standin.url_for(tmp_path)) as second:
        await _fill(first)
        with pytest.raises(Enough):
            await copy(first, second, stop)
        assert await second.count("activity") == 1000
        with pytest.raises(Unavailable, match="not finished"):
            await refuse_unfinished(second)
        with pytest.raises(Unavailable, match="not finished"):
            await copy(second, first, _quiet)
        # The source goes on before somebody begins again: a change, a removal, something new.
        changed = await first.get("activity", "a00001")
        assert changed is not None
        await first.replace("activity", {**changed, "at": -1})
        await first.delete("activity", "a00002")
        await first.insert("users", {"id": "new"})
        assert await copy(first, second, _quiet) == await _contents(second)
        assert await second.get("activity", "a00002") is None
        assert await second.get("settings", UNFINISHED) is None


async def test_a_source_that_changes_meanwhile_is_told(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "first.db") as first, MongoStore(standin.url_for(tmp_path)) as second:
        await _fill(first)
        writes: list[asyncio.Task[Doc]] = []

        def write(text: str) -> None:
            if text.startswith("activity: 1000"):
                writes.append(asyncio.create_task(first.insert("users", {"id": "late"})))

        with pytest.raises(Conflict, match=r"users: the copy.*changed meanwhile"):
            await copy(first, second, write)
        await asyncio.gather(*writes)
        await copy(first, second, _quiet)
