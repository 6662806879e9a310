"""Clone of a finished environment: reflink, else hard link, else copy. Standard library only: the launcher runs it as root.

The source is read-only and belongs to the service account or root; the target is a new directory that nobody else reaches.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from dataclasses import dataclass

_O_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_O_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_O_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})
_CHUNK = 1 << 20
_LARGEST_TEXT = 1 << 20  # bytes; a file that holds the prefix and is rewritten is a small script or setting
_LARGEST_RECORD = 64 << 20  # bytes of a package's record in conda-meta

#: Where files that hold their own prefix are looked for: scripts, settings, kernel specs, path files.
_SUSPECT_FOLDERS = ("bin", "etc", "share/jupyter/kernels", "conda-meta")
_SUSPECT_ENDINGS = (".pth", ".egg-link", ".pc", "direct_url.json", "_sysconfigdata__linux_.py")


class Untrusted(Exception):
    """In the source lies something that neither root nor the service account owns."""


@dataclass
class Cloned:
    """What a clone took: counts of inodes by how they came to be."""

    directories: int = 0
    symlinks: int = 0
    reflinked: int = 0
    linked: int = 0
    copied: int = 0
    rewritten: int = 0


@dataclass(frozen=True)
class Plan:
    """How to clone. `owner` None: without root, everything is ours anyway.

    `trusted`: who may own the source's inodes. `link_writable`: whether a file that its owner may write to may be
    hard-linked (never when that owner is the person who gets the clone).
    """

    old_prefix: str
    new_prefix: str
    owner: tuple[int, int] | None
    trusted: frozenset[int]
    link_writable: bool


class Clone:
    """One clone of one environment."""

    def __init__(self, plan: Plan) -> None:
        self.done = Cloned()
        self._plan = plan
        self._old = plan.old_prefix.encode()
        self._new = plan.new_prefix.encode()
        self._reflink = True
        self._link = True
        self._holding: dict[str, int] = {}  # conda: files that hold the prefix → the room that it has there

    def run(self, source: int, target: int) -> Cloned:
        """Clone what is in the directory `source` into the empty directory `target`. Raises OSError, Untrusted."""
        self._trust(os.fstat(source), ".")
        self._holding = holding_prefix(source)
        self._directory(source, target, "")
        return self.done

    def _directory(self, source: int, target: int, place: str) -> None:
        self.done.directories += 1
        with os.scandir(source) as found:
            entries = [(entry.name, entry.stat(follow_symlinks=False)) for entry in found]
        for name, status in entries:
            here = f"{place}{name}"
            if stat.S_ISDIR(status.st_mode):
                self._enter(source, target, name, here)
            elif stat.S_ISLNK(status.st_mode):
                self._symlink(source, target, name)
            elif stat.S_ISREG(status.st_mode):
                self._trust(status, here)
                self._file(source, target, name, here, status)

    def _enter(self, source: int, target: int, name: str, here: str) -> None:
        deeper = os.open(name, _O_DIRECTORY, dir_fd=source)
        try:
            self._trust(os.fstat(deeper), here)
            os.mkdir(name, 0o700, dir_fd=target)
            made = os.open(name, _O_DIRECTORY, dir_fd=target)
            try:
                if self._plan.owner is not None:
                    os.fchown(made, *self._plan.owner)
                self._directory(deeper, made, here + "/")
            finally:
                os.close(made)
        finally:
            os.close(deeper)

    def _symlink(self, source: int, target: int, name: str) -> None:
        to = os.readlink(name, dir_fd=source)
        old = self._plan.old_prefix
        if to == old or to.startswith(old + "/"):
            to = self._plan.new_prefix + to[len(old) :]
        os.symlink(to, name, dir_fd=target)
        self._give(name, target)
        self.done.symlinks += 1

    def _file(self, source: int, target: int, name: str, here: str, status: os.stat_result) -> None:
        if here in self._holding:
            self._patch(source, target, name, status, self._holding[here])
            return
        if _suspect(here, name) and status.st_size <= _LARGEST_TEXT and self._rewrite(source, target, name, status):
            return
        if self._reflink and self._by_reflink(source, target, name, status):
            return
        linkable = self._plan.link_writable or not status.st_mode & 0o222
        if self._link and linkable and self._by_link(source, target, name, here):
            return
        self._by_copy(source, target, name, status)

    # ── the ways, best first ────────────────────────────────────────────────────────────────────────

    def _rewrite(self, source: int, target: int, name: str, status: os.stat_result) -> bool:
        """A text that holds the old prefix is written anew with the new one."""
        fd = os.open(name, _O_READ, dir_fd=source)
        with open(fd, "rb") as file:
            data = file.read(_LARGEST_TEXT + 1)
        if self._old not in data or b"\0" in data:
            return False
        with open(self._new_file(target, name, status), "wb") as file:
            file.write(data.replace(self._old, self._new))
        self._give(name, target)
        self.done.rewritten += 1
        return True

    def _patch(self, source: int, target: int, name: str, status: os.stat_result, room: int) -> None:
        """A file of which conda says that the prefix stands in it: text by replacing, a binary without moving a byte."""
        fd = os.open(name, _O_READ, dir_fd=source)
        with open(fd, "rb") as file:
            data = file.read()
        changed = patched(data, self._old, self._new, room) if room else data.replace(self._old, self._new)
        write = self._new_file(target, name, status)
        with open(write, "wb") as file:
            file.write(changed)
            file.flush()
            os.utime(write, ns=(status.st_atime_ns, status.st_mtime_ns))  # .pyc files name the time of their source
        self._give(name, target)
        self.done.rewritten += 1

    def _by_reflink(self, source: int, target: int, name: str, status: os.stat_result) -> bool:
        read = os.open(name, _O_READ, dir_fd=source)
        try:
            write = self._new_file(target, name, status)
            try:
                fcntl.ioctl(write, _FICLONE, read)
            except OSError:  # no such file system, or not the same: never again in this clone
                self._reflink = False
                os.unlink(name, dir_fd=target)
                return False
            finally:
                os.close(write)
        finally:
            os.close(read)
        self._give(name, target)
        self.done.reflinked += 1
        return True

    def _by_link(self, source: int, target: int, name: str, here: str) -> bool:
        try:
            os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            self._link = error.errno == errno.EMLINK  # the others are true of every file
            return False
        self._trust(os.stat(name, dir_fd=target, follow_symlinks=False), here)
        self.done.linked += 1
        return True

    def _by_copy(self, source: int, target: int, name: str, status: os.stat_result) -> None:
        read = os.open(name, _O_READ, dir_fd=source)
        try:
            write = self._new_file(target, name, status)
            try:
                while data := os.read(read, _CHUNK):
                    view = memoryview(data)
                    while view:
                        view = view[os.write(write, view) :]
                os.utime(write, ns=(status.st_atime_ns, status.st_mtime_ns))  # .pyc files name the time of their source
            finally:
                os.close(write)
        finally:
            os.close(read)
        self._give(name, target)
        self.done.copied += 1

    def _new_file(self, target: int, name: str, status: os.stat_result) -> int:
        return os.open(name, _O_NEW, 0o700 if status.st_mode & 0o111 else 0o600, dir_fd=target)

    def _give(self, name: str, target: int) -> None:
        if self._plan.owner is not None:
            os.chown(name, *self._plan.owner, dir_fd=target, follow_symlinks=False)

    def _trust(self, status: os.stat_result, here: str) -> None:
        if status.st_uid not in self._plan.trusted:
            raise Untrusted(f"{here!r} in the root environment belongs to uid {status.st_uid}.")


def holding_prefix(source: int) -> dict[str, int]:
    """From `conda-meta`: the files that hold the environment's prefix. 0: a text; else the longest prefix that a binary has room for."""
    found: dict[str, int] = {}
    try:
        folder = os.open("conda-meta", _O_DIRECTORY, dir_fd=source)
    except FileNotFoundError:
        return found
    try:
        for name in os.listdir(folder):
            if name.endswith(".json"):
                found |= _record(os.open(name, _O_READ, dir_fd=folder))
    finally:
        os.close(folder)
    return found


