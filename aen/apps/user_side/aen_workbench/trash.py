"""Trash: what is deleted in the project goes to `.trash` there, each thing in a folder of its own, until somebody empties it.

`.trash/<time>-<random>/` holds the thing under its own name and `.aen-trash-info`: where it was, who deleted it, when.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from . import access, acl, trees
from .folders import account, row
from .paths import O_FOLDER, TRASH, Places, from_wire, listable, proc, to_wire
from .words import Trouble, shown

_INFO = b".aen-trash-info"
_ENTRY = re.compile(r"[0-9]{10,16}-[0-9a-f]{8}")
_MOST = 1000
_LATEST = 4_000_000_000_000  # ms since 1970


def put(places: Places, path: bytes) -> dict[str, Any]:
    """Into the trash; the entry's name is returned, for undoing. Raises OSError, or Trouble outside the project and home."""
    root = places.root_of(path)
    if root is None:
        raise Trouble(409, "no-trash", "There is no trash here. It can only be deleted for good.")
    entry = f"{int(time.time() * 1000)}-{secrets.token_hex(4)}"
    with places.parent(path) as (source, name), _top(places, root, make=True) as top:
        info = {"path": to_wire(path), "by": account(os.geteuid()), "at": int(time.time() * 1000)}
        fd = _new_entry(places, top, entry, path, info)
        try:
            trees.move(source, name, fd, name)
        except OSError as error:
            _drop(top, entry.encode())
            if error.errno == errno.EXDEV:
                raise Trouble(
                    409, "no-trash", "It lies on a disk without a trash. It can only be deleted for good."
                ) from None
            raise
        finally:
            os.close(fd)
    return {"entry": entry, "root": to_wire(root)}


def remove(places: Places, path: bytes) -> dict[str, Any]:
    """Delete for good. Raises OSError."""
    count = trees.Count()
    with places.parent(path) as (fd, name):
        os.stat(name, dir_fd=fd, follow_symlinks=False)
        trees.remove(fd, name, count)
    return {"removed": count.done}


def look(places: Places, root: bytes) -> dict[str, Any]:
    """What is in the trash, latest first."""
    rows = []
    with suppress(FileNotFoundError), _top(places, root) as top:
        for entry in _entries(top):
            with suppress(OSError, Trouble):
                rows.append(_row(top, entry))
    return {"rows": sorted(rows, key=lambda one: -one["at"])[:_MOST], "total": len(rows)}


def restore(places: Places, root: bytes, entry: str) -> dict[str, Any]:
    """Back to where it was; beside, when the name is taken by now. Raises OSError or Trouble."""
    with _top(places, root) as top, _opened(top, entry) as fd:
        info = _info(fd)
        name = _thing(fd)
        path = from_wire(info["path"])
        if places.root_of(path) != root:
            raise Trouble(409, "path", "Nobody knows where this was: it can't be put back.")
        above = path.rpartition(b"/")[0]
        _make_folders(places, root, above)
        with places.folder(above) as target:
            new = name
            try:
                trees.move(fd, name, target, name)
            except FileExistsError:
                new = trees.free_name(target, name, "restored")
                trees.move(fd, name, target, new)
        _drop(top, entry.encode())
    return {"path": to_wire(above + b"/" + new)}


def empty(places: Places, root: bytes, only: str = "") -> dict[str, Any]:
    """Delete for good what is in the trash, or one entry of it. What others may delete only is left and counted."""
    count, left = trees.Count(), 0
    with suppress(FileNotFoundError), _top(places, root) as top:
        for entry in [only] if only else list(_entries(top)):
            _check(entry)
            try:
                trees.remove(top, entry.encode(), count)
            except PermissionError:
                left += 1
    return {"removed": count.done, "left": left}


def keep_version(places: Places, path: bytes, data: bytes) -> None:
    """Keep what somebody is about to replace in an editor. Raises OSError."""
    root = places.root_of(path)
    if root is None:
        return
    entry = f"{int(time.time() * 1000)}-{secrets.token_hex(4)}"
    info = {"path": to_wire(path), "by": account(os.geteuid()), "at": int(time.time() * 1000), "replaced": True}
    with _top(places, root, make=True) as top:
        fd = _new_entry(places, top, entry, path, info)
        try:
            _write(fd, path.rpartition(b"/")[2], data)
        finally:
            os.close(fd)


