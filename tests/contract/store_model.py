"""The store's contract in memory, as plainly as it can be said: what every engine is compared with."""

from __future__ import annotations

import copy
from typing import Any

from aen.store import Collection, Doc, Duplicate, Query, Stale


class ModelStore:
    """Documents in dictionaries. Pages go on after a (sort value, id), given instead of a cursor."""

    def __init__(self, schema: tuple[Collection, ...]) -> None:
        self.schema = {collection.name: collection for collection in schema}
        self.docs: dict[str, dict[str, Doc]] = {collection.name: {} for collection in schema}

    def insert(self, collection: str, doc: Doc) -> Doc:
        if doc["id"] in self.docs[collection]:
            raise Duplicate("id", "id")
        return self._put(collection, {**copy.deepcopy(doc), "rev": 1})

    def replace(self, collection: str, doc: Doc) -> Doc:
        stored = self.docs[collection].get(doc["id"])
        if stored is None or stored["rev"] != doc["rev"]:
            raise Stale("stale")
        return self._put(collection, {**copy.deepcopy(doc), "rev": doc["rev"] + 1})

    def delete(self, collection: str, id: str, rev: int | None) -> bool:
        stored = self.docs[collection].get(id)
        if stored is None:
            return False
        if rev is not None and stored["rev"] != rev:
            raise Stale("stale")
        del self.docs[collection][id]
        return True

    def find(self, collection: str, query: Query) -> list[Doc]:
        """All that match, in order, whatever the limit."""
        found = [doc for doc in self.docs[collection].values() if self._matches(collection, doc, query)]
        found.sort(key=lambda doc: (order(doc.get(query.sort)), doc["id"]), reverse=query.descending)
        return found

    def count(self, collection: str, equal: tuple[tuple[str, Any], ...]) -> int:
        return len(self.find(collection, Query(equal=equal)))

    def search(self, collection: str, words: str, visible_to: tuple[str, Any] | None) -> set[str]:
        """Ids of what holds all words (plain lower-case ones only)."""
        asked = words.split()
        equal = (visible_to,) if visible_to else ()
        return {
            doc["id"]
            for doc in self.find(collection, Query(equal=equal))
            if asked and self._holds(" ".join(doc.get(field) or "" for field in self.schema[collection].text), asked)
        }

    @staticmethod
    def _holds(text: str, asked: list[str]) -> bool:
        have = text.split()
        return set(asked[:-1]) <= set(have) and any(word.startswith(asked[-1]) for word in have)

    def _put(self, collection: str, doc: Doc) -> Doc:
        for index in self.schema[collection].indexes:
            values = [doc.get(field) for field in index.fields]
            for other in self.docs[collection].values():
                same = [other.get(field) for field in index.fields] == values
                if index.unique and same and other["id"] != doc["id"]:
                    raise Duplicate("taken", index.name)
        self.docs[collection][doc["id"]] = doc
        return copy.deepcopy(doc)

    def _matches(self, collection: str, doc: Doc, query: Query) -> bool:
        arrays = {index.fields[0] for index in self.schema[collection].indexes if index.array}
        for field, value in query.equal:
            held = (doc.get(field) or []) if field in arrays else [doc.get(field)]
            if not any(order(one) == order(value) for one in held):
                return False
        value = doc.get(query.sort)
        if query.prefix:
            return isinstance(value, str) and value.startswith(query.prefix[1])
        ends = [end for end in (query.low, query.high) if end is not None]
        if any(order(end)[0] != order(value)[0] for end in ends):
            return False
        return (query.low is None or value >= query.low) and (query.high is None or value <= query.high)


def order(value: Any) -> tuple[int, Any]:
    """The order of values of all types: null, numbers, strings, bools."""
    if value is None:
        return (0, 0)
    if isinstance(value, bool):
        return (3, value)
    return (2, value) if isinstance(value, str) else (1, value)
