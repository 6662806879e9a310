"""The store's contract, held by every engine (see conftest.ENGINES)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aen.errors import Invalid, Unavailable
from aen.store import Doc, Duplicate, Page, Query, Stale, Store
from tests.contract.conftest import Engine
from tests.contract.store_schema import SCHEMA
from tests.waiting import until


def thing(id: str, **fields: Any) -> Doc:
    return {"id": id, "name": f"name of {id}", **fields}


async def ids(store: Store, query: Query) -> list[str]:
    return [doc["id"] for doc in (await store.find("things", query)).items]


async def walk(store: Store, query: Query) -> list[str]:
    """All ids, page by page."""
    found: list[str] = []
    page = Page([], query.cursor)
    while True:
        page = await store.find("things", _at(query, page.next))
        found += [doc["id"] for doc in page.items]
        if not page.next:
            return found


def _at(query: Query, cursor: str) -> Query:
    return replace(query, cursor=cursor)


# ── one document ────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_stored_comes_back_exactly(store: Store) -> None:
    value = {
        "text": 'ü "quoted" \\ \n\t \x00 \u2028 𝄞',
        "empty": "",
        "int": 2**53 - 1,
        "negative": -(2**53 - 1),
        "float": 0.1,
        "tiny": 5e-324,
        "whole": 1.0,
        "yes": True,
        "no": False,
        "one": 1,
        "nothing": None,
        "list": [1, "a", None, [], {}, [True, {"deep": [0.5]}]],
        "object": {"with space": 1, "ключ": {"a": []}, "dollar$inside": "$set"},
    }
    inserted = await store.insert("plain", {"id": "ü/ä b", "value": value})
    assert inserted == {"id": "ü/ä b", "value": value, "rev": 1}
    got = await store.get("plain", "ü/ä b")
    assert got == inserted
    assert repr(got["value"]["one"]) == "1"  # True == 1 == 1.0 in Python: look at the types, too
    assert repr(got["value"]["yes"]) == "True"
    assert repr(got["value"]["whole"]) == "1.0"


async def test_get_of_what_is_not_there_is_none(store: Store) -> None:
    assert await store.get("plain", "x") is None
    await store.insert("plain", {"id": "123"})
    assert await store.get("plain", "0123") is None
    assert await store.get("plain", "123 ") is None


async def test_ids_differ_by_case_and_normal_form(store: Store) -> None:
    for id in ("a", "A", "é", "e\u0301"):
        await store.insert("plain", {"id": id, "is": id})
    for id in ("a", "A", "é", "e\u0301"):
        got = await store.get("plain", id)
        assert got is not None
        assert got["is"] == id


async def test_get_many_gives_those_that_exist_in_the_order_asked(store: Store) -> None:
    for number in range(1200):
        await store.insert("plain", {"id": f"d{number}"}) if number % 300 == 0 else None
    asked = ["d900", "x", "d0", "d300", "d900", *(f"y{number}" for number in range(1200))]
    assert [doc["id"] for doc in await store.get_many("plain", asked)] == ["d900", "d0", "d300"]
    assert await store.get_many("plain", []) == []


async def test_what_is_shared_is_as_it_was_stored_last(store: Store) -> None:
    """Also with what engines put between documents, and with a document that was deleted and made again."""
    odd = {"id": "a", "value": "\x1e,],[\u2028 ü", "list": [1, 1.5, True]}
    await store.insert("plain", odd)
    await store.insert("plain", {"id": "b", "value": 1})
    for value in ("first", "second"):
        doc = await store.get("plain", "b")
        assert doc is not None
        await store.replace("plain", {**doc, "value": value})
        for _ in range(2):
            page = await store.find("plain", Query(shared=True))
            assert page.items == [{**odd, "rev": 1}, {"id": "b", "value": value, "rev": doc["rev"] + 1}]
            assert await store.get_many("plain", ["b", "a"], shared=True) == page.items[::-1]
    await store.delete("plain", "b")
    await store.insert("plain", {"id": "b", "value": True})
    assert repr((await store.find("plain", Query(shared=True))).items[1]["value"]) == "True"
    own = (await store.find("plain", Query())).items
    own[0]["list"].append("mine")
    assert (await store.find("plain", Query(shared=True))).items[0]["list"] == odd["list"]


async def test_a_taken_id_is_a_duplicate(store: Store) -> None:
    await store.insert("things", thing("a", size=1))
    with pytest.raises(Duplicate) as caught:
        await store.insert("things", {"id": "a", "name": "other"})
    assert caught.value.index == "id"
    assert (await store.get("things", "a") or {})["size"] == 1


async def test_a_taken_unique_value_is_a_duplicate(store: Store) -> None:
    await store.insert("things", thing("a", name="n"))
    with pytest.raises(Duplicate) as caught:
        await store.insert("things", thing("b", name="n"))
    assert caught.value.index == "by_name"
    await store.insert("things", thing("b", name="N"))
    with pytest.raises(Duplicate) as caught:
        await store.replace("things", {"id": "b", "name": "n", "rev": 1})
    assert caught.value.index == "by_name"
    assert (await store.get("things", "b") or {})["name"] == "N"
    await store.delete("things", "a")
    await store.replace("things", {"id": "b", "name": "n", "rev": 1})


@pytest.mark.parametrize("name", [None, "", 5, True, ["n"]])
async def test_a_unique_value_is_a_string_that_is_not_empty(store: Store, name: Any) -> None:
    with pytest.raises(Invalid, match="name"):
        await store.insert("things", {"id": "a", "name": name})
    assert await store.count("things") == 0


async def test_replace_is_guarded_by_rev(store: Store) -> None:
    first = await store.insert("things", thing("a", size=1, extra="goes"))
    second = await store.replace("things", thing("a", size=2, rev=first["rev"]))
    assert second == thing("a", size=2, rev=2)
    assert await store.get("things", "a") == second
    for doc in (first, {**second, "rev": 3}, {**second, "rev": 0}, thing("gone", rev=1)):
        with pytest.raises(Stale):
            await store.replace("things", doc)
    assert await store.get("things", "a") == second
    with pytest.raises(Invalid, match="rev"):
        await store.replace("things", thing("a"))


async def test_delete(store: Store) -> None:
    await store.insert("things", thing("a", tags=["x"], about="words"))
    with pytest.raises(Stale):
        await store.delete("things", "a", rev=2)
    assert await store.delete("things", "a", rev=1) is True
    assert await store.delete("things", "a", rev=1) is False
    assert await store.delete("things", "a") is False
    assert await ids(store, Query(equal=(("tags", "x"),))) == []
    assert await store.search("things", "words") == []
    await store.insert("things", thing("a"))


async def test_what_was_given_is_not_changed(store: Store) -> None:
    doc = thing("a", rev=7)
    assert (await store.insert("things", doc))["rev"] == 1
    assert doc == thing("a", rev=7)
    given = thing("a", rev=1)
    await store.replace("things", given)
    assert given == thing("a", rev=1)


async def test_of_many_that_replace_the_same_one_wins(store: Store) -> None:
    await store.insert("plain", {"id": "counter", "value": 0})

    async def add() -> int:
        lost = 0
        while True:
            doc = await store.get("plain", "counter")
            assert doc is not None
            try:
                await store.replace("plain", {**doc, "value": doc["value"] + 1})
            except Stale:
                lost += 1
                continue
            return lost

    await asyncio.gather(*(add() for _ in range(50)))
    assert await store.get("plain", "counter") == {"id": "counter", "value": 50, "rev": 51}


async def test_of_many_that_claim_a_name_one_wins(store: Store) -> None:
    claims = [store.insert("things", thing(f"t{number}", name="claimed")) for number in range(50)]
    outcomes = await asyncio.gather(*claims, return_exceptions=True)
    assert sum(isinstance(outcome, dict) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Duplicate) for outcome in outcomes) == 49


async def test_a_failing_write_leaves_its_neighbours_alone(store: Store) -> None:
    await store.insert("things", thing("taken", name="taken"))
    writes = []
    for number in range(100):
        name = "taken" if number % 3 == 0 else f"n{number}"
        writes.append(store.insert("things", thing(f"t{number}", name=name, tags=["all"], about="all")))
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    good = {f"t{number}" for number, outcome in enumerate(outcomes) if isinstance(outcome, dict)}
    assert good == {f"t{number}" for number in range(100) if number % 3}
    assert set(await ids(store, Query(equal=(("tags", "all"),)))) == good
    assert {doc["id"] for doc in await store.search("things", "all", limit=1000)} == good
    assert await store.check() == []


async def test_a_cancelled_write_is_done_or_not_but_harms_nothing(store: Store) -> None:
    tasks = [asyncio.create_task(store.insert("plain", {"id": f"c{number}"})) for number in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.exception() is None for task in tasks[1::2])

    async def settled() -> bool:
        done = {doc["id"] for doc in (await store.find("plain", Query())).items}
        assert done >= {f"c{number}" for number in range(1, 50, 2)}
        return await store.count("plain") == len(done)

    await until(settled, 30, "what was cancelled is done, or not")  # it may still be under way


# ── what may be stored ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2**53,
        -(2**53),
        b"bytes",
        ("tuple",),
        {"set"},
        object(),
        "half a character \ud800",
        {1: "key"},
        {"": 1},
        {"a.b": 1},
        {"$set": 1},
        {"nul\0": 1},
        {"k\udfff": 1},
        [[float("-inf")]],
    ],
    ids=lambda value: ascii(value)[:20],
)
async def test_values_that_some_engine_could_not_keep_are_refused(store: Store, value: Any) -> None:
    for doc in ({"id": "a", "value": value}, {"id": "a", "value": {"deep": [value]}}):
        with pytest.raises(Invalid):
            await store.insert("plain", doc)
    await store.insert("plain", {"id": "a"})
    with pytest.raises(Invalid):
        await store.replace("plain", {"id": "a", "rev": 1, "value": value})
    assert await store.get("plain", "a") == {"id": "a", "rev": 1}


async def test_nesting_and_size_are_bounded(store: Store) -> None:
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    await store.insert("plain", {"id": "deep", "value": deep})
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(Invalid, match="nested"):
        await store.insert("plain", {"id": "deeper", "value": deep})
    await store.insert("plain", {"id": "long", "value": "ü" * 1_000_000})
    with pytest.raises(Invalid, match="bytes"):
        await store.insert("plain", {"id": "longer", "value": "ü" * 2_200_000})


@pytest.mark.parametrize("id", [None, "", 5, "nul\0", "x" * 401, "half \ud800", ["a"]], ids=ascii)
async def test_an_id_is_a_short_string(store: Store, id: Any) -> None:
    for act in (store.insert("plain", {"id": id}), store.get("plain", id), store.delete("plain", id)):
        with pytest.raises(Invalid):
            await act
    with pytest.raises(Invalid):
        await store.get_many("plain", ["a", id])


@pytest.mark.parametrize(
    "fields",
    [
        {"size": 1.5},
        {"size": [1]},
        {"size": {"a": 1}},
        {"tags": "x"},
        {"tags": [["x"]]},
        {"tags": [1.0]},
        {"color": "x" * 901},
        {"color": "nul\0"},
        {"about": 5},
        {"color": 5},
    ],
    ids=str,
)
async def test_what_is_looked_up_must_be_comparable_everywhere(store: Store, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        await store.insert("things", thing("a", **fields))


async def test_an_unknown_collection_is_invalid(store: Store) -> None:
    for act in (store.get("x", "a"), store.insert("x", {"id": "a"}), store.find("x", Query()), store.count("x")):
        with pytest.raises(Invalid, match="'x'"):
            await act


# ── finding ─────────────────────────────────────────────────────────────────────────────────────────


async def test_equality_knows_types(store: Store) -> None:
    values = {"true": True, "one": 1, "false": False, "zero": 0, "null": None, "text": "1", "empty": ""}
    for id, value in values.items():
        await store.insert("things", thing(id, room=value, tags=[value]))
    await store.insert("things", thing("missing"))
    for id, value in values.items():
        expected = {id, "missing"} if value is None else {id}
        assert set(await ids(store, Query(equal=(("room", value),)))) == expected, id
        assert await store.count("things", (("room", value),)) == len(expected)
        assert await ids(store, Query(equal=(("tags", value),))) == [id]
        assert await store.count("things", (("tags", value),)) == 1


async def test_sort_ties_go_by_id_and_null_comes_first(store: Store) -> None:
    for id, size in (("d", 1), ("b", 1), ("c", 0), ("a", None), ("f", 2), ("e", -1)):
        await store.insert("things", thing(id, size=size))
    expected = ["a", "e", "c", "b", "d", "f"]
    assert await ids(store, Query(sort="size")) == expected
    assert await ids(store, Query(sort="size", descending=True)) == expected[::-1]
    assert await ids(store, Query()) == sorted(expected)
    assert await ids(store, Query(descending=True)) == sorted(expected, reverse=True)


async def test_ranges_are_inclusive_and_within_their_type(store: Store) -> None:
    for id, size in (("a", 1), ("b", 2), ("c", 3), ("t", "2"), ("u", None), ("v", True)):
        await store.insert("things", thing(id, size=size))
    assert await ids(store, Query(sort="size", low=2)) == ["b", "c"]
    assert await ids(store, Query(sort="size", high=2)) == ["a", "b"]
    assert await ids(store, Query(sort="size", low=2, high=2)) == ["b"]
    assert await ids(store, Query(sort="size", low="")) == ["t"]
    assert await ids(store, Query(sort="size", high="3")) == ["t"]
    assert await ids(store, Query(sort="id", low="b", high="t")) == ["b", "c", "t"]
    for low, high in ((1, "2"), (True, None), (1.5, None)):
        with pytest.raises(Invalid):
            await ids(store, Query(sort="size", low=low, high=high))


async def test_a_list_matches_by_contains(store: Store) -> None:
    await store.insert("things", thing("a", tags=["x", "y", "x"], size=2))
    await store.insert("things", thing("b", tags=["y"], size=1))
    await store.insert("things", thing("c", tags=[], size=0))
    await store.insert("things", thing("d", tags=None))
    assert await ids(store, Query(equal=(("tags", "y"),), sort="size")) == ["b", "a"]
    assert await ids(store, Query(equal=(("tags", "x"),))) == ["a"]
    assert await ids(store, Query(equal=(("tags", "X"),))) == []
    await store.replace("things", thing("a", tags=["z"], size=3, rev=1))
    assert await ids(store, Query(equal=(("tags", "x"),))) == []
    assert await ids(store, Query(equal=(("tags", "z"),), sort="size", low=3)) == ["a"]
    assert await store.count("things", (("tags", "y"),)) == 1


async def test_prefix_is_exact(store: Store) -> None:
    names = [
        "ab",
        "abc",
        "abd",
        "aB",
        "b",
        "a",
        "ab\U0010ffff",
        "ab\U0010ffffz",
        "ac",
        "ab%",
        "ab_",
        "\ud7ff",
        "\ue000",
    ]
    for number, name in enumerate(names):
        await store.insert("things", thing(f"t{number:02}", name=name))
    for prefix in ("ab", "a", "ab\U0010ffff", "ab%", "%", "_", "", "\ud7ff", "zz"):
        page = await store.find("things", Query(prefix=("name", prefix), sort="name"))
        assert [doc["name"] for doc in page.items] == sorted(name for name in names if name.startswith(prefix)), prefix
    assert await ids(store, Query(prefix=("id", "t0"))) == [f"t{number:02}" for number in range(10)]


@pytest.mark.parametrize(
    "query",
    [
        Query(sort="about"),
        Query(sort="shelf"),
        Query(sort="room"),
        Query(equal=(("room", "x"),), sort="shelf"),
        Query(equal=(("size", 1),), sort="size", low=0),
        Query(equal=(("name", "x"),), sort="name", prefix=("name", "x")),
        Query(equal=(("about", "x"),)),
        Query(equal=(("shelf", "x"),)),
        Query(equal=(("color", "x"), ("tags", "x"))),
        Query(equal=(("tags", "x"), ("owners", "x"))),
        Query(equal=(("color", "x"),), sort="name"),
        Query(equal=(("size", 1),), sort="color"),
        Query(sort="tags"),
        Query(prefix=("about", "x"), sort="about"),
        Query(prefix=("size", "x"), sort="size"),
        Query(prefix=("name", "x")),
        Query(prefix=("name", "x"), sort="name", low="a"),
        Query(equal=(("color", "x"), ("color", "y"))),
        Query(equal=(("color", ["x"]),)),
        Query(limit=0),
        Query(limit=-1),
        Query(limit=10_001),
    ],
    ids=str,
)
async def test_what_is_not_declared_is_invalid(store: Store, query: Query) -> None:
    with pytest.raises(Invalid):
        await store.find("things", query)


async def test_counting_what_is_not_declared_is_invalid(store: Store) -> None:
    for equal in ((("about", "x"),), (("shelf", 1),), (("color", 1.5),)):
        with pytest.raises(Invalid):
            await store.count("things", equal)


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("limit", [1, 3, 7, 50])
async def test_pages_put_together_are_the_whole(store: Store, limit: int, descending: bool) -> None:
    for number in range(40):
        sizes: list[Any] = [None, 1, 1, 2, "a", True]
        await store.insert("things", thing(f"t{number:02}", size=sizes[number % 6], tags=["x"], color="c"))
    for equal in ((), (("tags", "x"),), (("color", "c"),)):
        for sort in ("size", "id"):
            query = Query(equal=equal, sort=sort, descending=descending, limit=limit)
            whole = await ids(store, _limit(query, 100))
            assert len(whole) == 40
            assert await walk(store, query) == whole


async def test_a_full_last_page_has_no_next(store: Store) -> None:
    for number in range(4):
        await store.insert("things", thing(f"t{number}"))
    page = await store.find("things", Query(limit=2))
    page = await store.find("things", Query(limit=2, cursor=page.next))
    assert page.next == ""
    assert (await store.find("things", Query(equal=(("color", "none"),)))).next == ""


async def test_a_cursor_goes_on_where_its_page_ended_whatever_changed(store: Store) -> None:
    for number in range(6):
        await store.insert("things", thing(f"t{number}", size=number))
    page = await store.find("things", Query(sort="size", limit=3))
    await store.delete("things", "t2")  # the very document that the page ended with
    await store.delete("things", "t3")
    await store.insert("things", thing("new before", size=0))
    await store.insert("things", thing("new after", size=4))
    assert await ids(store, Query(sort="size", limit=10, cursor=page.next)) == ["new after", "t4", "t5"]


async def test_a_cursor_survives_reopening(engine: Engine, tmp_path: Path) -> None:
    async with engine(tmp_path, SCHEMA) as store:
        for number in range(4):
            await store.insert("things", thing(f"t{number}"))
        page = await store.find("things", Query(limit=2))
    async with engine(tmp_path, SCHEMA) as store:
        assert await ids(store, Query(limit=2, cursor=page.next)) == ["t2", "t3"]


async def test_a_cursor_of_another_list_or_tampered_is_invalid(store: Store) -> None:
    for number in range(9):
        await store.insert("things", thing(f"t{number}", size=number, tags=["x", "y"]))
    query = Query(equal=(("tags", "x"),), sort="size", limit=2)
    cursor = (await store.find("things", query)).next
    assert cursor
    flipped = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    middle = cursor[:20] + ("A" if cursor[20] != "A" else "B") + cursor[21:]
    bad = [
        _at(query, text) for text in (flipped, middle, cursor[:-4], cursor + "AAAA", "x", "ü", "=", "null", "A" * 9999)
    ]
    bad += [
        Query(equal=(("tags", "y"),), sort="size", limit=2, cursor=cursor),
        Query(equal=(("tags", "x"),), sort="size", limit=2, descending=True, cursor=cursor),
        Query(equal=(("tags", "x"),), sort="id", limit=2, cursor=cursor),
        Query(equal=(("tags", "x"),), sort="size", low=0, limit=2, cursor=cursor),
        Query(sort="size", limit=2, cursor=cursor),
    ]
    for one in bad:
        with pytest.raises(Invalid, match="cursor"):
            await store.find("things", one)
    with pytest.raises(Invalid):
        await store.find("plain", Query(limit=2, cursor=cursor))
    assert await ids(store, _at(_limit(query, 3), cursor)) == ["t2", "t3", "t4"]  # the page size may change


# ── words ───────────────────────────────────────────────────────────────────────────────────────────


async def test_search_finds_all_words_the_last_unfinished(store: Store) -> None:
    await store.insert("things", thing("a", about="the genome project of Ana", more="data"))
    await store.insert("things", thing("b", about="genomes and more", tags=["x"]))
    await store.insert("things", thing("c", about="something else"))

    async def found(words: str, **options: Any) -> set[str]:
        return {doc["id"] for doc in await store.search("things", words, **options)}

    assert await found("genome") == {"a", "b"}
    assert await found("genome data") == {"a"}
    assert await found("GENOME dat") == {"a"}
    assert await found("genom data") == set()
    assert await found("else") == {"c"}
    assert await found("") == await found("  ") == await found("-- !") == set()
    assert await found("genome", visible_to=("tags", "x")) == {"b"}
    assert await found("genome", visible_to=("name", "name of a")) == {"a"}
    assert await found("genome", limit=1) <= {"a", "b"}
    await store.replace("things", thing("c", about="a genome at last", rev=1))
    assert await found("genome") == {"a", "b", "c"}
    assert await found("else") == set()


@pytest.mark.parametrize(
    "words",
    [
        '"',
        '""',
        "a*",
        "NOT",
        "a OR b",
        "AND",
        "(",
        ")",
        "about:x",
        "^a",
        "NEAR(a b)",
        "-a",
        "a\0b",
        "'; DROP",
        "{a}",
        "\ud800",
        "a" * 5000,
        "x " * 500,
    ],
    ids=lambda words: ascii(words)[:12],
)
async def test_nothing_in_the_words_is_an_operator(store: Store, words: str) -> None:
    await store.insert("things", thing("a", about="zebra"))
    assert await store.search("things", words) == []


async def test_search_where_it_is_not_declared_is_invalid(store: Store) -> None:
    with pytest.raises(Invalid):
        await store.search("plain", "x")
    with pytest.raises(Invalid):
        await store.search("things", "x", visible_to=("about", "x"))
    for limit in (0, 1_001):
        with pytest.raises(Invalid):
            await store.search("things", "x", limit=limit)


# ── the whole ───────────────────────────────────────────────────────────────────────────────────────


async def test_what_was_written_is_there_after_reopening(engine: Engine, tmp_path: Path) -> None:
    async with engine(tmp_path, SCHEMA) as store:
        await asyncio.gather(*(store.insert("things", thing(f"t{n}", tags=["x"], about="w")) for n in range(100)))
    async with engine(tmp_path, SCHEMA) as store:
        assert await store.count("things") == 100
        assert await store.count("things", (("tags", "x"),)) == 100
        assert len(await store.search("things", "w", limit=1000)) == 100
        assert await store.check() == []


async def test_health_says_whether_it_is_open(engine: Engine, tmp_path: Path) -> None:
    store = engine(tmp_path, SCHEMA)
    assert store.health()["status"] == "degraded"
    async with store:
        assert store.health()["status"] == "ok"
    assert store.health()["status"] == "degraded"
    with pytest.raises(Unavailable):
        await store.get("plain", "a")
    with pytest.raises(Unavailable):
        await store.insert("plain", {"id": "a"})


async def test_writes_under_way_are_finished_by_closing(engine: Engine, tmp_path: Path) -> None:
    async with engine(tmp_path, SCHEMA) as store:
        tasks = [asyncio.create_task(store.insert("plain", {"id": f"d{number}"})) for number in range(300)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    async with engine(tmp_path, SCHEMA) as store:
        assert await store.count("plain") == 300


def _limit(query: Query, limit: int) -> Query:
    return replace(query, limit=limit)


async def test_answers_that_are_shared_tell_kinds_of_values_apart(store: Store) -> None:
    await store.insert("things", thing("a", size=1, flag=True))
    await store.insert("things", thing("b", size=2, flag=1))
    for _ in range(2):
        for value, id in ((True, "a"), (1, "b")):
            found = (await store.find("things", Query(equal=(("flag", value),), shared=True))).items
            assert [doc["id"] for doc in found] == [id]
        with pytest.raises(Invalid):
            await store.find("things", Query(equal=(("flag", ["a"]),), shared=True))


async def test_counts_are_told_apart_however_they_are_asked(store: Store) -> None:
    await store.insert("things", thing("a", size=1, flag=True))
    for value, number in ((1, 1), (2, 0), (True, 0)):
        assert await store.count("things", (("size", value),)) == number
        assert await store.count("things", [("size", value)]) == number  # type: ignore[arg-type]


async def test_a_list_of_shared_documents_is_ones_own(store: Store) -> None:
    await store.insert("plain", {"id": "a"})
    (await store.find("plain", Query(shared=True))).items.clear()
    (await store.get_many("plain", ["a"], shared=True)).clear()
    assert len((await store.find("plain", Query(shared=True))).items) == 1
    assert len(await store.get_many("plain", ["a"], shared=True)) == 1
