"""Writes of single documents to SQLite. Each runs in the writing lane's thread, inside a transaction.

An AenError is raised before anything was written: the writer relies on it.
"""

from __future__ import annotations

import json
import re
import sqlite3
from typing import Any

from aen.store import Doc, Duplicate, Stale
from aen.store.sqlite_layout import Layout, Side
from aen.store.sqlite_read import document
from aen.store.values import text_of

_INDEX = re.compile(r"index '([^']+)'")


def insert(connection: sqlite3.Connection, layout: Layout, doc: Doc, body: str) -> None:
    """Add a document. Raises Duplicate."""
    try:
        cursor = connection.execute(
            f"INSERT INTO {layout.table}(id, rev, body) VALUES(?,?,?)", (doc["id"], doc["rev"], body)
        )
    except sqlite3.IntegrityError as error:
        if document(connection, layout.table, doc["id"]) is not None:  # when both are taken, the id is named
            raise _taken(layout, doc) from None
        raise _duplicate(error, layout, doc) from None
    for side in layout.sides:
        _change(connection, side, set(), side.rows(doc))
    if layout.words:
        words = (cursor.lastrowid, text_of(layout.collection, doc))
        connection.execute(f"INSERT INTO {layout.words}(rowid, words) VALUES(?,?)", words)


def replace(connection: sqlite3.Connection, layout: Layout, doc: Doc, body: str) -> None:
    """Put `doc` in the place of the document of the rev before. Raises Stale, Duplicate."""
    before = _before(connection, layout, doc) if layout.sides or layout.words else None
    change = f"UPDATE {layout.table} SET rev=?, body=? WHERE id=? AND rev=?"
    try:
        changed = connection.execute(change, (doc["rev"], body, doc["id"], doc["rev"] - 1)).rowcount
    except sqlite3.IntegrityError as error:
        raise _duplicate(error, layout, doc) from None
    if changed == 0:
        raise _stale(layout, doc["id"], document(connection, layout.table, doc["id"]))
    if before is not None:
        _follow(connection, layout, before[0], json.loads(before[1]), doc)


def _before(connection: sqlite3.Connection, layout: Layout, doc: Doc) -> tuple[int, str] | None:
    """Row number and JSON of the document that is replaced, if it is still of that rev."""
    sql = f"SELECT n, body FROM {layout.table} WHERE id=? AND rev=?"
    found: tuple[int, str] | None = connection.execute(sql, (doc["id"], doc["rev"] - 1)).fetchone()
    return found


def delete(connection: sqlite3.Connection, layout: Layout, id: str, rev: int | None) -> bool:
    """Remove a document; False when there was none. Raises Stale."""
    row = connection.execute(f"SELECT n, rev, body FROM {layout.table} WHERE id=?", (id,)).fetchone()
    if row is None:
        return False
    number, stored, body = row
    if rev is not None and rev != stored:
        raise _stale(layout, id, row)
    connection.execute(f"DELETE FROM {layout.table} WHERE n=?", (number,))
    for side in layout.sides:
        _change(connection, side, side.rows(json.loads(body)), set())
    if layout.words:
        connection.execute(f"DELETE FROM {layout.words} WHERE rowid=?", (number,))
    return True


def _follow(connection: sqlite3.Connection, layout: Layout, number: int, before: Doc, after: Doc) -> None:
    """Bring side tables and words in line with a replaced document, touching what changed only."""
    for side in layout.sides:
        _change(connection, side, side.rows(before), side.rows(after))
    words = text_of(layout.collection, after)
    if layout.words and words != text_of(layout.collection, before):
        connection.execute(f"UPDATE {layout.words} SET words=? WHERE rowid=?", (words, number))


def _change(connection: sqlite3.Connection, side: Side, before: set[Any], after: set[Any]) -> None:
    where = " AND ".join(f"{column} IS ?" for column in side.columns)
    for row in before - after:
        connection.execute(f"DELETE FROM {side.table} WHERE {where}", row)
    marks = ",".join("?" * len(side.columns))
    for row in after - before:
        connection.execute(f"INSERT INTO {side.table} VALUES({marks})", row)


def _taken(layout: Layout, doc: Doc) -> Duplicate:
    return Duplicate(f"{layout.collection.name}: the id {doc['id']!r} is taken.", "id")


def _duplicate(error: sqlite3.IntegrityError, layout: Layout, doc: Doc) -> Exception:
    named = _INDEX.search(str(error))
    if named is None or named[1] not in layout.unique:
        return error  # none of ours: a fault
    name = layout.unique[named[1]]
    fields = next(index.fields for index in layout.collection.indexes if index.name == name)
    values = ", ".join(f"{field} {doc.get(field)!r}" for field in fields)
    return Duplicate(f"{layout.collection.name}: {values} is taken.", name)


def _stale(layout: Layout, id: str, row: Any) -> Stale:
    what = "is gone" if row is None else "was changed by somebody else in the meantime"
    return Stale(f"{layout.collection.name}: {id!r} {what}. Read it again.")
