"""How a collection lies in MongoDB: the document as it is under `doc`, and beside it what it is looked up by. Pure.

Every looked-up value is kept once more as a string (`k_<field>`) whose order by bytes is the contract's order, so that
true is never 1, nothing is never missing, and no server's idea of comparing types, nulls or lists matters.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Any

from aen.store import Collection, Doc, Index
from aen.store.asking import MAX_WORD, MAX_WORDS
from aen.store.values import MAX_INT, Key, elements, text_of

WORDS = "1"  # how text is taken apart; another number makes all words anew
_WORD = re.compile(r"[^\W_]+")


def key_of(value: Key) -> str:
    """A looked-up value as a string: null, numbers, strings by code point, false, true."""
    if value is None:
        return "0"
    if isinstance(value, bool):
        return "4" if value else "3"
    return f"1{value + MAX_INT:014x}" if isinstance(value, int) else f"2{value}"


def words_of(text: str) -> list[str]:
    """The words in a text, in their order: letters and digits, without case and accents, as SQLite's search has them."""
    plain = unicodedata.normalize("NFD", text.lower())
    plain = "".join(ch for ch in plain if not unicodedata.combining(ch))
    return [word[:MAX_WORD] for word in _WORD.findall(plain)]


def asked_words(text: str) -> list[str]:
    """The words that a search asks for; the last may be unfinished."""
    clean = text.replace("\0", " ").encode("utf-8", "ignore").decode()
    return [word for part in clean.split()[:MAX_WORDS] for word in words_of(part)][:MAX_WORDS]


@dataclass(frozen=True)
class Path:
    """One order in which documents can be found: by the fields from the left, ties by id (always the last)."""

    fields: tuple[str, ...]
    array: bool = False

    def column(self, name: str) -> str:
        """What a field is called in MongoDB. The list of all documents by id needs no index but the one of `_id`."""
        return "_id" if self.fields == ("id",) else f"k_{name}"


@dataclass(frozen=True)
class Declared:
    """One index as MongoDB makes it."""

    columns: tuple[str, ...]
    unique: bool = False


@dataclass
class Layout:
    """One collection's paths, its indexes by name, and the version of what stands beside each document."""

    collection: Collection
    paths: list[Path] = field(default_factory=list)
    indexes: dict[str, Declared] = field(default_factory=dict)
    unique: list[Index] = field(default_factory=list)
    version: str = ""

    def __post_init__(self) -> None:
        self.paths.append(Path(("id",)))
        for index in self.collection.indexes:
            self._add(index.fields, index.array)
            if index.unique:
                self.unique.append(index)
                self._declare(Declared(tuple(f"k_{name}" for name in index.fields), unique=True))
        for prefixed in self.collection.prefix:
            self._add((prefixed,), array=False)
        if self.collection.text:
            self._declare(Declared(("w", "n", "k_id")))
        self._declare(Declared(("v",)))
        self.version = _digest(*sorted(self._looked_up()), *self.collection.text, WORDS)

    def stored(self, doc: Doc, op: str) -> Doc:
        """What MongoDB keeps for a document; `op` names the write, so that it is known again when its answer was lost."""
        return {"_id": doc["id"], "rev": doc["rev"], "op": op, "doc": doc, **self.beside(doc)}

    def beside(self, doc: Doc) -> Doc:
        """What a document is looked up by."""
        found: Doc = {"v": self.version}
        for name, array in self._looked_up().items():
            found[f"k_{name}"] = _keys(doc, name) if array else key_of(doc.get(name))
        if self.collection.text:
            words = words_of(text_of(self.collection, doc))
            found |= {"w": sorted(set(words)), "n": len(words)}
        return found

    def _looked_up(self) -> dict[str, bool]:
        """Field → whether it is a list: of every place in every path."""
        found = {"id": False}
        for path in self.paths:
            found |= {name: path.array and place == 0 for place, name in enumerate(path.fields)}
        return found

    def _add(self, fields: tuple[str, ...], array: bool) -> None:
        path = Path(fields if fields[-1] == "id" else (*fields, "id"), array)
        if path in self.paths:
            return
        self.paths.append(path)
        self._declare(Declared(tuple(path.column(name) for name in path.fields)))

    def _declare(self, index: Declared) -> None:
        kind = "u" if index.unique else "i"
        self.indexes[f"{kind}_{_digest(*index.columns)}_{'_'.join(index.columns)}"[:100]] = index


def _keys(doc: Doc, name: str) -> list[str]:
    return sorted(key_of(value) for _, value in elements(doc, name))


def _digest(*parts: Any) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
