"""What only the SQLite store has: one file, one process, and every trouble said in one sentence that names store.url."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from aen.errors import Conflict, Invalid, Unavailable
from aen.store import SCHEMA, Collection, Duplicate, Index, Query
from aen.store.cursors import Place
from aen.store.open import open_store
from aen.store.sqlite import SqliteStore
from aen.store.sqlite_find import statements
from aen.store.sqlite_lanes import Work
from aen.store.sqlite_layout import Layout
from tests.contract.store_schema import SCHEMA as STORE_SCHEMA
from tests.waiting import until


def test_open_store_finds_engines_by_their_url(tmp_path: Path) -> None:
    for url in (f"sqlite://{tmp_path}/a%20b.db", f"sqlite:///{tmp_path}/a%20b.db"):
        opened = open_store(url)
        assert isinstance(opened, SqliteStore)
        assert opened.path == tmp_path / "a b.db"
    for url in ("sqlite:relative.db", "sqlite://host/path", "sqlite://", "oracle://x", "plain", ""):
        with pytest.raises(Invalid, match=r"store\.url"):
            open_store(url)


async def test_nobody_else_may_read_the_files(tmp_path: Path) -> None:
    old = tmp_path / "aen.db"
    old.touch(mode=0o644)
    async with SqliteStore(old) as store:
        await store.insert("settings", {"id": "a"})
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("aen.db", "aen.db-wal", "aen.db-shm", "aen.db-lock"), 0o600)


async def test_two_cannot_open_one_store(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "aen.db"):
        with pytest.raises(Conflict, match=rf"store\.url.*process {os.getpid()}"):
            await SqliteStore(tmp_path / "aen.db").__aenter__()
    async with SqliteStore(tmp_path / "aen.db") as store:
        assert await store.count("users") == 0


async def test_another_process_is_named(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from aen.store.sqlite import SqliteStore
async def main():
    async with SqliteStore({str(tmp_path / "aen.db")!r}):
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(Conflict, match=rf"process {other.pid}\b"):
            await SqliteStore(tmp_path / "aen.db").__aenter__()
        other.stdin.close()
        assert other.wait(20) == 0


async def test_a_missing_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"store\.url.*does not exist"):
        await SqliteStore(tmp_path / "no" / "aen.db").__aenter__()
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(Invalid, match=r"store\.url"):
        await SqliteStore(tmp_path / "folder.db").__aenter__()


async def test_a_directory_that_cannot_be_written_is_told() -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("no /proc, the one directory that root can't write either")
    with pytest.raises(Invalid, match=r"store\.url.*written"):
        await SqliteStore("/proc/self/aen.db").__aenter__()


@pytest.mark.parametrize("content", [b"this is not a database, only some text that is long enough" * 100, b"\0" * 8192])
async def test_a_file_that_is_no_store_is_told_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "aen.db"
    path.write_bytes(content)
    with pytest.raises(Unavailable, match=r"store\.url.*damaged"):
        await SqliteStore(path).__aenter__()
    assert path.read_bytes() == content


async def test_another_programs_database_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "aen.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE users(name)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(Invalid, match=r"store\.url.*not a store of AEN"):
        await SqliteStore(path).__aenter__()
    assert path.read_bytes() == before


async def test_a_newer_format_is_told(tmp_path: Path) -> None:
    path = tmp_path / "aen.db"
    async with SqliteStore(path):
        pass
    _sql(path, "PRAGMA user_version=99")
    with pytest.raises(Invalid, match=r"store\.url.*newer"):
        await SqliteStore(path).__aenter__()


async def test_damage_inside_is_told_by_reading_and_by_check(tmp_path: Path) -> None:
    path = tmp_path / "aen.db"
    async with SqliteStore(path) as store:
        await asyncio.gather(*(store.insert("settings", {"id": f"s{n:04}", "text": "x" * 500}) for n in range(2000)))
    data = bytearray(path.read_bytes())
    middle = data.find(b"s1500") // 4096 * 4096
    data[middle : middle + 40_960] = os.urandom(40_960)
    path.write_bytes(data)
    async with SqliteStore(path) as store:
        assert any("damaged" in sentence for sentence in await store.check())
        with pytest.raises(Unavailable, match=r"store\.url.*damaged"):
            await store.find("settings", Query(limit=5000))


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE users SET body=json_set(body,'$.rev',9)", "'u1'"),
        ("DELETE FROM users__by_starred_{}", "starred"),
        ("DELETE FROM users__words_{}", "words"),
    ],
)
async def test_check_names_what_does_not_fit(tmp_path: Path, sql: str, said: str) -> None:
    path = tmp_path / "aen.db"
    async with SqliteStore(path) as store:
        await store.insert("users", {"id": "u1", "starred": ["p"], "search": "word"})
        assert await store.check() == []
    layout = Layout(next(collection for collection in SCHEMA if collection.name == "users"))
    digest = layout.words if "words" in sql else layout.sides[0].table
    _sql(path, "DROP INDEX IF EXISTS x", sql.format(digest.strip('"').rpartition("_")[2]))
    async with SqliteStore(path) as store:
        found = await store.check()
    assert len(found) == 1
    assert said in found[0]


async def test_a_full_disk_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    path = tmp_path / "aen.db"
    async with SqliteStore(path) as store:
        await store.insert("settings", {"id": "before"})
        assert store._writer is not None
        writer = store._writer._connections[0]
        pages = writer.execute("PRAGMA page_count").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count={pages + 20}")
        writes = [store.insert("settings", {"id": f"s{n}", "text": "x" * 3000}) for n in range(200)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        answered = {f"s{n}" for n, outcome in enumerate(outcomes) if isinstance(outcome, dict)}
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert failed
        assert all(isinstance(error, Unavailable) and "store.url" in error.message for error in failed)
        assert store.health()["status"] == "degraded"
        writer.execute("PRAGMA max_page_count=1073741823")
        await store.insert("settings", {"id": "after"})
        assert store.health()["status"] == "ok"
        stored = {doc["id"] for doc in (await store.find("settings", Query(limit=1000))).items}
    assert stored == answered | {"before", "after"}


async def test_indexes_follow_their_declaration(tmp_path: Path) -> None:
    path = tmp_path / "aen.db"
    async with SqliteStore(path, (Collection("things", (Index("by_a", ("a",)),), text=("a",)),)) as store:
        for number in range(5):
            await store.insert("things", {"id": f"t{number}", "a": f"w{number}", "b": ["x", number], "c": "word"})
    changed = Collection(
        "things", (Index("by_b", ("b", "a"), array=True), Index("by_c", ("a",), unique=True)), text=("c",)
    )
    async with SqliteStore(path, (changed,)) as store:
        assert await store.count("things", (("b", "x"),)) == 5
        assert await store.count("things", (("b", 3),)) == 1
        assert len(await store.search("things", "word")) == 5
        assert await store.search("things", "w1") == []
        with pytest.raises(Duplicate):
            await store.insert("things", {"id": "x", "a": "w1"})
        assert await store.check() == []
    names = {name for (name,) in _sql(path, "SELECT name FROM sqlite_master")}
    assert not any("by_a" in name or name.startswith("i_things_a_id_") for name in names if name[:2] != "i_")
    with pytest.raises(Invalid, match=r"store\.url.*unique"):
        await SqliteStore(path, (Collection("things", (Index("by_c", ("c",), unique=True),)),)).__aenter__()
    async with SqliteStore(path, (changed,)) as store:  # and nothing was half-made
        assert await store.check() == []


@pytest.mark.parametrize("collection", SCHEMA, ids=lambda collection: str(collection.name))
def test_every_declared_index_serves_without_sorting(collection: Collection, tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    layout = Layout(collection)
    for statement in (*layout.statements(), *(sql for made in layout.side_tables().values() for sql in made)):
        connection.execute(statement)
    for index in collection.indexes:
        equal = tuple((field, "x") for field in index.fields[:-1])
        for after in (None, Place("y", "z"), Place(None, "z")):
            for descending in (False, True):
                for low in ("a", None) if after is None or after.key else (None,):
                    query = Query(equal=equal, sort=index.fields[-1], descending=descending, low=low)
                    bounded = bool(equal or low or after)
                    for step in statements(layout, query, after):
                        plan = " / ".join(
                            row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {step.sql}", (*step.params, 5))
                        )
                        assert "TEMP B-TREE" not in plan, (query, plan)
                        assert "SEARCH" in plan or not bounded, (query, plan)
    connection.close()


def _sql(path: Path, *statements: str) -> list[tuple[str]]:
    connection = sqlite3.connect(path)
    try:
        rows: list[tuple[str]] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        connection.commit()
        return rows
    finally:
        connection.close()


async def test_an_unforeseen_failure_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    def fails_halfway(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO settings(id, rev, body) VALUES('half', 1, '{}')")
        raise ZeroDivisionError

    async with SqliteStore(tmp_path / "aen.db") as store:
        await store.insert("settings", {"id": "taken"})
        assert store._writer is not None
        work: list[asyncio.Future[object]] = []
        for number in range(60):
            if number % 20 == 7:
                work.append(asyncio.ensure_future(store._writer.run(fails_halfway)))
            else:
                work.append(
                    asyncio.ensure_future(
                        store.insert("settings", {"id": "taken" if number % 9 == 5 else f"s{number}"})
                    )
                )
        outcomes = await asyncio.gather(*work, return_exceptions=True)
        found = {doc["id"] for doc in (await store.find("settings", Query(limit=100))).items}
    assert [type(outcomes[number]) for number in (7, 27, 47)] == [ZeroDivisionError] * 3
    good = {number for number in range(60) if number % 20 != 7 and number % 9 != 5}
    assert all(isinstance(outcomes[number], Duplicate) for number in range(60) if number % 9 == 5 and number % 20 != 7)
    assert found == {"taken", *(f"s{number}" for number in good)}


async def test_shared_answers_are_never_older_than_what_was_written(tmp_path: Path) -> None:
    """Readers and writers at once, some of whom give up waiting: what is asked after a write is answered with it."""
    async with SqliteStore(tmp_path / "aen.db", STORE_SCHEMA) as store:
        asked = Query(equal=(("color", "red"),), sort="size", shared=True)
        chance, written = random.Random(7), 0
        doc = await store.insert("things", {"id": "a", "name": "a", "size": 0, "color": "red"})

        async def read() -> None:
            least = written
            for items in (
                (await store.find("things", asked)).items,
                await store.get_many("things", ["a"], shared=True),
            ):
                assert items[0]["size"] >= least

        for size in range(1, 300):
            readers = [asyncio.create_task(read()) for _ in range(3)]
            writer = asyncio.create_task(store.replace("things", {**doc, "size": size}))
            if chance.random() < 0.3:
                await asyncio.sleep(0)
                writer.cancel()
                await asyncio.wait([writer])
                await read()
                found = await store.get("things", "a")
                while found is None or found["size"] != size:  # once it is queued it is done
                    found = await store.get("things", "a")
                doc = found
            else:
                doc = await writer
            written = size
            await asyncio.gather(read(), read(), *readers)


async def test_a_write_that_fails_when_nobody_waits_any_more_is_no_fault(tmp_path: Path) -> None:
    said: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    async with SqliteStore(tmp_path / "aen.db", STORE_SCHEMA) as store:
        await store.insert("plain", {"id": "a"})
        for _ in range(3):
            writer = asyncio.create_task(store.insert("plain", {"id": "a"}))
            await asyncio.sleep(0)
            writer.cancel()
            await asyncio.wait([writer])
            assert writer.cancelled()
        await store.insert("plain", {"id": "b"})
    gc.collect()
    assert said == []


async def test_what_was_read_before_a_write_and_comes_after_it_is_not_kept(tmp_path: Path) -> None:
    """The lane that reads answers several at once: it is held up before it takes the question, and before it delivers."""
    asked = Query(shared=True)
    began, go, read, deliver = (threading.Event() for _ in range(4))

    def hold(says: threading.Event, until: threading.Event) -> Work:
        return lambda _: (says.set(), until.wait(30))  # type: ignore[func-returns-value]

    async with SqliteStore(tmp_path / "aen.db", STORE_SCHEMA) as store:
        doc = await store.insert("plain", {"id": "a", "value": "old"})
        lane = store._lists
        assert lane is not None
        lane.put(hold(began, go))
        assert await asyncio.to_thread(began.wait, 30)
        reader = asyncio.create_task(store.find("plain", asked))
        await until(lambda: _is(lane.waiting() == 1), 30, "the question is queued")
        lane.put(hold(read, deliver))
        go.set()
        assert await asyncio.to_thread(read.wait, 30)
        await store.replace("plain", {**doc, "value": "new"})
        deliver.set()
        assert (await reader).items[0]["value"] == "old"
        assert (await store.find("plain", asked)).items[0]["value"] == "new"


async def _is(fact: bool) -> bool:
    return fact
