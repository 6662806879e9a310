"""Trees: made, moved, copied and removed by descriptors, so that a link planted meanwhile leads nobody anywhere."""

from __future__ import annotations

import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from .paths import O_FOLDER, O_LIST, O_READ
from .words import Trouble

_NOREPLACE = 1
_CHUNK = 1 << 20
_DEEPEST = 200
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Count:
    """What was done: inodes, and those left out (special files, and what could not be read)."""

    done: int = 0
    left: int = 0


def move(source: int, name: bytes, target: int, new: bytes) -> None:
    """Rename without ever replacing what has the new name. Raises OSError (EEXIST)."""
    if _libc.renameat2(source, name, target, new, _NOREPLACE) == 0:  # Python's own rename would replace
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(number, os.strerror(number))
    with suppress(FileNotFoundError):  # a file system that can't do it in one step
        os.stat(new, dir_fd=target, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(name, new, src_dir_fd=source, dst_dir_fd=target)


def is_below(folder: int, top: int) -> bool:
    """Whether the folder `folder` lies in (or is) the folder `top`: told by going up."""
    wanted = os.fstat(top)
    fd = os.dup(folder)
    try:
        while True:
            here = os.fstat(fd)
            if (here.st_dev, here.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
            above = os.open(b"..", O_FOLDER, dir_fd=fd)
            os.close(fd)
            fd = above
            up = os.fstat(fd)
            if (up.st_dev, up.st_ino) == (here.st_dev, here.st_ino):
                return False
    except PermissionError:
        return False
    finally:
        os.close(fd)


def copy(source: int, name: bytes, target: int, new: bytes, count: Count, depth: int = 0) -> None:
    """Copy a file, a link, or a folder with all in it, to a name that is free. Raises OSError."""
    status = os.stat(name, dir_fd=source, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        _copy_folder(source, name, target, new, count, depth)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source), new, dir_fd=target)
        count.done += 1
    elif stat.S_ISREG(status.st_mode):
        _copy_file(source, name, target, new, status)
        count.done += 1
    else:
        count.left += 1


def _copy_folder(source: int, name: bytes, target: int, new: bytes, count: Count, depth: int) -> None:
    if depth > _DEEPEST:
        raise Trouble(409, "deep", f"The folders lie deeper than {_DEEPEST} levels.")
    with _opened(source, name) as inside:
        os.mkdir(new, dir_fd=target)
        count.done += 1
        with _opened(target, new) as made:
            for each in sorted(os.listdir(inside)):
                _copy_inner(inside, os.fsencode(each), made, count, depth + 1)


def _copy_inner(source: int, name: bytes, target: int, count: Count, depth: int) -> None:
    """What can't be read is left out and counted; a full disk ends it."""
    try:
        copy(source, name, target, name, count, depth)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ELOOP):
            raise
        count.left += 1


def _copy_file(source: int, name: bytes, target: int, new: bytes, status: os.stat_result) -> None:
    read = os.open(name, O_READ, dir_fd=source)
    try:
        if not stat.S_ISREG(os.fstat(read).st_mode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        mode = 0o777 if status.st_mode & 0o100 else 0o666
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        write = os.open(new, flags, mode, dir_fd=target)
        try:
            copy_bytes(read, write)
        except OSError:
            os.unlink(new, dir_fd=target)  # half a copy is worse than none
            raise
        finally:
            os.close(write)
    finally:
        os.close(read)


def copy_bytes(read: int, write: int) -> None:
    """All that is left to read. Raises OSError."""
    while data := os.read(read, _CHUNK):
        write_all(write, data)


def write_all(fd: int, data: bytes) -> None:
    """Write all of it. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def remove(parent: int, name: bytes, count: Count) -> None:
    """Remove a file, or a folder with all in it, for good. Fine when it is gone. Raises OSError."""
    with suppress(FileNotFoundError):
        if _is_folder(parent, name):
            with _opened(parent, name) as inside:
                while names := os.listdir(inside):  # what lay too deep has come up meanwhile
                    for each in names:
                        _remove_inner(inside, os.fsencode(each), inside, count, 1)
            os.rmdir(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
        count.done += 1


def _remove_inner(parent: int, name: bytes, top: int, count: Count, depth: int) -> None:
    """One thing in a folder that goes. Folders that lie deep go up to `top` first: a descriptor is open for each level."""
    with suppress(FileNotFoundError):
        if not _is_folder(parent, name):
            os.unlink(name, dir_fd=parent)
        elif depth > _DEEPEST:
            os.rename(name, b"deep-" + secrets.token_hex(8).encode(), src_dir_fd=parent, dst_dir_fd=top)
            return
        else:
            with _opened(parent, name) as inside:
                for each in os.listdir(inside):
                    _remove_inner(inside, os.fsencode(each), top, count, depth + 1)
            os.rmdir(name, dir_fd=parent)
        count.done += 1


def _is_folder(parent: int, name: bytes) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


@contextmanager
def _opened(parent: int, name: bytes) -> Iterator[int]:
    fd = os.open(name, O_LIST, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


def free_name(folder: int, name: bytes, word: str) -> bytes:
    """A name like `name` that nothing has: "notes (copy).md", "notes (copy 2).md"."""
    stem, dot, ending = name.rpartition(b".")
    if not stem:
        stem, dot, ending = name, b"", b""
    for number in range(1, 1000):
        added = f" ({word}{f' {number}' if number > 1 else ''})".encode()
        tried = stem[: 255 - len(added) - len(dot) - len(ending)] + added + dot + ending
        try:
            os.stat(tried, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return tried
    raise Trouble(409, "exists", "There are a thousand of that name already.")
