"""Tally: what the data plane counts and notes of each request. Plain numbers, read when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable

#: Upper bounds of the classes of the time from a request's head to the end of its answer, seconds.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


MOST_LINES = 256  # of the access log that wait: writing many at once would hold everybody up


class Answered:
    """The answers of one kind: how many of each class of status (the index is the status // 100), and how fast."""

    __slots__ = ("seconds", "slower", "statuses")

    def __init__(self) -> None:
        self.statuses = [0] * 6
        self.slower = [0] * (len(BOUNDS) + 1)  # by class of time; WebSockets are not in it: they last
        self.seconds = 0.0

    def count(self, status: int, seconds: float) -> None:
        """One more."""
        self.statuses[status // 100] += 1
        if status != 101:
            self.seconds += seconds
            self.slower[bisect_left(BOUNDS, seconds)] += 1


class Tally:
    """Counts since the start. `write_access` gets the lines of the access log, some at a time."""

    def __init__(self, write_access: Callable[[list[str]], None] | None) -> None:
        self.apps, self.pages, self.own = Answered(), Answered(), Answered()
        self.failures: Counter[tuple[str, str]] = Counter()  # (what, which) → how often
        self.messages = 0  # of people, over WebSockets that have ended
        self.lag = 0.0  # seconds that the clock's last tick came too late: how long everybody waited
        self.lines: list[str] = []
        self.logged = write_access is not None
        self._write_access = write_access

    def flush(self) -> None:
        """Hand on the lines."""
        lines, self.lines = self.lines, []
        if lines and self._write_access is not None:
            self._write_access(lines)
