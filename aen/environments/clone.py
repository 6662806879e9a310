"""Clone of a finished environment: reflink, else hard link, else copy. Standard library only: the launcher runs it as root.

The source is read-only and belongs to the service account or root; the target is a new directory that nobody else reaches.
"""

from __future__ import annotations

import errno
import fcntl
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

    def run(self, source: int, target: int) -> Cloned:
        """Clone what is in the directory `source` into the empty directory `target`. Raises OSError, Untrusted."""
        self._trust(os.fstat(source), ".")
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


def _suspect(here: str, name: str) -> bool:
    """Whether a file may hold its environment's prefix."""
    return (
        "/" not in here
        or here.startswith(tuple(f"{folder}/" for folder in _SUSPECT_FOLDERS))
        or name.endswith(_SUSPECT_ENDINGS)
    )
