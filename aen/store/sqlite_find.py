"""From a query to SQL: which declared index serves it, and the statements that follow a cursor without rescanning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aen.errors import Invalid
from aen.store import Query
from aen.store.cursors import Place
from aen.store.sqlite_layout import Layout, Path, param
from aen.store.values import after_prefix, check_key

MAX_LIMIT = 10_000
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
    _check(query)
    sort = "id" if query.sort in dict(query.equal) else query.sort
    path, served = _path(layout, query, sort)
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
    _check(query)
    if not equal:
        return Statement(f"SELECT count(*) FROM {layout.table}", ())
    path, _ = _path(layout, query, "id")
    columns = dict(zip(path.fields, path.columns, strict=True))
    # A side table alone can be counted: its rows are distinct.
    source = path.source.split(" CROSS JOIN ")[0]
    where = [_equals(columns[name], value, name) for name, value in equal]
    sql = f"SELECT count(*) FROM {source} WHERE {' AND '.join(text for text, _ in where)}"
    return Statement(sql, tuple(value for _, values in where for value in values))


def visible(layout: Layout, visible_to: tuple[str, Any]) -> Condition:
    """The condition that a document has this value in this field. Raises Invalid when no declared index has the field first."""
    name, value = visible_to
    path, _ = _path(layout, Query(equal=(visible_to,)), "id")
    text, values = _equals(path.columns[0], value, name)
    if path.array:
        return f"t.id IN (SELECT s.id FROM {path.source.split(' CROSS JOIN ')[0]} WHERE {text})", values
    return text, values


def _check(query: Query) -> None:
    if not 1 <= query.limit <= MAX_LIMIT:
        raise Invalid(f"A page may hold 1 to {MAX_LIMIT}, not {query.limit}.")
    names = [name for name, _ in query.equal]
    if len(set(names)) != len(names):
        raise Invalid("A field may be asked for once only.")
    ranged = query.low is not None or query.high is not None
    if query.prefix and ranged:
        raise Invalid("A query has a prefix or a range, not both.")
    if query.sort in names and (query.prefix or ranged):
        raise Invalid(f"{query.sort} is asked for by its value: it can't have a range or a prefix, too.")
    if query.prefix and query.sort != query.prefix[0]:
        raise Invalid(f"A query with a prefix of {query.prefix[0]} must be sorted by it.")


def _path(layout: Layout, query: Query, sort: str) -> tuple[Path, bool]:
    """The path that serves a query, and whether it also gives the order (by id alone, what was found may be sorted)."""
    names = {name for name, _ in query.equal}
    sorted_after = None
    for path in layout.paths:
        count = len(names)
        if set(path.fields[:count]) != names or (path.array and not names):
            continue
        if path.fields[count:] in ((sort,), (sort, "id")):
            return path, True
        if sort == "id":
            sorted_after = sorted_after or path
    if sorted_after:
        return sorted_after, False
    asked = ", ".join(sorted(names)) or "nothing"
    raise Invalid(f"{layout.collection.name}: no declared index finds by {asked} and sorts by {sort}.")


def _equals(column: str, value: Any, name: str) -> Condition:
    if check_key(value, name) is None:
        return f"{column} IS NULL", ()
    return f"{column} = ?", (param(value),)


def _span(layout: Layout, query: Query, key: str) -> Span:
    """The range on the sort field, within the type of its ends: a string is in no range of numbers."""
    if query.prefix:
        return _prefix(layout, query.prefix, key)
    low, high = check_key(query.low, query.sort), check_key(query.high, query.sort)
    ends = [end for end in (low, high) if end is not None]
    if not ends:
        return Span()
    if any(isinstance(end, bool) for end in ends) or len({isinstance(end, str) for end in ends}) > 1:
        raise Invalid("The ends of a range must both be strings or both be whole numbers.")
    text = isinstance(ends[0], str)
    lowest: tuple[Condition, ...] = ((f"{key} >= ''", ()),) if text else ()
    highest: Condition = (f"{key} < x''" if text else f"{key} < ''", ())
    return Span(
        ((f"{key} >= ?", (low,)),) if low is not None else lowest,
        ((f"{key} <= ?", (high,)) if high is not None else highest,),
    )


def _prefix(layout: Layout, prefix: tuple[str, str], key: str) -> Span:
    name, beginning = prefix
    if name not in layout.collection.prefix:
        raise Invalid(f"{layout.collection.name}: {name} is not declared for prefix search.")
    if not isinstance(check_key(beginning, name), str):
        raise Invalid(f"{name}: a prefix is a string.")
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
