"""What only the MongoDB store has: recognised, upgraded and shared databases, and writes whose answer was lost.

It runs on the stand-in nx-27017 (tests/standin.py); the contract suite also on a real MongoDB, where one is named.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import errors

from aen.errors import Conflict, Invalid, Unavailable
from aen.store import SCHEMA, Collection, Duplicate, Index, Query, Stale
from aen.store.mongo import MongoStore
from aen.store.mongo_layout import Layout, key_of, words_of
from aen.store.mongo_link import Unknown
from aen.store.mongo_write import adding, deleting, replacing
from aen.store.open import open_store
from tests import standin
from tests.contract.store_model import order
from tests.ports import free_port

THINGS = Collection("things", (Index("by_name", ("name",), unique=True), Index("by_tag", ("tags", "id"), array=True)))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Any]:
    """The test's database, as the driver has it."""
    client: Any = AsyncIOMotorClient(standin.url_for(tmp_path), io_loop=asyncio.get_running_loop())
    yield client.get_default_database()
    client.close()


def test_a_real_mongodb_was_tried() -> None:
    if not standin.REAL:
        pytest.skip(
            f"AEN_TEST_MONGODB_URI names no real MongoDB: the store was tried on the {standin.STANDIN} only (wire protocol, not semantics)"
        )
    assert standin.REAL.startswith("mongodb")


def test_open_store_finds_it_by_its_url() -> None:
    for url in ("mongodb://a:b@h1:27017,h2/aen?replicaSet=rs0", "mongodb+srv://u:p@cluster.example.org/aen"):
        assert isinstance(open_store(url), MongoStore)
    assert isinstance(open_store("mongodb://u:secret@h/aen"), MongoStore)
    assert MongoStore("mongodb://u:secret@h:1,i:2/aen").where == "h:1,i:2"


@pytest.mark.parametrize(
    "url", ["mongodb://", "mongodb://u:sec@ret@h/aen", "mongodb://h:0/aen", "mongodb://h/a?w=x&tls=5"]
)
async def test_an_address_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(Invalid, match=r"store\.url") as caught:
        await open_store(url).__aenter__()
    assert "ret" not in caught.value.message


async def test_a_server_that_is_not_there_is_told_with_what_to_do() -> None:
    url = f"mongodb://u:secret@127.0.0.1:{free_port()}/aen?serverSelectionTimeoutMS=50"
    with pytest.raises(Unavailable, match=r"store\.url.*does not answer.*systemctl") as caught:
        await MongoStore(url, (THINGS,), start_seconds=0.1).__aenter__()
    assert "secret" not in caught.value.message


async def test_a_server_that_comes_late_is_waited_for(tmp_path: Path) -> None:
    late = standin.Standin(tmp_path)
    opening = asyncio.create_task(MongoStore(f"{late.url}/aen?serverSelectionTimeoutMS=1000", (THINGS,)).__aenter__())
    await asyncio.sleep(0)
    try:
        await asyncio.to_thread(late.start)
        store = await opening
        assert await store.count("things") == 0
        await store.__aexit__()
    finally:
        late.stop()


async def test_another_programs_database_is_told_and_left_alone(database: Any, tmp_path: Path) -> None:
    await database["users"].insert_one({"_id": 1, "name": "x"})
    with pytest.raises(Invalid, match=r"store\.url.*holds other data"):
        await MongoStore(standin.url_for(tmp_path)).__aenter__()
    assert await database.list_collection_names() == ["users"]


async def test_a_newer_format_is_told(database: Any, tmp_path: Path) -> None:
    async with MongoStore(standin.url_for(tmp_path), (THINGS,)):
        pass
    await database["aen_store"].replace_one({"_id": "format"}, {"_id": "format", "application": "AEN1", "format": 99})
    with pytest.raises(Invalid, match=r"store\.url.*newer"):
        await MongoStore(standin.url_for(tmp_path), (THINGS,)).__aenter__()


async def test_indexes_follow_their_declaration(tmp_path: Path) -> None:
    url = standin.url_for(tmp_path)
    async with MongoStore(url, (Collection("things", (Index("by_a", ("a",)),), text=("a",)),)) as store:
        for number in range(5):
            await store.insert("things", {"id": f"t{number}", "a": f"w{number}", "b": ["x", number], "c": "word"})
    indexes = (Index("by_b", ("b", "a"), array=True), Index("by_c", ("a",), unique=True))
    changed = Collection("things", indexes, text=("c",))
    async with MongoStore(url, (changed,)) as store:
        assert any("5 documents" in line for line in store.done)
        assert await store.count("things", (("b", "x"),)) == 5
        assert await store.count("things", (("b", 3),)) == 1
        assert len(await store.search("things", "word")) == 5
        assert await store.search("things", "w1") == []
        assert ((await store.get("things", "t1")) or {})["rev"] == 1
        with pytest.raises(Duplicate):
            await store.insert("things", {"id": "x", "a": "w1"})
        assert await store.check() == []
    with pytest.raises(Invalid, match=r"store\.url.*unique"):
        await MongoStore(url, (Collection("things", (Index("by_c", ("c",), unique=True),)),)).__aenter__()
    async with MongoStore(url, (changed,)) as store:
        assert await store.check() == []
    async with MongoStore(url, (changed,)) as store:
        assert store.done == []