# ── how ─────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _top(places: Places, root: bytes, *, make: bool = False) -> Iterator[int]:
    """The trash folder of a root. Raises OSError."""
    with places.folder(root) as fd:
        if make:
            with suppress(FileExistsError):
                os.mkdir(TRASH, dir_fd=fd)
        top = os.open(TRASH, O_FOLDER, dir_fd=fd)
    try:
        yield top
    finally:
        os.close(top)


def _new_entry(places: Places, top: int, entry: str, path: bytes, info: dict[str, Any]) -> int:
    os.mkdir(entry, dir_fd=top)
    fd = os.open(entry, O_FOLDER, dir_fd=top)
    try:
        _close_to_strangers(places, fd, path)
        _write(fd, _INFO, json.dumps(info).encode())
    except BaseException:
        os.close(fd)
        _drop(top, entry.encode())
        raise
    return fd


def _close_to_strangers(places: Places, fd: int, path: bytes) -> None:
    """Who could not get to it where it was, or not read it, must not in the trash either."""
    if places.root_of(path) != places.project:
        return
    people = acl.team(os.fsdecode(places.project))
    entitled = access.entitled(places, path)
    wish = acl.Wish({person.uid: 0 for person in people if person.uid not in entitled})
    if wish.rights:
        mode = os.fstat(fd).st_mode
        acl.write(proc(fd), acl.made(people, wish, mode, 0, 0))


def _opened(top: int, entry: str) -> Any:
    _check(entry)

    @contextmanager
    def opened() -> Iterator[int]:
        fd = os.open(entry, O_FOLDER, dir_fd=top)
        try:
            yield fd
        finally:
            os.close(fd)

    return opened()


def _check(entry: str) -> None:
    if not _ENTRY.fullmatch(entry):
        raise Trouble(404, "gone", "There is nothing of that name in the trash.")


def _entries(top: int) -> Iterator[str]:
    fd = listable(top)
    try:
        yield from (name for name in os.listdir(fd) if _ENTRY.fullmatch(name))
    finally:
        os.close(fd)


def _row(top: int, entry: str) -> dict[str, Any]:
    with _opened(top, entry) as fd:
        info, name = _info(fd), _thing(fd)
        path = from_wire(info["path"])
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        return row(name, path, status) | {
            "entry": entry,
            "from": shown(path.rpartition(b"/")[0]),
            "by": shown(info["by"].encode(errors="replace")),
            "at": info["at"],
            "replaced": info["replaced"],
        }


def _info(fd: int) -> dict[str, Any]:
    """What is written about an entry: by somebody of the team, who may write anything."""
    read = os.open(_INFO, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    try:
        if not stat.S_ISREG(os.fstat(read).st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        info = json.loads(os.read(read, 65536))
        return {
            "path": str(info["path"]),
            "by": str(info["by"])[:100],
            "at": min(max(int(info["at"]), 0), _LATEST),
            "replaced": info.get("replaced") is True,
        }
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        raise Trouble(409, "path", "Nobody knows where this was: it can't be put back.") from None
    finally:
        os.close(read)


def _thing(fd: int) -> bytes:
    """The name of the one thing in an entry. Raises FileNotFoundError."""
    listed = listable(fd)
    try:
        names = [os.fsencode(name) for name in os.listdir(listed)]
    finally:
        os.close(listed)
    for name in names:
        if name != _INFO:
            return name
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _make_folders(places: Places, root: bytes, path: bytes) -> None:
    """The folder where it was, made again when that is gone too. Raises OSError."""
    made = root
    for part in path[len(root) :].strip(b"/").split(b"/"):
        if part:
            with places.folder(made) as fd, suppress(FileExistsError):
                os.mkdir(part, dir_fd=fd)
            made += b"/" + part


def _write(folder: int, name: bytes, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o666, dir_fd=folder)
    try:
        trees.write_all(fd, data)
    finally:
        os.close(fd)


def _drop(top: int, entry: bytes) -> None:
    with suppress(OSError):
        trees.remove(top, entry, trees.Count())
