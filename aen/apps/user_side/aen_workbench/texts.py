"""Texts: read and saved whole, guarded by an ETag, so that nobody's change is lost without being seen.

A text is written in place: its owner, its rights and its other names stay. Two Workbenches lock the file itself while they
compare and write. Room is reserved first; if writing fails all the same, the text is put back as it was.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from typing import Any

from aen_languages import size as size_text

from . import trash
from .folders import account
from .paths import Places, proc
from .trees import write_all
from .words import Trouble

LARGEST = 2 << 20  # bytes


def read(places: Places, path: bytes) -> dict[str, Any]:
    """The text with its ETag, and whether one may write it. Raises OSError, or Trouble for what is no text."""
    with places.file(path) as fd:
        data = _content(fd)
        status = os.fstat(fd)
        return {
            "text": _text(data),
            "etag": etag(data),
            "writable": os.access(proc(fd), os.W_OK),
            "owner": account(status.st_uid),
            "modified": status.st_mtime_ns // 1_000_000,
        }


def stamp(places: Places, path: bytes, known: int) -> dict[str, Any]:
    """Whether a text changed since `known` (its time in ms): the new ETag, if so. Raises OSError."""
    with places.file(path) as fd:
        modified = os.fstat(fd).st_mtime_ns // 1_000_000
        return {"modified": modified} | ({"etag": etag(_content(fd))} if modified != known else {})


def save(places: Places, path: bytes, data: bytes, match: str, *, keep: bool) -> dict[str, Any]:
    """Replace the text that has the ETag `match`. `keep`: the text that is replaced goes to the trash (it is another's).

    Raises Trouble 412 with the text as it is now when it is another one.
    """
    if len(data) > LARGEST:
        raise Trouble(413, "too-large", f"A text of more than {size_text(LARGEST)} can't be saved here.")
    _text(data)
    with places.file(path, os.O_RDWR) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX)  # let go by closing
        _still_there(places, path, fd)
        before = _content(fd)
        status = os.fstat(fd)
        if etag(before) != match:
            raise Trouble(
                412,
                "changed",
                "Somebody else changed this file meanwhile. Nothing was saved yet: see both versions.",
                text=before.decode("utf-8", errors="replace"),
                etag=etag(before),
                modified=status.st_mtime_ns // 1_000_000,
            )
        if keep:
            trash.keep_version(places, path, before)
        _write(fd, before, data)
        return {"etag": etag(data), "modified": os.fstat(fd).st_mtime_ns // 1_000_000}


def etag(data: bytes) -> str:
    """What tells one content from another."""
    return hashlib.sha256(data).hexdigest()


def _content(fd: int) -> bytes:
    if os.fstat(fd).st_size > LARGEST:
        size = size_text(os.fstat(fd).st_size)
        raise Trouble(
            413, "too-large", f"The file is too large to be edited here ({size}; {size_text(LARGEST)} at most)."
        )
    os.lseek(fd, 0, os.SEEK_SET)
    parts, left = [], LARGEST + 1
    while left > 0 and (part := os.read(fd, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _text(data: bytes) -> str:
    if b"\0" in data:
        raise Trouble(415, "binary", "This is no text. It can be downloaded.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Trouble(
            415, "binary", "This is no text in UTF-8, so editing could damage it. It can be downloaded."
        ) from None


def _still_there(places: Places, path: bytes, fd: int) -> None:
    """Whether what we locked still has that name: another program may have put a new file in its place."""
    here = os.fstat(fd)
    with places.parent(path) as (folder, name):
        now = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if (here.st_dev, here.st_ino) != (now.st_dev, now.st_ino):
        raise Trouble(409, "busy", "The file is being replaced just now. Save again.")


def _write(fd: int, before: bytes, data: bytes) -> None:
    if len(data) > len(before):
        _reserve(fd, len(data))
    try:
        _put(fd, data)
    except OSError:
        _put(fd, before)
        raise


def _reserve(fd: int, size: int) -> None:
    """Room for that many bytes, so that a full disk is told before anything is overwritten."""
    length = os.fstat(fd).st_size
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        os.ftruncate(fd, length)
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that can't reserve
            raise


def _put(fd: int, data: bytes) -> None:
    os.lseek(fd, 0, os.SEEK_SET)
    write_all(fd, data)
    os.ftruncate(fd, len(data))
    os.fsync(fd)