def _record(fd: int) -> dict[str, int]:
    """What one package's record tells. One that can't be read as such tells nothing: it is not conda's."""
    with open(fd, "rb") as file:
        data = file.read(_LARGEST_RECORD)
    try:
        paths = json.loads(data)["paths_data"]["paths"]
        held = [path for path in paths if path.get("prefix_placeholder")]
        return {
            path["_path"]: len(path["prefix_placeholder"].encode()) if path.get("file_mode") == "binary" else 0
            for path in held
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def patched(data: bytes, old: bytes, new: bytes, room: int) -> bytes:
    """A binary with another prefix and not a byte moved: each C string that holds it ends in NULs for the longest prefix.

    Raises Untrusted when `new` is longer than what was left room for.
    """
    if len(new) > room:
        raise Untrusted(f"The project's path is too long for this environment: {len(new)} bytes, {room} are the most.")
    made = bytearray(data)
    at = data.find(old)
    while at >= 0:
        end = data.find(b"\0", at)
        end = len(data) if end < 0 else end
        text = data[at:end]
        free = text.count(old) * (room - len(old))  # NULs that conda left behind this string
        made[at : end + free] = text.replace(old, new).ljust(len(text) + free, b"\0")
        at = data.find(old, end)
    return bytes(made)


def _suspect(here: str, name: str) -> bool:
    """Whether a file may hold its environment's prefix."""
    return (
        "/" not in here
        or here.startswith(tuple(f"{folder}/" for folder in _SUSPECT_FOLDERS))
        or name.endswith(_SUSPECT_ENDINGS)
    )
