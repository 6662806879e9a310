"""Answers: what a collection was asked and answered since it was last written to, so that asking again costs no thread."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable

from aen.store import Page, Query

Answer = Page | int
_MOST = 4_000  # answers
_MOST_DOCS = 100_000  # in all of them; most are the same few


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
        self._known: defaultdict[str, dict[Hashable, Answer]] = defaultdict(dict)
        self._writes: Counter[str] = Counter()  # begun, ever
        self._open: Counter[str] = Counter()  # begun and not over
        self._count = self._docs = 0

    def get(self, collection: str, question: Hashable) -> Answer | None:
        """The answer; not to be changed."""
        known = self._known.get(collection)
        return known.get(question) if known is not None else None

    def moment(self, collection: str) -> int:
        """What to hand to `keep` with an answer that is asked for now."""
        return -1 if self._open[collection] else self._writes[collection]

    def keep(self, collection: str, question: Hashable, answer: Answer, moment: int) -> None:
        """Remember the answer, unless somebody has written, or does, since that moment."""
        if moment != self.moment(collection) or moment < 0:
            return
        if self._count >= _MOST or self._docs >= _MOST_DOCS:
            self._known.clear()
            self._count = self._docs = 0
        self._known[collection][question] = answer
        self._count += 1
        self._docs += _documents(answer)

    def writing(self, collection: str) -> None:
        """A write was queued."""
        self._writes[collection] += 1
        self._open[collection] += 1
        for answer in self._known.pop(collection, {}).values():
            self._count -= 1
            self._docs -= _documents(answer)

    def written(self, collection: str) -> None:
        """It is on disk, or has failed."""
        self._open[collection] -= 1


def _documents(answer: Answer) -> int:
    return 0 if isinstance(answer, int) else len(answer.items)
