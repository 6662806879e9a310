"""From a query to what MongoDB is asked: filters and orders that a declared index serves, following a cursor. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aen.store import Query
from aen.store.asking import check, choose, ends_of, prefix_of
from aen.store.cursors import Place
from aen.store.mongo_layout import Layout, Path, key_of
from aen.store.values import after_prefix, check_key

Filter = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One `find`: its filter and its order."""

    where: Filter
    order: list[tuple[str, int]]


def steps(layout: Layout, query: Query, after: Place | None) -> list[Step]:
    """What to ask, one after the other, until the page is full. Raises Invalid when no declared index serves the query."""
    check(query)
    sort = "id" if query.sort in dict(query.equal) else query.sort
    path, _ = choose(layout.collection.name, layout.paths, query, sort)
    fixed = _fixed(path, query.equal)
    column, id = path.column(sort), path.column("id")
    span = _span(layout, query, column)
    if span is None:
        return []
    way = -1 if query.descending else 1
    found = []
    for piece in _pieces((column, id), span, after, query.descending):
        order = (
            [(id, way)] if column == id or not isinstance(piece.get(column, {}), dict) else [(column, way), (id, way)]
        )
        found.append(Step({**fixed, **piece}, order))
    return found


def counting(layout: Layout, equal: tuple[tuple[str, Any], ...]) -> Filter:
    """What the documents to count have in common. Raises Invalid when no declared index serves it."""
    query = Query(equal=equal)
    check(query)
    if not equal:
        return {}
    path, _ = choose(layout.collection.name, layout.paths, query, "id")
    return _fixed(path, equal)


def searching(layout: Layout, words: list[str], visible_to: tuple[str, Any] | None) -> list[Step]:
    """What finds documents with all words, the best first: with the last word whole, then with it unfinished."""
    shown = counting(layout, (visible_to,)) if visible_to else {}
    if not words:
        return []
    *whole, last = words
    end = after_prefix(last)
    unfinished = {"$elemMatch": {"$gte": last} if end is None else {"$gte": last, "$lt": end}}
    order = [("n", 1), ("k_id", 1)]  # of two that hold all words, the shorter is more about them
    return [
        Step({**shown, "w": {"$all": [*whole, last]}}, order),
        Step({**shown, "$and": [*({"w": word} for word in whole), {"w": unfinished}]}, order),
    ]


def _fixed(path: Path, equal: tuple[tuple[str, Any], ...]) -> Filter:
    found = {}
    for name, value in equal:
        column, key = path.column(name), check_key(value, name)
        found[column] = _raw(key_of(key)) if column == "_id" else key_of(key)
    return found


def _span(layout: Layout, query: Query, column: str) -> Filter | None:
    """The range on the sort field, within the type of its ends; None when nothing can be in it."""
    if query.prefix:
        beginning = key_of(prefix_of(layout.collection, query.prefix))
        span = {"$gte": beginning, "$lt": after_prefix(beginning) or "3"}
    else:
        ends = ends_of(query)
        if ends is None:
            return {}
        low, high, text = ends
        span = {"$gte": ("2" if text else "1") if low is None else key_of(low)}
        span |= {"$lt": "3" if text else "2"} if high is None else {"$lte": key_of(high)}
    if column != "_id":
        return span
    if span["$gte"][0] != "2":
        return None  # ids are strings
    return {sign: _raw(end) for sign, end in span.items() if end != "3"}


def _pieces(columns: tuple[str, str], span: Filter, after: Place | None, descending: bool) -> list[Filter]:
    """What follows a place: its ties, then what lies beyond. The place takes over one end of the span."""
    column, id = columns
    if after is None:
        return [{column: span}] if span else [{}]
    sign = "$lt" if descending else "$gt"
    own = after.id if id == "_id" else key_of(after.id)
    rest = {name: end for name, end in span.items() if name.startswith("$g") == descending}
    if column == id:
        return [{id: {**rest, sign: own}}]
    key = key_of(after.key)
    return [{column: key, id: {sign: own}}, {column: {**rest, sign: key}}]


def _raw(key: str) -> Any:
    """A key as `_id` holds it: ids are strings, and nothing else is ever equal to one."""
    return key[1:] if key[0] == "2" else {"$in": []}
