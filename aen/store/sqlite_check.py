"""Looks through an SQLite store for damage: the file, each document, and whether side tables say what the documents say."""

from __future__ import annotations

import sqlite3

from aen.store.sqlite_layout import Layout

_SHOWN = 5  # of each kind of trouble


def check(connection: sqlite3.Connection, layouts: list[Layout]) -> list[str]:
    """What is wrong, in sentences; empty when all is well. Changes nothing.

    The connection must be in autocommit mode: each statement sees one moment, and writes go on between them.
    """
    rows = connection.execute(f"PRAGMA integrity_check({_SHOWN})").fetchall()
    found = [f"The file is damaged: {text}." for (text,) in rows if text != "ok"]
    for layout in layouts:
        try:
            found += _documents(connection, layout) or _sides(connection, layout)
        except sqlite3.OperationalError:
            raise  # busy or out of space: says nothing about the data
        except sqlite3.DatabaseError as error:
            found.append(f"{layout.collection.name}: can't be read through, the file is damaged: {error}.")
    return found


def _documents(connection: sqlite3.Connection, layout: Layout) -> list[str]:
    sql = (
        f"SELECT id FROM {layout.table} WHERE CASE WHEN json_valid(body) THEN "
        f"json_extract(body,'$.id') IS NOT id OR json_extract(body,'$.rev') IS NOT rev ELSE 1 END LIMIT {_SHOWN}"
    )
    return [f"{layout.collection.name}: the document {id!r} is damaged." for (id,) in connection.execute(sql)]


def _sides(connection: sqlite3.Connection, layout: Layout) -> list[str]:
    found = []
    for side in layout.sides:
        stored, wanted = f"SELECT * FROM {side.table}", side.select(layout.table)
        if _differ(connection, stored, wanted):
            found.append(f"{layout.collection.name}: the index of {side.fields[0]} doesn't match the documents.")
    if layout.words:
        stored = f"SELECT rowid, words FROM {layout.words}"
        wanted = f"SELECT t.n, {layout.text_sql()} FROM {layout.table} AS t"
        if _differ(connection, stored, wanted) or not _words_whole(connection, layout.words):
            found.append(f"{layout.collection.name}: the index of words doesn't match the documents.")
    return found


def _differ(connection: sqlite3.Connection, one: str, other: str) -> bool:
    sql = f"SELECT 1 FROM ({one} EXCEPT {other}) UNION ALL SELECT 1 FROM ({other} EXCEPT {one}) LIMIT 1"
    return connection.execute(sql).fetchone() is not None


def _words_whole(connection: sqlite3.Connection, table: str) -> bool:
    try:
        connection.execute(f"INSERT INTO {table}({table}) VALUES('integrity-check')")
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False
    return True
