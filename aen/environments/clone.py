"""Clone of a finished environment: reflink, else hard link, else copy. Standard library only: the launcher runs it as root.

The source is read-only and belongs to the service account or root; the target is a new directory that nobody else reaches.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from aen.environments.prefixes import Untrusted as Untrusted
from aen.environments.prefixes import holding_prefix, patched
from aen.halves import in_two

_O_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_O_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_O_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})
_CHUNK = 1 << 20
ALONE = 500  # files; a smaller environment is done before a second process would be up
_FEWEST = 8  # directories left: fewer can't be shared well
_LARGEST_TEXT = 1 << 20  # bytes; a file that holds the prefix and is rewritten is a small script or setting

#: Where files that hold their own prefix are looked for: scripts, settings, kernel specs, path files.
_SUSPECT_FOLDERS = ("bin/", "etc/", "share/jupyter/kernels/", "conda-meta/")
_SUSPECT_ENDINGS = (".pth", ".egg-link", ".pc", "direct_url.json", "_sysconfigdata__linux_.py")


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
    """One clone of one environment, by two processes when it is big. Only for a process without threads."""

    def __init__(self, plan: Plan, *, alone: int = ALONE, processes: int = 0) -> None:
        self.done = Cloned()
        self._plan = plan
        self._old = plan.old_prefix.encode()
        self._new = plan.new_prefix.encode()
        self._reflink = True
        self._link = True
        self._holding: dict[str, int] = {}  # conda: files that hold the prefix → the room that it has there
        self._alone = alone
        self._processes = processes or len(os.sched_getaffinity(0))
        self._left: deque[str] = deque()  # directories that are made, and empty yet

    def run(self, source: int, target: int) -> Cloned:
        """Clone what is in the directory `source` into the empty directory `target`. Raises OSError, Untrusted."""
        self._trust(os.fstat(source), ".")
        self._holding = holding_prefix(source)
        self._left.append("")
        while self._left and not self._worth_sharing():
            self._fill(source, target, self._left.popleft())
        if self._left:
            self._share(source, target)
        return self.done

    def _worth_sharing(self) -> bool:
        seen = self.done.linked + self.done.reflinked + self.done.copied
        return self._processes > 1 and seen >= self._alone and len(self._left) >= _FEWEST

    def _share(self, source: int, target: int) -> None:
        parts = list(self._left)

        def take(numbers: Iterator[int]) -> None:
            for number in numbers:
                self._left = deque([parts[number]])
                while self._left:
                    self._fill(source, target, self._left.pop())

        def theirs(numbers: Iterator[int]) -> bytes:
            self.done = Cloned()
            try:
                take(numbers)
            except (OSError, Untrusted) as error:
                return json.dumps({"errno": getattr(error, "errno", 0), "said": str(error)}).encode()
            return json.dumps(asdict(self.done)).encode()

        said = json.loads(in_two(len(parts), take, theirs)[1])
        if "said" in said:
            raise OSError(said["errno"], os.strerror(said["errno"])) if said["errno"] else Untrusted(said["said"])
        for name, count in said.items():
            setattr(self.done, name, getattr(self.done, name) + count)

    def _fill(self, source: int, target: int, place: str) -> None:
        """What lies in one directory. Those below are made, and left for later."""
        self.done.directories += 1
        read, write = _below(source, place), _below(target, place)
        try:
            self._trust(os.fstat(read), place)
            if place and self._plan.owner is not None:
                os.fchown(write, *self._plan.owner)
            with os.scandir(read) as found:
                entries = list(found)
            for entry in entries:
                self._one(read, write, entry, place)
        finally:
            os.close(read)
            os.close(write)

    def _one(self, source: int, target: int, entry: os.DirEntry[str], place: str) -> None:
        """The kind stands in the directory; a file that is linked is looked at once, where it was linked to."""
        name = entry.name
        if entry.is_file(follow_symlinks=False):
            if self._plain(place, name) and self._by_link(source, target, name, place):
                return
            self._file(source, target, entry, place)
        elif entry.is_dir(follow_symlinks=False):
            os.mkdir(name, 0o700, dir_fd=target)
            self._left.append(f"{place}{name}/")
        elif entry.is_symlink():
            self._symlink(source, target, name)

    def _plain(self, place: str, name: str) -> bool:
        """Whether a file can be linked without a look: most can."""
        if self._reflink or not (self._link and self._plan.link_writable):
            return False
        if self._holding and place + name in self._holding:
            return False
        return not _suspect(place, name)

    def _symlink(self, source: int, target: int, name: str) -> None:
        to = os.readlink(name, dir_fd=source)
        old = self._plan.old_prefix
        if to == old or to.startswith(old + "/"):
            to = self._plan.new_prefix + to[len(old) :]
        os.symlink(to, name, dir_fd=target)
        self._give(name, target)
        self.done.symlinks += 1

    def _file(self, source: int, target: int, entry: os.DirEntry[str], place: str) -> None:
        name, here = entry.name, f"{place}{entry.name}"
        status = entry.stat(follow_symlinks=False)
        self._trust(status, here)
        if here in self._holding:
            self._patch(source, target, name, status, self._holding[here])
            return
        if _suspect(place, name) and status.st_size <= _LARGEST_TEXT and self._rewrite(source, target, name, status):
            return
        if self._reflink and self._by_reflink(source, target, name, status):
            return
        linkable = self._plan.link_writable or not status.st_mode & 0o222
        if self._link and linkable and self._by_link(source, target, name, place):
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

    def _by_link(self, source: int, target: int, name: str, place: str) -> bool:
        try:
            os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            self._link = error.errno == errno.EMLINK  # the others are true of every file
            return False
        self._trust(os.stat(name, dir_fd=target, follow_symlinks=False), place + name)
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


def _below(top: int, place: str) -> int:
    """The directory at that path from the top; no part may be a symlink. Raises OSError."""
    fd = os.dup(top)
    for part in place.split("/")[:-1]:
        try:
            deeper = os.open(part, _O_DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = deeper
    return fd


def _suspect(place: str, name: str) -> bool:
    """Whether a file may hold its environment's prefix. `place` is its directory, with a slash at the end, or empty."""
    return not place or place.startswith(_SUSPECT_FOLDERS) or name.endswith(_SUSPECT_ENDINGS)
