"""Trees of files by directory descriptors: opened, copied, removed without following anybody's symlink."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from aen.errors import Conflict

O_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
STAGING = ".aen-staging"  # in the project root, ours alone: things are built and thrown away here
_CHUNK = 1 << 20
_MOST_ASIDE = 1000
_NOT_COPIED = frozenset({"__pycache__", ".gitkeep"})


@contextmanager
def opened(top: str | int, *parts: str) -> Iterator[int]:
    """A descriptor of the directory `top/part/part`; no part may be a symlink. Raises OSError."""
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if isinstance(top, str) else os.dup(top)
    try:
        for part in parts:
            deeper = os.open(part, O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = deeper
        yield fd
    finally:
        os.close(fd)


def exists(name: str, parent: int) -> bool:
    """Whether there is anything of that name, a dangling symlink included."""
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def move_aside(name: str, parent: int) -> str:
    """Rename an entry to `<name>.moved-aside-<n>`, whatever it is; nothing is followed. Raises Conflict, OSError.

    Those who may exchange it meanwhile may rename and remove whatever lies here anyway.
    """
    for number in range(1, _MOST_ASIDE):
        new = f"{name}.moved-aside-{number}"
        if not exists(new, parent):
            os.rename(name, new, src_dir_fd=parent, dst_dir_fd=parent)
            return new
    raise Conflict(f"There are too many {name}.moved-aside-… already: remove some.")


def make_directory(name: str, parent: int, mode: int) -> bool:
    """Make a directory of ours. False: something of that name is there."""
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        return False
    with opened(parent, name) as fd:
        os.fchmod(fd, mode)
    return True


@contextmanager
def staging(root: int) -> Iterator[int]:
    """The staging directory of a project root. Raises Conflict when it is not ours alone."""
    make_directory(STAGING, root, 0o700)
    with opened(root, STAGING) as fd:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise Conflict(f"{STAGING} in the project root does not belong to AEN alone: move it away.")
        yield fd


@contextmanager
def built(root: int) -> Iterator[tuple[int, str, int]]:
    """A new directory in staging: (staging, its name, itself). What is still there at the end is removed."""
    name = f"new-{secrets.token_hex(8)}"
    with staging(root) as stage:
        os.mkdir(name, 0o700, dir_fd=stage)
        try:
            with opened(stage, name) as fd:
                yield stage, name, fd
        finally:
            remove(name, stage)


def remove(name: str, parent: int) -> None:
    """Remove a file or a directory with all in it. Fine when it is gone. Raises OSError."""
    try:
        os.unlink(name, dir_fd=parent)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
    _remove_directory(name, parent)


def _remove_directory(name: str, parent: int) -> None:
    """Level by level with a list instead of recursion: somebody may have made 3000 levels.

    What is below a directory is moved up into `parent` first, so that only two descriptors are ever open.
    """
    heap = [name]
    while heap:
        current = heap[-1]
        try:
            fd = _open_writable(current, parent)
        except FileNotFoundError:
            heap.pop()
            continue
        try:
            heap += _empty(fd, parent)
        finally:
            os.close(fd)
        if heap[-1] == current:
            os.rmdir(current, dir_fd=parent)
            heap.pop()


def _open_writable(name: str, parent: int) -> int:
    """A directory that we can empty: without root, one whose owner took away their own rights gets them back."""
    if os.geteuid() != 0 and stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        with suppress(PermissionError):
            os.chmod(name, 0o700, dir_fd=parent)
    return os.open(name, O_DIRECTORY, dir_fd=parent)


def _empty(fd: int, parent: int) -> list[str]:
    """Unlink the files in a directory; its directories go up to `parent` under new names, which are given back."""
    moved = []
    with os.scandir(fd) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_directory in entries:
        with suppress(FileNotFoundError):
            if not is_directory:
                os.unlink(name, dir_fd=fd)
                continue
            os.close(_open_writable(name, fd))  # moving a directory writes to it
            new = f"gone-{secrets.token_hex(8)}"
            os.rename(name, new, src_dir_fd=fd, dst_dir_fd=parent)
            moved.append(new)
    return moved


def copy(source: int, target: int, owner: tuple[int, int] | None) -> int:
    """Copy what is in one directory into another, for `owner`; how many inodes. Special files are left out."""
    count = 0
    for name in sorted(_names(source)):
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        count += 1
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            with opened(source, name) as deeper, opened(target, name) as made:
                count += copy(deeper, made, owner)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISREG(status.st_mode):
            copy_file(name, source, target, 0o700 if status.st_mode & 0o100 else 0o600)
        else:
            continue
        if owner is not None:
            os.chown(name, *owner, dir_fd=target, follow_symlinks=False)
    return count


def copy_file(name: str, source: int, target: int, mode: int) -> None:
    """Copy one regular file's content into a new file."""
    read = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=source)
    try:
        write = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=target)
        try:
            while data := os.read(read, _CHUNK):
                view = memoryview(data)
                while view:
                    view = view[os.write(write, view) :]
        finally:
            os.close(write)
    finally:
        os.close(read)


def _names(fd: int) -> Iterable[str]:
    with os.scandir(fd) as found:
        return [entry.name for entry in found if entry.name not in _NOT_COPIED]