async def test_check_names_what_does_not_fit(database: Any, tmp_path: Path) -> None:
    async with MongoStore(standin.url_for(tmp_path), (THINGS,)) as store:
        for id in ("a", "b"):
            await store.insert("things", {"id": id, "name": id, "tags": ["x"]})
        stored = await database["things"].find_one({"_id": "a"})
        await database["things"].replace_one({"_id": "a"}, {**stored, "k_tags": []})
        stored = await database["things"].find_one({"_id": "b"})
        await database["things"].replace_one({"_id": "b"}, {**stored, "doc": {"id": "other", "rev": 1}})
        found = await store.check()
    assert len(found) == 2
    assert any("'a'" in sentence and "found by" in sentence for sentence in found)
    assert any("'b'" in sentence and "damaged" in sentence for sentence in found)


async def test_who_else_has_it_open_is_known(tmp_path: Path) -> None:
    url = standin.url_for(tmp_path)
    async with MongoStore(url, (THINGS,)) as first:
        assert await first.others() == []
        async with MongoStore(url, (THINGS,)):
            (other,) = await first.others()
            assert "process" in other
        assert await first.others() == []


async def test_two_that_open_it_at_once_agree(tmp_path: Path) -> None:
    url = standin.url_for(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        opening = [stack.enter_async_context(MongoStore(url, SCHEMA)) for _ in range(2)]
        first, second = await asyncio.gather(*opening)
        await first.insert("users", {"id": "u1", "email": "a"})
        for number in range(3):
            await second.insert("settings", {"id": f"s{number}"})
        assert await second.get("users", "u1") == {"id": "u1", "email": "a", "rev": 1}
        page = await first.find("settings", Query(limit=2))
        assert [doc["id"] for doc in (await second.find("settings", Query(limit=2, cursor=page.next))).items] == ["s2"]


def test_keys_have_the_order_of_values() -> None:
    values: list[Any] = [
        None,
        -(2**53) + 1,
        -5,
        -1,
        0,
        1,
        2,
        10,
        2**53 - 1,
        "",
        "0",
        "A",
        "a",
        "ab",
        "é",
        "\ue000",
        "𝄞",
        False,
        True,
    ]
    assert sorted(values, key=order) == values
    keys = [key_of(value).encode() for value in values]
    assert sorted(keys) == keys
    assert len(set(keys)) == len(keys)


def test_words_are_without_case_and_accents() -> None:
    assert words_of("Génome_Project, v1.2\nÅNA's 日本") == ["genome", "project", "v1", "2", "ana", "s", "日本"]


# ── a write whose answer was lost ───────────────────────────────────────────────────────────────────


class Losing:
    """A collection whose next write is done, but its answer is lost; between that and the repetition, `meanwhile` happens."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def _done_and_lost(self, name: str, *args: Any) -> None:
        await getattr(self._real, name)(*args)
        raise errors.AutoReconnect("the connection was closed")

    async def insert_one(self, *args: Any) -> None:
        await self._done_and_lost("insert_one", *args)

    async def replace_one(self, *args: Any) -> None:
        await self._done_and_lost("replace_one", *args)

    async def delete_one(self, *args: Any) -> None:
        await self._done_and_lost("delete_one", *args)


async def _lost_once(write: Any, table: Any, *args: Any, meanwhile: Any = None) -> Any:
    """What the repetition of a write says, whose first attempt was done with its answer lost."""
    calls = Losing(table)
    attempt = write(calls, *args)
    with pytest.raises(errors.AutoReconnect):
        await attempt(False)
    if meanwhile is not None:
        await meanwhile
    for name in ("insert_one", "replace_one", "delete_one"):
        setattr(calls, name, getattr(table, name))
    return await attempt(True)


async def test_a_repeated_write_says_what_became_of_it(database: Any) -> None:
    table, layout = database["things"], Layout(THINGS)
    doc = {"id": "a", "name": "n", "tags": [], "rev": 1}
    await _lost_once(adding, table, layout, doc)
    with pytest.raises(Duplicate):
        await adding(table, layout, doc)(False)
    await _lost_once(replacing, table, layout, {**doc, "rev": 2})
    with pytest.raises(Stale):
        await replacing(table, layout, {**doc, "rev": 2})(False)
    with pytest.raises(Unknown):  # it is gone: by us, or by somebody who was faster
        await _lost_once(deleting, table, layout, "a", None)
    assert await table.find_one({"_id": "a"}) is None


async def test_what_can_not_be_told_any_more_is_unknown(database: Any) -> None:
    table, layout = database["things"], Layout(THINGS)
    doc = {"id": "a", "name": "n", "tags": [], "rev": 1}
    other = replacing(table, layout, {**doc, "rev": 2})
    with pytest.raises(Unknown):
        await _lost_once(adding, table, layout, doc, meanwhile=other(False))
    other = replacing(table, layout, {**doc, "rev": 4})
    with pytest.raises(Unknown):
        await _lost_once(replacing, table, layout, {**doc, "rev": 3}, meanwhile=other(False))
    assert (await table.find_one({"_id": "a"}))["rev"] == 4


async def test_a_restored_document_keeps_its_rev_and_may_come_again(tmp_path: Path) -> None:
    async with MongoStore(standin.url_for(tmp_path), (THINGS,)) as store:
        for _ in range(2):
            await store.restore("things", {"id": "a", "name": "n", "rev": 7})
        assert await store.get("things", "a") == {"id": "a", "name": "n", "rev": 7}
        with pytest.raises(Conflict):
            await store.restore("things", {"id": "a", "name": "other", "rev": 7})
        assert (await store.replace("things", {"id": "a", "name": "n", "rev": 7}))["rev"] == 8


async def test_health_warns_of_a_standalone_server(tmp_path: Path) -> None:
    async with MongoStore(standin.url_for(tmp_path), (THINGS,)) as store:
        health = store.health()
        assert health["status"] == "ok"
        assert "standalone" in health["warning"]
        assert health["database"] == standin.database(tmp_path)
