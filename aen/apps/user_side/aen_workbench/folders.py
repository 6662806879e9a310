"""Folders: what is in one, and what in it has a name like what somebody types."""

from __future__ import annotations

import heapq
import os
import pwd
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .paths import HIDDEN, O_FOLDER, PARTIAL, Places, listable, to_wire
from .words import shown, trouble

MOST_ROWS = 2000  # of one folder; beyond, people search
_MOST_FOUND = 200
_SEARCH_SECONDS = 5.0
_DEEPEST = 100


@dataclass(frozen=True)
class View:
    """How a folder is to be shown."""

    sort: str = "name"
    descending: bool = False
    hidden: bool = False  # names that begin with a dot


def look(places: Places, path: bytes, view: View) -> dict[str, Any]:
    """A folder: its rows (folders first), who owns it, and whether one may write to it. Raises OSError."""
    with places.folder(path) as pinned:
        status = os.stat(pinned)
        fd = listable(pinned)
        try:
            folders, others, partial = _listed(fd, view)
            first = _first(fd, folders, view, MOST_ROWS)
            first += _first(fd, others, view, MOST_ROWS - len(first))
            rows = [_row_in(fd, name, path, each) for name, each in first]
        finally:
            os.close(fd)
        writable = os.access(f"/proc/self/fd/{pinned}", os.W_OK | os.X_OK)
    return {
        "path": to_wire(path),
        "owner": account(status.st_uid),
        "mine": status.st_uid == os.geteuid(),
        "writable": writable,
        "total": len(folders) + len(others),
        "rows": rows,
        "partial": partial,
    }


def row(name: bytes, path: bytes, status: os.stat_result) -> dict[str, Any]:
    """One thing in a folder, as the page needs it. `path` is its own."""
    return {
        "name": shown(name),
        "path": to_wire(path),
        "kind": _kind(status.st_mode),
        "size": status.st_size if stat.S_ISREG(status.st_mode) else 0,
        "modified": status.st_mtime_ns // 1_000_000,
        "owner": account(status.st_uid),
        "mine": status.st_uid == os.geteuid(),
        "program": bool(stat.S_ISREG(status.st_mode) and status.st_mode & 0o100),
    }


@lru_cache(maxsize=1024)
def account(uid: int) -> str:
    """The name of a Linux account; its number when it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


_SORTS: dict[str, Callable[[os.stat_result], Any]] = {  # names are sorted without looking at what has them
    "size": lambda status: status.st_size if stat.S_ISREG(status.st_mode) else 0,
    "modified": lambda status: status.st_mtime_ns,
    "owner": lambda status: account(status.st_uid),
}


def resolve(path: bytes) -> bytes:
    """Where a path leads, links followed: only ever when a person asked to go there. Raises OSError."""
    return os.path.realpath(path, strict=True)


def search(places: Places, path: bytes, words: str, stopped: Callable[[], bool]) -> dict[str, Any]:
    """What lies below `path` and has all of `words` in its name, letter case aside."""
    wanted = [word.encode() for word in words.casefold().split()]
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + _SEARCH_SECONDS
    complete = True
    for above, fd, name in _below(places, path):
        if len(found) >= _MOST_FOUND or time.monotonic() > deadline or stopped():
            complete = False
            break
        folded = shown(name).casefold().encode(errors="replace")
        if wanted and all(word in folded for word in wanted):
            with suppress(OSError):
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                found.append(row(name, above + b"/" + name, status) | {"folder": shown(above[len(path) + 1 :])})
    return {"rows": found, "complete": complete}


def _below(places: Places, path: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """(path of the folder, its descriptor, name) of everything below, nearest first. What can't be read is passed over."""
    waiting = [path]
    for current in waiting:
        with suppress(OSError), places.folder(current) as pinned:
            fd = listable(pinned)
            try:
                for name, is_folder in _names(fd):
                    yield current, fd, name
                    deep = current.count(b"/") - path.count(b"/") >= _DEEPEST
                    if is_folder and not deep and not _passed_over(places, current, name):
                        waiting.append(current + b"/" + name)
            finally:
                os.close(fd)


def _passed_over(places: Places, above: bytes, name: bytes) -> bool:
    """The trash, and environments: a hundred thousand files that nobody looks for by name."""
    return name in HIDDEN or name in (b"__pycache__", b".git") or (above == places.project and name == b"envs")


def _names(fd: int) -> list[tuple[bytes, bool]]:
    with os.scandir(fd) as found:
        entries = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in found]
    return sorted(one for one in entries if not one[0].startswith(PARTIAL) and one[0] not in HIDDEN)


def _listed(fd: int, view: View) -> tuple[list[bytes], list[bytes], dict[str, int]]:
    """The names of folders, those of all else, and what there is of one's own uploads that are not whole."""
    folders: list[bytes] = []
    others: list[bytes] = []
    partial = {"count": 0, "bytes": 0}
    with os.scandir(fd) as found:
        for entry in found:
            name = os.fsencode(entry.name)
            if name.startswith(PARTIAL):
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_uid == os.geteuid():
                        partial = {"count": partial["count"] + 1, "bytes": partial["bytes"] + status.st_size}
            elif name not in HIDDEN and (view.hidden or not name.startswith(b".")):
                with suppress(OSError):
                    (folders if entry.is_dir(follow_symlinks=False) else others).append(name)
    return folders, others, partial


def _first(fd: int, names: list[bytes], view: View, most: int) -> list[tuple[bytes, os.stat_result]]:
    """The first `most` of these in the order that is wanted. A million may be there: no more than needed is kept of them."""
    pick = heapq.nlargest if view.descending else heapq.nsmallest
    if sort := _SORTS.get(view.sort):
        return pick(most, _looked_at(fd, names), key=lambda each: sort(each[1]))
    return list(_looked_at(fd, pick(most, names, key=lambda name: shown(name).casefold())))


def _looked_at(fd: int, names: list[bytes]) -> Iterator[tuple[bytes, os.stat_result]]:
    for name in names:
        with suppress(OSError):  # gone meanwhile
            yield name, os.stat(name, dir_fd=fd, follow_symlinks=False)


def _row_in(fd: int, name: bytes, path: bytes, status: os.stat_result) -> dict[str, Any]:
    made = row(name, (path if path != b"/" else b"") + b"/" + name, status)
    if made["kind"] == "link":
        with suppress(OSError):
            made["target"] = shown(os.readlink(name, dir_fd=fd))
    return made


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISREG(mode):
        return "file"
    return "link" if stat.S_ISLNK(mode) else "other"


def reachable(places: Places, path: bytes) -> str:
    """Empty when the folder can be opened; else why not, in words."""
    try:
        with places.folder(path) as pinned:
            os.stat(pinned)
            os.close(os.open(b".", O_FOLDER, dir_fd=pinned))
    except OSError as error:
        return trouble(error).message
    return ""
