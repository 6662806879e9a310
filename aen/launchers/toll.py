"""Toll: which scopes lost processes for want of memory, also those that systemd took away before we could look.

The slice that they lie in counts for all of them, and goes on counting when one is gone: what nobody else accounts for is its.
"""

from __future__ import annotations

from pathlib import Path

_EVENTS = "memory.events"


class Toll:
    """The counts of all scopes below `top` (a slice), whoever made them."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._counts: dict[Path, int] = {}  # the last that was seen of each scope
        self._look()
        self._before = max(0, (counted(top) or 0) - sum(self._counts.values()))  # of scopes that are gone already

    def of(self, scope: Path) -> int:
        """How many of its processes the kernel ended because it had reached its memory limit."""
        total, now = counted(self._top), counted(scope)
        self._look()
        if now is not None:
            return now
        known = self._before + sum(self._counts.values())
        if total is not None and total > known:
            self._counts[scope] = self._counts.get(scope, 0) + total - known
        return self._counts.get(scope, 0)

    def settled(self, scope: Path) -> None:
        """Nobody will ask for this one any more."""
        if not scope.is_dir():
            self._before += self._counts.pop(scope, 0)

    def _look(self) -> None:
        for path in self._top.glob("*.scope"):
            if (now := counted(path)) is not None:
                self._counts[path] = now


def counted(group: Path) -> int | None:
    """What the kernel counts for a group and all below it; None when it is gone, or no memory controller is there."""
    try:
        lines = (line.split() for line in (group / _EVENTS).read_text().splitlines())
        return next((int(words[1]) for words in lines if words[0] == "oom_kill"), 0)
    except (OSError, ValueError, IndexError):
        return None
