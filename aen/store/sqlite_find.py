"""From a query to SQL: which declared index serves it, and the statements that follow a cursor without rescanning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aen.store import Query
from aen.store.asking import check, choose, ends_of, prefix_of
from aen.store.cursors import Place
from aen.store.sqlite_layout import Layout, Path, param
from aen.store.values import after_prefix, check_key

_NOT_NULL = "{} > -9223372036854775808"  # all values are above; unlike IS NOT NULL, an index can begin there


@dataclass(frozen=True)
class Statement:
    """SQL that gives documents (`body`), its parameters; the last parameter, the limit, is added by who runs it."""

    sql: str
    params: tuple[Any, ...]


Condition = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Span:
    """The range on the sort field: its lower and its upper end, if any."""

    low: tuple[Condition, ...] = ()
    high: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Piece:
    """One range of the index. `ties`: the sort value is the same in all of it."""

    where: tuple[Condition, ...]
    ties: bool = False


def statements(layout: Layout, query: Query, after: Place | None) -> list[Statement]:
    """What to run, one after the other, until the page is full. Raises Invalid when no declared index serves the query."""
    check(query)
    sort = "id" if query.sort in dict(query.equal) else query.sort
    path, served = choose(layout.collection.name, layout.paths, query, sort)
    columns = dict(zip(path.fields, path.columns, strict=True))
    fixed = [_equals(columns[name], value, name) for name, value in query.equal]
    order = "DESC" if query.descending else "ASC"
    found = []
    for piece in _pieces(columns[sort], columns["id"], _span(layout, query, columns[sort]), after, query.descending):
        # Where the sort value is one and the same, naming it would make SQLite sort what the index has in order.
        by = f"{columns['id']} {order}"
        if sort != "id" and not piece.ties:
            by = f"{columns[sort]} {order}, {by}"
        found.append(_statement(layout, path, [*fixed, *piece.where], by, served, order))
    return found


def counting(layout: Layout, equal: tuple[tuple[str, Any], ...]) -> Statement:
    """What counts the documents that match. Raises Invalid when no declared index serves it."""
    query = Query(equal=equal)
    check(query)
    if not equal:
        return Statement(f"SELECT count(*) FROM {layout.table}", ())
    path, _ = choose(layout.collection.name, layout.paths, query, "id")
    columns = dict(zip(path.fields, path.columns, strict=True))
    # A side table alone can be counted: its rows are distinct.
    source = path.source.split(" CROSS JOIN ")[0]
    where = [_equals(columns[name], value, name) for name, value in equal]
    sql = f"SELECT count(*) FROM {source} WHERE {' AND '.join(text for text, _ in where)}"
    return Statement(sql, tuple(value for _, values in where for value in values))


def visible(layout: Layout, visible_to: tuple[str, Any]) -> Condition:
    """The condition that a document has this value in this field. Raises Invalid when no declared index has the field first."""
    name, value = visible_to
    path, _ = choose(layout.collection.name, layout.paths, Query(equal=(visible_to,)), "id")
    text, values = _equals(path.columns[0], value, name)
    if path.array:
        return f"t.id IN (SELECT s.id FROM {path.source.split(' CROSS JOIN ')[0]} WHERE {text})", values
    return text, values


def _equals(column: str, value: Any, name: str) -> Condition:
    if check_key(value, name) is None:
        return f"{column} IS NULL", ()
    return f"{column} = ?", (param(value),)


def _span(layout: Layout, query: Query, key: str) -> Span:
    """The range on the sort field, within the type of its ends: a string is in no range of numbers."""
    if query.prefix:
        return _prefix(prefix_of(layout.collection, query.prefix), key)
    ends = ends_of(query)
    if ends is None:
        return Span()
    low, high, text = ends
    lowest: tuple[Condition, ...] = ((f"{key} >= ''", ()),) if text else ()
    highest: Condition = (f"{key} < x''" if text else f"{key} < ''", ())
    return Span(
        ((f"{key} >= ?", (low,)),) if low is not None else lowest,
        ((f"{key} <= ?", (high,)) if high is not None else highest,),
    )


def _prefix(beginning: str, key: str) -> Span:
    end = after_prefix(beginning)
    high: Condition = (f"{key} < x''", ()) if end is None else (f"{key} < ?", (end,))
    return Span(((f"{key} >= ?", (beginning,)),), (high,))


def _pieces(key: str, id: str, span: Span, after: Place | None, descending: bool) -> list[Piece]:
    """What follows a place: its ties, what lies beyond, and (downwards) the nulls. The place takes over one end of the span."""
    if after is None:
        return [Piece((*span.low, *span.high))]
    sign = "<" if descending else ">"
    beyond_id: Condition = (f"{id} {sign} ?", (after.id,))
    if key == id:
        return [Piece((beyond_id, *(span.low if descending else span.high)))]
    ties = Piece((_equals(key, after.key, "cursor"), beyond_id), ties=True)
    if after.key is None:  # nulls come first, so downwards nothing follows them
        return [ties] if descending else [ties, Piece(((_NOT_NULL.format(key), ()),))]
    beyond: Condition = (f"{key} {sign} ?", (param(after.key),))
    if not descending:
        return [ties, Piece((beyond, *span.high))]
    pieces = [ties, Piece((beyond, *span.low))]
    return pieces if span.high else [*pieces, Piece(((f"{key} IS NULL", ()),), ties=True)]


def _statement(layout: Layout, path: Path, where: list[Condition], by: str, served: bool, order: str) -> Statement:
    conditions = " AND ".join(text for text, _ in where)
    params = tuple(value for _, values in where for value in values)
    tail = f"FROM {path.source} {'WHERE ' + conditions if where else ''} ORDER BY {by} LIMIT ?"
    if served:
        return Statement(f"SELECT t.body {tail}", params)
    # What the index doesn't sort is sorted by row number and id alone: the documents stay out of the sorter.
    return Statement(
        f"SELECT t.body FROM {layout.table} AS t WHERE t.n IN (SELECT t.n {tail}) ORDER BY t.id {order}", params
    )
