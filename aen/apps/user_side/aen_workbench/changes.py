"""Changes: new files and folders, renaming, moving, copying. Nothing is ever replaced without a word."""

from __future__ import annotations

import errno
import os
from typing import Any

from . import trees
from .paths import Places, to_wire
from .words import Trouble


def make(places: Places, folder: bytes, name: bytes, kind: str) -> dict[str, Any]:
    """A new empty file or folder. Raises OSError."""
    with places.folder(folder) as fd:
        if kind == "folder":
            os.mkdir(name, dir_fd=fd)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            os.close(os.open(name, flags, 0o666, dir_fd=fd))
    return {"path": to_wire(folder + b"/" + name)}


def rename(places: Places, path: bytes, name: bytes) -> dict[str, Any]:
    """Another name in the same folder. Raises OSError."""
    with places.parent(path) as (fd, old):
        if old != name:
            trees.move(fd, old, fd, name)
    return {"path": to_wire(path.rpartition(b"/")[0] + b"/" + name)}


def move(places: Places, path: bytes, folder: bytes) -> dict[str, Any]:
    """Into another folder, under the same name; onto another disk it is copied, then removed here. Raises OSError."""
    with places.parent(path) as (source, name), places.folder(folder) as target:
        _not_into_itself(source, name, target)
        try:
            trees.move(source, name, target, name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _move_over(source, name, target)
    return {"path": to_wire(folder + b"/" + name)}


def copy(places: Places, path: bytes, folder: bytes) -> dict[str, Any]:
    """A copy in a folder; where the name is taken it is "name (copy)". Raises OSError."""
    count = trees.Count()
    with places.parent(path) as (source, name), places.folder(folder) as target:
        _not_into_itself(source, name, target)
        new = trees.free_name(target, name, "copy") if _exists(target, name) else name
        try:
            trees.copy(source, name, target, new, count)
        except OSError:
            if not _is_plain(source, name):
                trees.remove(target, new, trees.Count())  # a folder half copied, because the disk is full
            raise
    return {"path": to_wire(folder + b"/" + new), "left": count.left}


def _move_over(source: int, name: bytes, target: int) -> None:
    """Copied whole before anything goes: what could not be read would be lost else."""
    if _exists(target, name):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    count = trees.Count()
    try:
        trees.copy(source, name, target, name, count)
        if count.left:
            raise Trouble(409, "left", f"{count.left} files can't be read or copied, so nothing was moved.")
    except (OSError, Trouble):
        trees.remove(target, name, trees.Count())
        raise
    trees.remove(source, name, trees.Count())


def _not_into_itself(source: int, name: bytes, target: int) -> None:
    if _is_plain(source, name):
        return
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
    try:
        inside = trees.is_below(target, fd)
    finally:
        os.close(fd)
    if inside:
        raise Trouble(409, "inside", "A folder can't be put into itself.")


def _is_plain(folder: int, name: bytes) -> bool:
    """Whether it is no folder. Raises OSError when there is nothing."""
    return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode & 0o170000 != 0o040000


def _exists(folder: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
