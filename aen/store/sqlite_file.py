"""The file of an SQLite store: found, locked, opened, recognised; every trouble is one sentence that names the setting."""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import stat
from pathlib import Path

from aen.errors import AenError, Conflict, Invalid, Unavailable
from aen.store.sqlite_layout import Layout, make

APPLICATION = 0x41454E31  # "AEN1": tells our files from other SQLite files
FORMAT = 1

_PRAGMAS = ("busy_timeout=5000", "synchronous=FULL", "temp_store=MEMORY", "cache_size=-16000")


def lock(path: Path) -> int:
    """Lock the store for this process and return the lock's file descriptor; closing it unlocks.

    Raises Invalid when the directory or file can't be used, Conflict when another process has it.
    """
    if not path.parent.is_dir():
        raise Invalid(f"store.url: the directory {path.parent} does not exist. Create it, or change store.url.")
    try:
        held = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _make_private(path)
    except OSError as error:
        raise Invalid(
            f"store.url: {path} can't be written ({error.strerror}). Check who owns it and its mode."
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = os.pread(held, 20, 0).decode(errors="replace").strip() or "?"
        os.close(held)
        raise Conflict(
            f"store.url: {path} is in use by process {pid}. Only one AEN at a time can have it: stop that one first."
        ) from None
    os.ftruncate(held, 0)
    os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
    return held


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode, for use by one thread at a time."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def open_writer(path: Path, layouts: list[Layout]) -> tuple[sqlite3.Connection, bytes]:
    """The writing connection with everything made that is missing, and the secret that seals cursors.

    Raises Invalid when the file isn't a store of this AEN, Unavailable when it can't be used.
    """
    connection = None
    try:
        connection = connect(path)
        _recognise(connection, path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA journal_size_limit=67108864")
        connection.execute("BEGIN IMMEDIATE")
        make(connection, layouts)
        secret = _secret(connection)
        connection.execute("COMMIT")
    except BaseException as error:
        if connection is not None:
            connection.close()
        raise _told(error, path) from error
    return connection, secret


def _recognise(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == 0 and tables == 0:
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={FORMAT}")
        return
    if application != APPLICATION:
        raise Invalid(f"store.url: {path} is an SQLite file, but not a store of AEN. Choose another path.")
    if version > FORMAT:
        raise Invalid(
            f"store.url: {path} was written by a newer AEN (format {version}, this one knows {FORMAT}). Update AEN."
        )


def _secret(connection: sqlite3.Connection) -> bytes:
    connection.execute("CREATE TABLE IF NOT EXISTS aen_store(name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
    connection.execute("INSERT OR IGNORE INTO aen_store VALUES('cursor', ?)", (secrets.token_bytes(32),))
    (secret,) = connection.execute("SELECT value FROM aen_store WHERE name='cursor'").fetchone()
    return bytes(secret)


def _told(error: BaseException, path: Path) -> BaseException:
    if isinstance(error, AenError) or not isinstance(error, sqlite3.Error):
        return error
    if "fts5" in str(error):
        return Unavailable("This Python's SQLite was built without FTS5, which search needs. Use another Python build.")
    if isinstance(error, sqlite3.OperationalError):
        return Unavailable(f"store.url: {path} can't be opened: {error}. Check the disk, its owner and its mode.")
    return Unavailable(f"store.url: {path} is damaged or not a store of AEN ({error}). Restore it from a backup.")


def _make_private(path: Path) -> None:
    """Make the file if it is missing, and take everybody else's rights away: SQLite gives its helpers the same mode."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "not a regular file")
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
