"""Tagging: gives a project's number (quotas.py) to all of its files, as safely as the walk, which it is a kind of."""

from __future__ import annotations

import os
import stat

from aen.acl.permissions import Rule
from aen.acl.tree import Task, Walk
from aen.launchers import quotas

_O_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Tagging(Walk):
    """One walk over one project. What root or AEN itself owns stays: a clone's shared files are nobody's space."""

    def __init__(self, task: Task, number: int) -> None:
        super().__init__(task)
        self._number = number

    def _right(self, name: str, status: os.stat_result, rule: Rule) -> bool:
        self.report.looked_at += 1
        return status.st_uid in self._task.untouched

    def _settle(self, fd: int, status: os.stat_result, rule: Rule, *, top: bool) -> bool:
        return quotas.give(fd, self._number, directory=True)

    def _settle_file(self, target: int | str, status: os.stat_result, rule: Rule) -> bool:
        if isinstance(target, int):  # open for reading already
            return quotas.give(target, self._number, directory=False)
        fd = os.open(target, _O_FILE)  # what is pinned, whatever has its name by now
        try:
            return stat.S_ISREG(os.fstat(fd).st_mode) and quotas.give(fd, self._number, directory=False)
        finally:
            os.close(fd)
