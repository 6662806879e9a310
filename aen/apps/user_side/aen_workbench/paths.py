"""Paths: how they come over the wire, and how they are opened without following anybody's link.

A path is bytes. On the wire it is absolute and percent-encoded, because names need not be text. What leads to the project
or to the person's home is the site's and may be links; below, every part is opened by itself with O_NOFOLLOW: in a folder
that a team may write to, somebody else's link must not lead us into our own home.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes

from .words import Trouble

O_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
O_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
O_PINNED = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
O_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
LONGEST_NAME = 255  # bytes
TRASH = b".trash"
PARTIAL = b".aen-upload-"  # uploads that are not whole yet
HIDDEN = (TRASH, b".aen-staging")


def from_wire(text: str) -> bytes:
    """The path that a request names. Raises Trouble when it is none."""
    path = unquote_to_bytes(text)
    if not path.startswith(b"/") or b"\0" in path or len(path) > 4096:
        raise Trouble(400, "path", "This is no path.")
    parts = [part for part in path.split(b"/") if part]
    if any(part in (b".", b"..") for part in parts):
        raise Trouble(400, "path", "A path must not hold “.” or “..”.")
    return b"/" + b"/".join(parts)


def to_wire(path: bytes) -> str:
    """A path for the page."""
    return quote_from_bytes(path, safe="/")


def new_name(text: str) -> bytes:
    """A name that a person chose, percent-encoded. Raises Trouble when no file can have it."""
    name = unquote_to_bytes(text)
    if not name or name in (b".", b"..") or b"/" in name or b"\0" in name:
        raise Trouble(400, "name", "A name must not be empty, “.” or “..”, and must not hold a slash.")
    if len(name) > LONGEST_NAME:
        raise Trouble(400, "name", f"The name is too long: {LONGEST_NAME} bytes at most.")
    if name in HIDDEN or name.startswith(PARTIAL):
        raise Trouble(400, "name", "This name is kept for the Workbench itself. Choose another.")
    return name


@dataclass(frozen=True)
class Places:
    """Where this Workbench is at home."""

    project: bytes
    home: bytes

    def root_of(self, path: bytes) -> bytes | None:
        """The project or the home that `path` lies in, or None."""
        for root in (self.project, self.home):
            if path == root or path.startswith(root + b"/"):
                return root
        return None

    @contextmanager
    def folder(self, path: bytes) -> Iterator[int]:
        """An O_PATH descriptor of a folder. Raises OSError."""
        root = self.root_of(path) or b"/"
        fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in path[len(root) :].split(b"/"):
                if part:
                    deeper = _enter(part, fd)
                    os.close(fd)
                    fd = deeper
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """The folder that holds `path`, and its name in there. Raises Trouble for the roots themselves."""
        if path == b"/" or path in (self.project, self.home):
            raise Trouble(400, "path", "This folder itself can't be moved, renamed or deleted here.")
        above, _, name = path.rpartition(b"/")
        with self.folder(above or b"/") as fd:
            yield fd, name

    @contextmanager
    def file(self, path: bytes, flags: int = O_READ) -> Iterator[int]:
        """A descriptor of a regular file. Raises OSError, or Trouble when it is something else."""
        with self.parent(path) as (folder, name):
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise Trouble(409, "no-file", "It is no file.")
            fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):  # a pipe or a device took its place
                raise Trouble(409, "no-file", "It is no file.")
            yield fd
        finally:
            os.close(fd)


def _enter(name: bytes, parent: int) -> int:
    """The folder of that name. A link is told apart from a file: the kernel says the same of both."""
    try:
        return os.open(name, O_FOLDER, dir_fd=parent)
    except NotADirectoryError:
        with suppress(OSError):
            if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise Trouble(409, "link", "There is a link on the way. Open what it leads to instead.") from None
        raise


def listable(fd: int) -> int:
    """A descriptor by which the folder that `fd` pins can be read. The caller closes it."""
    return os.open(b".", O_LIST, dir_fd=fd)


def proc(fd: int) -> str:
    """A path to what a descriptor holds, for calls that want a path."""
    return f"/proc/self/fd/{fd}"
