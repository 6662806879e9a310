"""Space: what a project's files take on the disk. A look that goes the safe way, at the lowest priority."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from aen.launchers.trees import O_DIRECTORY

_BLOCK = 512  # bytes: the unit of st_blocks
_DEEPEST = 200  # levels, as of the walk: one descriptor is held for each
#: What is told apart, by the first part of the path.
_PARTS = {"envs": "environments", ".trash": "trash"}
_CACHES = frozenset({"__pycache__", ".ipynb_checkpoints", ".cache", ".mypy_cache", ".pytest_cache", ".ruff_cache"})


@dataclass
class Space:
    """Bytes on the disk, and names of files. What has several names counts once; what is root's (a clone's shared files) not at all."""

    bytes: int = 0
    files: int = 0
    environments: int = 0  # bytes of `bytes`
    trash: int = 0  # bytes of `bytes`
    caches: int = 0  # bytes of `bytes`: what programs make again


class Measure:
    """One look over one project. `not_counted`: uids whose files with several names are other people's space."""

    def __init__(self, not_counted: frozenset[int]) -> None:
        self._not_counted = not_counted
        self._seen: set[int] = set()  # inodes with several names
        self._device = -1
        self._space = Space()

    def of(self, fd: int) -> dict[str, Any]:
        """What lies in the directory that `fd` holds, itself included."""
        with suppress(OSError):
            os.nice(19)
        status = os.fstat(fd)
        self._device = status.st_dev
        self._count(status, "", cache=False)
        self._inside(fd, "", 1, cache=False)
        return asdict(self._space)

    def _inside(self, fd: int, part: str, depth: int, *, cache: bool) -> None:
        deeper = []
        with os.scandir(fd) as found:
            for entry in found:
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # gone meanwhile
                mine = _PARTS.get(entry.name, "") if depth == 1 else part
                if stat.S_ISDIR(status.st_mode):
                    deeper.append((entry.name, mine))
                else:
                    self._count(status, mine, cache=cache)
        for name, mine in deeper if depth <= _DEEPEST else ():
            self._enter(fd, name, mine, depth, cache=cache or name in _CACHES)

    def _enter(self, parent: int, name: str, part: str, depth: int, *, cache: bool) -> None:
        try:
            fd = os.open(name, O_DIRECTORY, dir_fd=parent)
        except OSError:
            return  # gone, exchanged, or not to be entered: not counted
        try:
            status = os.fstat(fd)
            if status.st_dev == self._device:
                self._count(status, part, cache=cache)
                self._inside(fd, part, depth + 1, cache=cache)
        except OSError:
            return
        finally:
            os.close(fd)

    def _count(self, status: os.stat_result, part: str, *, cache: bool) -> None:
        self._space.files += 1
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if status.st_uid in self._not_counted or status.st_ino in self._seen:
                return
            self._seen.add(status.st_ino)
        size = status.st_blocks * _BLOCK
        space = self._space
        space.bytes += size
        if part:
            setattr(space, part, getattr(space, part) + size)
        elif cache:
            space.caches += size
