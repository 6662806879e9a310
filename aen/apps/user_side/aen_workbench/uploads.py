"""Uploads: in pieces, each at its offset, into a hidden partial file beside the target; resumed after a break, never mixed.

The partial's name holds who uploads and a key that the page makes of the file's name, size and time: the same file goes on
where it stopped, another one, or the same one of somebody else, is another partial.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aen_languages import size as size_text

from . import acl, trash, trees
from .paths import O_PINNED, PARTIAL, Places, listable, proc, to_wire
from .words import Trouble

_SPARE = 16 << 20  # bytes that an upload leaves free
_STALE_SECONDS = 14 * 86_400
_LARGEST = 1 << 44


@dataclass(frozen=True)
class Upload:
    """One file on its way: where to, under which name, how many bytes, and the page's key for it."""

    folder: bytes
    name: bytes
    size: int
    key: str

    @property
    def partial(self) -> bytes:
        """The name of its partial file."""
        text = f"{os.geteuid()}\0{self.key}\0{self.size}\0".encode() + self.name
        return PARTIAL + hashlib.sha256(text).hexdigest()[:32].encode()


class Uploads:
    """All uploads of this Workbench. One piece of one partial is written at a time."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._busy: set[tuple[bytes, bytes]] = set()
        self.room: int | None = None  # bytes that the project may still grow by, as the node said last; None: no bound

    @property
    def under_way(self) -> bool:
        """Whether something is being written now."""
        return bool(self._busy)

    def begin(self, upload: Upload) -> dict[str, Any]:
        """How much of it is here already, and whether the name is taken. Raises OSError or Trouble (no room)."""
        if not 0 <= upload.size <= _LARGEST:
            raise Trouble(413, "too-large", "The file is too large.")
        with self._places.folder(upload.folder) as fd:
            _sweep(fd)
            offset = _size(fd, upload.partial)
            taken = _kind(fd, upload.name)
            self.check_room(upload.folder, upload.size - offset)
            disk = os.fstatvfs(fd)
            free = disk.f_bavail * disk.f_frsize
            if upload.size - offset > max(0, free - _SPARE):
                raise Trouble(
                    507,
                    "disk-full",
                    f"There is not enough room: the file needs {size_text(upload.size - offset)}, {size_text(free)} are free.",
                )
            if not os.access(f"/proc/self/fd/{fd}", os.W_OK | os.X_OK):
                raise Trouble(403, "denied", "You have no right to put files here.")
        return {"offset": offset, "taken": taken}

    def check_room(self, folder: bytes, size: int) -> None:
        """Raises Trouble when so many bytes more in `folder` are more than the project may take."""
        inside = self._places.root_of(folder) == self._places.project
        if self.room is None or not inside or size <= self.room:
            return
        raise Trouble(
            507,
            "no-room",
            f"The project may take {size_text(self.room)} more on the disk, and this needs {size_text(size)}. Remove what is "
            "not needed (the trash counts too), measure again under Resources in its settings, or ask an administrator for more.",
        )

    async def take(self, upload: Upload, offset: int, pieces: AsyncIterator[bytes]) -> dict[str, Any]:
        """Write what comes at `offset`, which must be where the partial ends. What arrived before a break stays."""
        with self._alone(upload):
            fd, at = await asyncio.to_thread(self._open, upload, offset)
            try:
                async for piece in pieces:
                    if at + len(piece) > upload.size:
                        raise Trouble(409, "size", "More came than the file has. Did it change meanwhile? Start anew.")
                    await asyncio.to_thread(trees.write_all, fd, piece)
                    at += len(piece)
            finally:
                os.close(fd)
        return {"offset": at}

    def finish(self, upload: Upload, taken: str) -> dict[str, Any]:
        """Give the whole file its name. `taken`: what to do when the name is: "" (Trouble), "replace" or "both"."""
        with self._alone(upload), self._places.folder(upload.folder) as fd:
            size = _size(fd, upload.partial)
            if size != upload.size:
                raise Trouble(409, "offset", "The file is not whole yet.", offset=size)
            name = upload.name
            if size == 0:
                with suppress(FileExistsError):
                    os.close(os.open(upload.partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=fd))
            if taken == "replace" and _kind(fd, name):
                _hand_on(fd, name, upload.partial)
                trash.put(self._places, upload.folder + b"/" + name)  # nobody's file is lost
            elif taken == "both" and _kind(fd, name):
                name = trees.free_name(fd, name, "uploaded")
            trees.move(fd, upload.partial, fd, name)
            if self.room is not None:
                self.room = max(0, self.room - size)  # until the node measures again
        return {"path": to_wire(upload.folder + b"/" + name)}

    def cancel(self, upload: Upload) -> dict[str, Any]:
        """Remove what has arrived."""
        with self._alone(upload), self._places.folder(upload.folder) as fd, suppress(FileNotFoundError):
            os.unlink(upload.partial, dir_fd=fd)
        return {}

    def forget(self, folder: bytes) -> dict[str, Any]:
        """Remove all of one's own partials in a folder that nobody writes to now."""
        removed = 0
        with self._places.folder(folder) as fd:
            for name, status in _partials(fd):
                if status.st_uid == os.geteuid() and (folder, name) not in self._busy:
                    os.unlink(name, dir_fd=fd)
                    removed += 1
        return {"removed": removed}

    @contextmanager
    def _alone(self, upload: Upload) -> Iterator[None]:
        key = (upload.folder, upload.partial)
        if key in self._busy:
            raise Trouble(409, "busy", "This very file is being uploaded in another tab.")
        self._busy.add(key)
        try:
            yield
        finally:
            self._busy.discard(key)

    def _open(self, upload: Upload, offset: int) -> tuple[int, int]:
        with self._places.folder(upload.folder) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(upload.partial, flags, 0o666, dir_fd=folder)
        status = os.fstat(fd)
        trustworthy = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1
        if not trustworthy or status.st_size != offset:
            os.close(fd)
            if not trustworthy:
                raise Trouble(
                    409, "busy", "Something else is in the way of this upload. Rename the file and try again."
                )
            raise Trouble(409, "offset", "The upload goes on elsewhere.", offset=status.st_size)
        os.lseek(fd, offset, os.SEEK_SET)
        return fd, offset


