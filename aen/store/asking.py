"""What may be asked of a store: the rules that every engine holds before it looks for anything. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from aen.errors import Invalid
from aen.store import Collection, Query
from aen.store.values import Key, check_key

MAX_LIMIT = 10_000
MAX_FOUND = 1_000  # of one word search
MAX_WORDS = 32  # that a search looks at
MAX_WORD = 200  # characters of each


class Served(Protocol):
    """One order in which an engine can find documents: by the fields from the left, ties by id (always the last)."""

    @property
    def fields(self) -> tuple[str, ...]: ...
    @property
    def array(self) -> bool: ...


Way = TypeVar("Way", bound=Served)


def check(query: Query) -> None:
    """Raises Invalid when the query contradicts itself or the contract."""
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


def choose(collection: str, ways: Sequence[Way], query: Query, sort: str) -> tuple[Way, bool]:
    """The way that serves a query, and whether it also gives the order (by id alone, what was found may be sorted).

    Raises Invalid when no declared index serves it.
    """
    names = {name for name, _ in query.equal}
    sorted_after = None
    for way in ways:
        count = len(names)
        if set(way.fields[:count]) != names or (way.array and not names):
            continue
        if way.fields[count:] in ((sort,), (sort, "id")):
            return way, True
        if sort == "id":
            sorted_after = sorted_after or way
    if sorted_after:
        return sorted_after, False
    asked = ", ".join(sorted(names)) or "nothing"
    raise Invalid(f"{collection}: no declared index finds by {asked} and sorts by {sort}.")


def ends_of(query: Query) -> tuple[Key, Key, bool] | None:
    """The range's lower and upper end, and whether they are strings (else whole numbers); None without a range."""
    low, high = check_key(query.low, query.sort), check_key(query.high, query.sort)
    ends = [end for end in (low, high) if end is not None]
    if not ends:
        return None
    if any(isinstance(end, bool) for end in ends) or len({isinstance(end, str) for end in ends}) > 1:
        raise Invalid("The ends of a range must both be strings or both be whole numbers.")
    return low, high, isinstance(ends[0], str)


def prefix_of(collection: Collection, prefix: tuple[str, str]) -> str:
    """The beginning that is asked for. Raises Invalid when the field is not declared for it."""
    name, beginning = prefix
    if name not in collection.prefix:
        raise Invalid(f"{collection.name}: {name} is not declared for prefix search.")
    if not isinstance(check_key(beginning, name), str):
        raise Invalid(f"{name}: a prefix is a string.")
    return beginning


def check_search(collection: Collection, limit: int) -> None:
    """Raises Invalid when the collection has no word search, or so many can't be given."""
    if not collection.text:
        raise Invalid(f"{collection.name} is not declared for word search.")
    if not 1 <= limit <= MAX_FOUND:
        raise Invalid(f"A search may give 1 to {MAX_FOUND}, not {limit}.")
