"""Seen: documents that were read before, as the models they were made into: lists show the same ones again and again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, TypeVar

from aen.model import Document
from aen.store import Doc

D = TypeVar("D", bound=Document)
_MOST = 5_000


class Seen:
    """Models by what they were made of. Whoever gets one only looks at it: `change` reads for itself."""

    def __init__(self) -> None:
        self._models: OrderedDict[tuple[Any, ...], Document] = OrderedDict()

    def read(self, kind: type[D], doc: Doc) -> D:
        """The document as a model; not to be changed."""
        # A name can be given again, and revs begin anew: the birth tells the two apart.
        key = (kind, doc["id"], doc["rev"], doc.get("created", 0))
        found = self._models.get(key)
        if found is None:
            found = self._models[key] = kind.model_validate(doc)
            if len(self._models) > _MOST:
                self._models.popitem(last=False)
        assert isinstance(found, kind)
        return found
