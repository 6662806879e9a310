"""Decoded: documents by their text: those that lists show again and again are decoded once."""

from __future__ import annotations

import json

from aen.doorkeeper import Doorkeeper
from aen.store import Doc

SEPARATOR = "\x1e"  # stands in no JSON text: it is escaped there
_LONGEST = 8_192  # characters of a document that is kept
_MOST = 4_000_000  # characters of all


class Decoded:
    """By the text and nothing else, so what is found is never old. Used by several threads: each step is safe by itself."""

    def __init__(self) -> None:
        self._doorkeeper = Doorkeeper()
        self._docs: dict[str, Doc] = {}
        self._size = 0

    def read(self, text: str) -> Doc:
        """The document; not to be changed by anybody."""
        doc = self._docs.get(text)
        if doc is None:
            doc = json.loads(text)
            if len(text) <= _LONGEST and self._doorkeeper.knows(text):
                self._keep(text, doc)
        return doc

    def _keep(self, text: str, doc: Doc) -> None:
        if self._size > _MOST:
            self._docs, self._size = {}, 0
        self._docs[text] = doc
        self._size += len(text)
