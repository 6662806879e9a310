"""Seen: documents that were read before, as the models they were made into: lists show the same ones again and again."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from aen.doorkeeper import Doorkeeper
from aen.model import Document
from aen.store import Doc

D = TypeVar("D", bound=Document)
_MOST = 10_000_000  # characters of documents, as Python writes them
_EACH = 500  # that one counts for besides


class Seen:
    """Models by what they were made of, the newest of each. Whoever gets one only looks at it: `change` reads for itself."""

    def __init__(self) -> None:
        self._doorkeeper = Doorkeeper()
        self._models: OrderedDict[tuple[type[Document], str], tuple[Document, int]] = OrderedDict()
        self._size = 0

    def read(self, kind: type[D], doc: Doc) -> D:
        """The document as a model; not to be changed."""
        key = kind, doc["id"]
        known = self._models.get(key)
        if known is not None:
            found = known[0]
            # A name can be given again, and revs begin anew: the birth tells the two apart.
            if found.rev == doc["rev"] and found.__dict__.get("created", 0) == doc.get("created", 0):
                assert isinstance(found, kind)
                return found
        made = kind.model_validate(doc)
        if self._doorkeeper.knows(key):
            self._keep(key, made, len(str(doc)) + _EACH)
        return made

    def _keep(self, key: tuple[type[Document], str], model: Document, size: int) -> None:
        """By their size and not their number: five thousand long descriptions were a third of a gigabyte."""
        _, earlier = self._models.pop(key, (None, 0))
        self._models[key] = model, size
        self._size += size - earlier
        while self._size > _MOST:
            self._size -= self._models.popitem(last=False)[1][1]
