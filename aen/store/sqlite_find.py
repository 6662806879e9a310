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


@dataclass(frozen=True)
class Statement:
    """SQL that gives documents (`body`), its parameters; the last parameter, the limit, is added by who runs it."""

    sql: str
    params: tuple[Any, ...]


Condition = tuple[str, tuple[Any, ...]]


def statements(layout: Layout, query: Query, after: Place | None) -> list[Statement]:
    """What to run, one after the other, until the page is full. Raises Invalid when no declared index serves the query."""
    _check(query)
    sort = "id" if query.sort in dict(query.equal) else query.sort
    path, served = _path(layout, query, sort)
    columns = dict(zip(path.fields, path.columns, strict=True))
    key = columns[sort]
    fixed = [_equals(columns[name], value, name) for name, value in query.equal]
    fixed += _range(layout, query, key)
    order = "DESC" if query.descending else "ASC"
    by = f"{key} {order}" if sort == "id" else f"{key} {order}, {columns['id']} {order}"
    ranged = bool(query.prefix) or query.low is not None or query.high is not None
    found = []
    for more in _segments(key, columns["id"], sort == "id", after, query.descending, ranged):
        where = [*fixed, *more]
        found.append(_statement(layout, path, where, by, served, order))
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
    if query.prefix and (query.low is not None or query.high is not None):
        raise Invalid("A query has a prefix or a range, not both.")
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
        if count < len(path.fields) and path.fields[count] == sort:
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


def _range(layout: Layout, query: Query, key: str) -> list[Condition]:
    """The range on the sort field, within the type of its ends: a string is in no range of numbers."""
    if query.prefix:
        return _prefix(layout, query.prefix, key)
    low, high = check_key(query.low, query.sort), check_key(query.high, query.sort)
    ends = [end for end in (low, high) if end is not None]
    if not ends:
        return []
    if any(isinstance(end, bool) for end in ends) or len({isinstance(end, str) for end in ends}) > 1:
        raise Invalid("The ends of a range must both be strings or both be whole numbers.")
    text = isinstance(ends[0], str)
    found: list[Condition] = []
    if low is not None:
        found.append((f"{key} >= ?", (low,)))
    elif text:
        found.append((f"{key} >= ''", ()))
    if high is not None:
        found.append((f"{key} <= ?", (high,)))
    else:
        found.append((f"{key} < x''" if text else f"{key} < ''", ()))
    return found


def _prefix(layout: Layout, prefix: tuple[str, str], key: str) -> list[Condition]:
    name, beginning = prefix
    if name not in layout.collection.prefix:
        raise Invalid(f"{layout.collection.name}: {name} is not declared for prefix search.")
    if not isinstance(check_key(beginning, name), str):
        raise Invalid(f"{name}: a prefix is a string.")
    end = after_prefix(beginning)
    return [(f"{key} >= ?", (beginning,)), (f"{key} < ?", (end,)) if end is not None else (f"{key} < x''", ())]


def _segments(
    key: str, id: str, by_id: bool, after: Place | None, descending: bool, ranged: bool
) -> list[list[Condition]]:
    """What follows a place, in pieces that are each one range of the index: the ties, what lies beyond, and the nulls."""
    if after is None:
        return [[]]
    sign = "<" if descending else ">"
    beyond_id: Condition = (f"{id} {sign} ?", (after.id,))
    if by_id:
        return [[beyond_id]]
    ties = [_equals(key, after.key, "cursor"), beyond_id]
    if after.key is None:  # nulls come first, so downwards nothing follows them
        return [ties] if descending else [ties, [(f"{key} IS NOT NULL", ())]]
    pieces = [ties, [(f"{key} {sign} ?", (param(after.key),))]]
    if descending and not ranged:
        pieces.append([(f"{key} IS NULL", ())])
    return pieces


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
