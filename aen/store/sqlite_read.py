"""Reads from SQLite: documents, pages of them, single values; and words as its search takes them. Each runs in a lane's thread."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from aen.store import Doc
from aen.store.asking import MAX_WORD, MAX_WORDS
from aen.store.sqlite_decoded import SEPARATOR, Decoded
from aen.store.sqlite_find import Statement

_CHUNK = 500  # ids in one statement


def document(connection: sqlite3.Connection, table: str, id: str) -> str | None:
    """The document's JSON, or None."""
    row = connection.execute(f"SELECT body FROM {table} WHERE id=?", (id,)).fetchone()
    return None if row is None else row[0]


def documents(connection: sqlite3.Connection, table: str, ids: Sequence[str]) -> list[tuple[str, str]]:
    """Id and JSON of those that exist, in any order."""
    rows: list[tuple[str, str]] = []
    for start in range(0, len(ids), _CHUNK):
        some = ids[start : start + _CHUNK]
        marks = ",".join("?" * len(some))
        rows += connection.execute(f"SELECT id, body FROM {table} WHERE id IN ({marks})", some)
    return rows


def one(connection: sqlite3.Connection, statement: Statement) -> Any:
    """The first value of the first row."""
    return connection.execute(statement.sql, statement.params).fetchone()[0]


def page(
    connection: sqlite3.Connection, steps: list[Statement], limit: int, decoded: Decoded | None = None
) -> tuple[list[Doc], int]:
    """The documents of one page, and their size in characters; all statements see the same moment. `decoded`: they are shared."""
    if len(steps) == 1:
        return _documents(connection, steps[0], limit, decoded)
    found, size = list[Doc](), 0
    connection.execute("BEGIN")
    try:
        for step in steps:
            more, more_size = _documents(connection, step, limit - len(found), decoded)
            found, size = found + more, size + more_size
            if len(found) >= limit:
                break
    finally:
        connection.execute("COMMIT")
    return found, size


def _documents(
    connection: sqlite3.Connection, step: Statement, limit: int, decoded: Decoded | None
) -> tuple[list[Doc], int]:
    # One row for all of them: between two rows a thread gives the interpreter away, and may wait 5 ms to get it back.
    separator = "," if decoded is None else SEPARATOR
    sql = f"SELECT group_concat(body, ?) FROM ({step.sql})"
    (text,) = connection.execute(sql, (separator, *step.params, limit)).fetchone()
    if text is None:
        return [], 0
    if decoded is not None:
        return [decoded.read(one) for one in text.split(SEPARATOR)], len(text)
    found: list[Doc] = json.loads(f"[{text}]")
    return found, len(text)


def match(words: str) -> str:
    """Words as FTS5 takes them: each quoted, so that nothing in them is an operator; the last may be unfinished."""
    clean = words.replace("\0", " ").encode("utf-8", "ignore").decode()
    parts = [part for part in clean.split()[:MAX_WORDS] if any(ch.isalnum() for ch in part)]
    quoted = ['"' + part.replace('"', '""')[:MAX_WORD] + '"' for part in parts]
    return " AND ".join(quoted) + "*" if quoted else ""
