"""A big tree, walked by two processes.

The first inodes are walked breadth first. What is left then is cut into parts, which both processes take one after
the other (`aen/halves.py`). A part is names below a directory that is opened anew from the top, step by step without following anything: what was swapped meanwhile is not entered.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import NamedTuple

from aen import halves
from aen.acl.pinned import O_DIRECTORY
from aen.acl.posix import NoAcl
from aen.acl.tree import Report, Task, Walk

ALONE = 3000  # inodes; a smaller tree is done before a second process would be up
_FEWEST = 8  # directories left: fewer can't be shared well
_COUNTS = struct.Struct("=QQ")


class Branch(NamedTuple):
    """Directories of one parent. `place`: the parent's path from the top, with a slash at the end, or empty."""

    place: str
    names: list[str]
    depth: int
    public: bool


class SharedWalk(Walk):
    """A walk that takes a second process to help when the tree is big. Only for a process without threads."""

    def __init__(
        self, task: Task, progress: Callable[[int, int], None] | None = None, *, alone: int = ALONE, processes: int = 0
    ) -> None:
        super().__init__(task, progress)
        self._alone = alone
        self._processes = processes or len(os.sched_getaffinity(0))
        self._left: deque[Branch] = deque()
        self._breadth_first = False

    def _below(self, fd: int) -> None:
        self._breadth_first = self._processes > 1
        super()._below(fd)
        while self._left and not self._worth_sharing():
            self._each(fd, self._left.popleft())
        self._breadth_first = False
        if self._left:
            self._share(fd)

    def _inside(self, fd: int, place: str, depth: int, *, public: bool) -> None:
        if not self._breadth_first:
            super()._inside(fd, place, depth, public=public)
        elif names := self._listed(fd, place, public=public):
            self._left.append(Branch(place, names, depth, public))

    def _worth_sharing(self) -> bool:
        return self.report.looked_at >= self._alone and sum(len(branch.names) for branch in self._left) >= _FEWEST

    def _each(self, top: int, branch: Branch) -> None:
        """Enter each directory of a branch."""
        try:
            parent = _opened(top, branch.place)
        except OSError as error:
            self._failed(error, branch.place)
            return
        try:
            self._enter_all(parent, branch.names, branch.place, branch.depth, public=branch.public)
        finally:
            os.close(parent)

    # ── two processes ───────────────────────────────────────────────────────────────────────────────

    def _share(self, top: int) -> None:
        parts = list(self._cut())
        counts = mmap.mmap(-1, _COUNTS.size)

        def take(numbers: Iterator[int]) -> None:
            for number in numbers:
                self._each(top, parts[number])

        def mine(numbers: Iterator[int]) -> None:
            self._progress = _summed(self._progress, counts)
            take(numbers)

        def theirs(numbers: Iterator[int]) -> bytes:
            self._begin(lambda looked, changed: _COUNTS.pack_into(counts, 0, looked, changed))
            try:
                take(numbers)
            except NoAcl:
                return b'{"no_acl": true}'
            return json.dumps({"report": asdict(self.report)}).encode()

        self._add(halves.in_two(len(parts), mine, theirs)[1])

    def _cut(self) -> Iterator[Branch]:
        size = 1 + sum(len(branch.names) for branch in self._left) // halves.MOST
        for branch in self._left:
            for start in range(0, len(branch.names), size):
                yield branch._replace(names=branch.names[start : start + size])

    def _add(self, answer: bytes) -> None:
        said = json.loads(answer)
        if "no_acl" in said:
            raise NoAcl
        other = Report(**said["report"])
        for name in ("looked_at", "changed", "passed_on", "skipped"):
            setattr(self.report, name, getattr(self.report, name) + getattr(other, name))
        for note in other.notes:
            self.report.note(note)


def _opened(top: int, place: str) -> int:
    """The directory at that path from the top; no part may be a symlink. Raises OSError."""
    fd = os.dup(top)
    for part in place.split("/")[:-1]:
        try:
            deeper = os.open(part, O_DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = deeper
    return fd


def _summed(progress: Callable[[int, int], None] | None, counts: mmap.mmap) -> Callable[[int, int], None] | None:
    """Progress that counts what the other process has done, too."""
    if progress is None:
        return None

    def both(looked_at: int, changed: int) -> None:
        other_looked, other_changed = _COUNTS.unpack_from(counts)
        progress(looked_at + other_looked, changed + other_changed)

    return both
