"""Space: what a project takes on its node's disk, and how much it may."""

from __future__ import annotations

from typing import NamedTuple

from aen.model import Word


class Space(Word):
    """What was measured. Bytes on the disk; what has several names counts once, files shared with root environments not."""

    bytes: int = 0
    files: int = 0
    environments: int = 0  # of `bytes`
    trash: int = 0  # of `bytes`
    caches: int = 0  # of `bytes`: what programs make again
    at: int = 0  # when, ms since 1970
    kept: bool = False  # the file system itself refuses what would be more than the bound


class Bounds(NamedTuple):
    """How much may be used, in bytes; 0: no bound. At `soft` people are warned, over `hard` nothing more is begun."""

    soft: int = 0
    hard: int = 0

    def full(self, used: int) -> bool:
        """Whether nothing more may be begun."""
        return bool(self.hard) and used >= self.hard

    def warn(self, used: int) -> bool:
        """Whether people are to be warned."""
        return (bool(self.soft) and used >= self.soft) or self.full(used)
