"""How a collection lies in SQLite: one table of JSON documents, an index for each declared one, side tables for lists and words."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass, field

from aen.errors import Invalid
from aen.store import Collection, Doc, Index
from aen.store.values import Key, elements

WORDS = "tokenize=\"unicode61 remove_diacritics 2\", prefix='2 3'"


def key_sql(name: str, body: str = "t.body") -> str:
    """The looked-up value of a field. Bools are blobs: true is not 1, and the order of types is the same everywhere."""
    if name == "id":
        return body.replace("body", "id")
    path = f"'$.{name}'"
    return (
        f"CASE json_type({body},{path}) WHEN 'true' THEN x'01' WHEN 'false' THEN x'00' "
        f"ELSE json_extract({body},{path}) END"
    )


def param(value: Key) -> Key | bytes:
    """A looked-up value as SQLite holds it."""
    if isinstance(value, bool):
        return b"\x01" if value else b"\x00"
    return value


@dataclass(frozen=True)
class Path:
    """One order in which documents can be found: by the fields from the left, ties by id (always the last)."""

    source: str  # what stands after FROM; the documents' table is `t` in it
    fields: tuple[str, ...]
    columns: tuple[str, ...]  # SQL of each field
    array: bool = False


@dataclass(frozen=True)
class Side:
    """The side table of an array index: one row for each element of each document."""

    table: str
    fields: tuple[str, ...]  # the list field, then the others; id is the last column

    def rows(self, doc: Doc) -> set[tuple[Key | bytes, ...]]:
        """The rows that belong to a document."""
        rest = tuple(param(doc.get(name)) for name in self.fields[1:])
        return {(param(value), *rest, doc["id"]) for _, value in elements(doc, self.fields[0])}

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, id last."""
        return (*(f"k{place}" for place in range(len(self.fields))), "id")

    @property
    def index(self) -> str:
        """Name of its index on all columns (a primary key would refuse nulls)."""
        return f'"s_{self.table[1:]}'

    def select(self, documents: str) -> str:
        """The rows as the documents say they should be: what fills a new side table, and what `check` compares with."""
        atom = "CASE e.type WHEN 'true' THEN x'01' WHEN 'false' THEN x'00' ELSE e.atom END"
        rest = "".join(f", {key_sql(name)}" for name in self.fields[1:])
        path = f"t.body, '$.{self.fields[0]}'"
        source = f"{documents} AS t, json_each({path}) AS e WHERE json_type({path}) = 'array'"
        return f"SELECT DISTINCT {atom}{rest}, t.id FROM {source}"


@dataclass
class Layout:
    """One collection's tables and the paths to its documents."""

    collection: Collection
    table: str = ""
    words: str = ""  # the full-text table, if any
    sides: list[Side] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    indexes: dict[str, str] = field(default_factory=dict)  # SQL by name
    unique: dict[str, str] = field(default_factory=dict)  # the declared index by the name of ours

    def __post_init__(self) -> None:
        name = self.collection.name
        self.table = f'"{name}"'
        self.paths.append(Path(f"{self.table} AS t", ("id",), ("t.id",)))
        for index in self.collection.indexes:
            self._add(index)
        for prefixed in self.collection.prefix:
            self._add_plain((prefixed,))
        if self.collection.text:
            self.words = f'"{name}__words_{_digest(*self.collection.text, WORDS)}"'

    def text_sql(self) -> str:
        """The words of a document, as `values.text_of` has them."""
        return " || ' ' || ".join(f"coalesce(json_extract(t.body,'$.{name}'),'')" for name in self.collection.text)

    def statements(self) -> list[str]:
        """What makes the documents' table and its indexes, where they are missing."""
        table = f"CREATE TABLE IF NOT EXISTS {self.table}(n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, rev INTEGER NOT NULL, body TEXT NOT NULL)"
        return [table, *self.indexes.values()]

    def side_tables(self) -> dict[str, list[str]]:
        """By table name (quoted): what makes and fills it when it is missing."""
        made = {}
        for side in self.sides:
            columns = ", ".join(side.columns)
            made[side.table] = [
                f"CREATE TABLE {side.table}({columns})",
                f"CREATE UNIQUE INDEX {side.index} ON {side.table}({columns})",
                f"INSERT INTO {side.table} {side.select(self.table)}",
            ]
        if self.words:
            made[self.words] = [
                f"CREATE VIRTUAL TABLE {self.words} USING fts5(words, {WORDS})",
                f"INSERT INTO {self.words}(rowid, words) SELECT t.n, {self.text_sql()} FROM {self.table} AS t",
            ]
        return made

    def _add(self, index: Index) -> None:
        if index.array:
            self._add_array(index)
        else:
            self._add_plain(index.fields)
        if index.unique:
            columns = ", ".join(key_sql(name, "body") for name in index.fields)
            own = f"u_{self.collection.name}_{index.name}_{_digest(columns)}"
            self.indexes[own] = f'CREATE UNIQUE INDEX IF NOT EXISTS "{own}" ON {self.table}({columns})'
            self.unique[own] = index.name

    def _add_plain(self, fields: tuple[str, ...]) -> None:
        ordered = fields if fields[-1] == "id" else (*fields, "id")
        if any(path.fields == ordered and not path.array for path in self.paths):
            return
        columns = ", ".join(key_sql(name, "body") for name in ordered)
        own = f"i_{self.collection.name}_{'_'.join(ordered)}_{_digest(columns)}"
        self.indexes[own] = f'CREATE INDEX IF NOT EXISTS "{own}" ON {self.table}({columns})'
        source = f'{self.table} AS t INDEXED BY "{own}"'
        self.paths.append(Path(source, ordered, tuple(key_sql(name) for name in ordered)))

    def _add_array(self, index: Index) -> None:
        fields = index.fields[:-1] if index.fields[-1] == "id" else index.fields
        side = Side(f'"{self.collection.name}__{index.name}_{_digest(*fields)}"', fields)
        self.sides.append(side)
        source = f"{side.table} AS s CROSS JOIN {self.table} AS t ON t.id = s.id"
        self.paths.append(Path(source, (*fields, "id"), tuple(f"s.{name}" for name in side.columns), array=True))


def make(connection: sqlite3.Connection, layouts: list[Layout]) -> None:
    """Make what is missing, fill it, and drop indexes and side tables that are no longer declared.

    Runs inside the caller's transaction. Raises Invalid when stored documents don't fit a new unique index.
    """
    found: dict[str, str] = dict(connection.execute("SELECT name, type FROM sqlite_master").fetchall())
    expected: set[str] = set()
    for layout in layouts:
        for statement in layout.statements():
            _execute(connection, statement)
        expected.update(layout.indexes)
        for table, statements in layout.side_tables().items():
            expected.add(table.strip('"'))
            if table.strip('"') not in found:
                for statement in statements:
                    connection.execute(statement)
    for name, kind in found.items():
        ours = (kind == "index" and name[:2] in ("i_", "u_")) or _is_side(name, kind, found)
        if ours and name not in expected:
            connection.execute(f'DROP {kind} "{name}"')


def _is_side(name: str, kind: str, found: dict[str, str]) -> bool:
    """Whether a table is a side table (full-text tables have helper tables of their own, which go with them)."""
    if kind != "table" or "__" not in name:
        return False
    helper_of = name.rpartition("_")[0]
    return not ("__words_" in name and helper_of in found)


def _execute(connection: sqlite3.Connection, statement: str) -> None:
    try:
        connection.execute(statement)
    except sqlite3.IntegrityError as error:
        raise Invalid(f"store.url: what is stored doesn't fit a new unique index ({error}).") from error


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
