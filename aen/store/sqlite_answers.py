"""Answers: what a collection was asked and answered since it was last written to, so that asking again costs no thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from aen.store import Page, Query

Answer = Page | int
_MOST = 4_000  # answers
_LARGEST = 500_000  # characters of the documents in one, as JSON
_ALL = 4_000_000  # of those in all; most are the same few, which are held once


def question(query: Query) -> Hashable | None:
    """The same for queries that have the same answer; None for one that asks what a store refuses.

    Python takes 1 and True for the same, a store doesn't.
    """
    asked = (query, type(query.low), type(query.high), *(type(value) for _, value in query.equal))
    try:
        hash(asked)
    except TypeError:
        return None
    return asked


class Answers:
    """Right because one process alone writes to the file, and all its writes begin and end here. Used on the loop alone.

    Not before a write is on disk, and not after it began, is anything kept: a reader meanwhile may have seen either.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[Hashable, tuple[Answer, int]]] = {}  # with its size
        self._writes: Counter[str] = Counter()  # begun, ever
        self._open: Counter[str] = Counter()  # begun and not over
        self._count = self._size = 0

    def get(self, collection: str, question: Hashable) -> Answer | None:
        """The answer; not to be changed."""
        known = self._known.get(collection)
        found = known.get(question) if known is not None else None
        return found[0] if found is not None else None

    def moment(self, collection: str) -> int:
        """What to hand to `keep` with an answer that is asked for now."""
        return -1 if self._open[collection] else self._writes[collection]

    def keep(self, collection: str, question: Hashable, answer: Answer, size: int, moment: int) -> None:
        """Remember the answer, unless somebody has written, or does, since that moment. `size`: characters, as JSON."""
        known = self._known.setdefault(collection, {})
        if moment != self.moment(collection) or moment < 0 or size > _LARGEST or question in known:
            return
        if self._count >= _MOST or self._size + size > _ALL:
            self._known = {collection: (known := {})}
            self._count = self._size = 0
        known[question] = answer, size
        self._count += 1
        self._size += size

    def writing(self, collection: str) -> None:
        """A write was queued."""
        self._writes[collection] += 1
        self._open[collection] += 1
        for _, size in self._known.pop(collection, {}).values():
            self._count -= 1
            self._size -= size

    def written(self, collection: str) -> None:
        """It is on disk, or has failed."""
        self._open[collection] -= 1