def _hand_on(folder: int, name: bytes, partial: bytes) -> None:
    """What was closed to people stays closed to them when the file is replaced. Raises OSError."""
    fds = []
    try:
        for one in (name, partial):
            fds.append(os.open(one, O_PINNED, dir_fd=folder))
        old, new = (proc(fd) for fd in fds)
        if all(stat.S_ISREG(os.fstat(fd).st_mode) for fd in fds) and acl.is_meant(acl.read(old)):
            acl.write(new, acl.read(old))
    finally:
        for fd in fds:
            os.close(fd)


def _size(folder: int, name: bytes) -> int:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _kind(folder: int, name: bytes) -> str:
    """What has this name: file, folder, other, or nothing ("")."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return ""
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def _sweep(folder: int) -> None:
    """Remove one's own partials of long ago."""
    with suppress(PermissionError):
        for name, status in _partials(folder):
            if status.st_uid == os.geteuid() and time.time() - status.st_mtime > _STALE_SECONDS:
                with suppress(OSError):
                    os.unlink(name, dir_fd=folder)


def _partials(folder: int) -> list[tuple[bytes, os.stat_result]]:
    fd = listable(folder)
    try:
        names = [os.fsencode(name) for name in os.listdir(fd)]
        found = []
        for name in names:
            if name.startswith(PARTIAL):
                with suppress(FileNotFoundError):
                    found.append((name, os.stat(name, dir_fd=fd, follow_symlinks=False)))
        return found
    finally:
        os.close(fd)
