"""Report: what happened on a day, and over a period of days."""

from __future__ import annotations

from pydantic import Field

from aen.model import Document, Word


class Day(Document):
    """One day, UTC. `id` is its date. What is sampled cannot be counted later; acts are counted from the log."""

    acts: dict[str, int] = Field(default_factory=dict)  # keys with `/` for `.`
    complete: bool = False  # acts are counted, and the day is over
    session_hours: float = 0.0
    cpu_hours: float = 0.0
    most_sessions: int = 0
    users: int = 0  # there were, at the last sample of the day
    projects: int = 0
    space: int = 0  # bytes in use on all nodes
    faults: int = 0  # kinds of faults that happened
    sampled: int = 0  # when last, ms since 1970


class Period(Word):
    """Some days together."""

    name: str  # today, yesterday, week, month
    first: str  # dates, inclusive
    last: str
    users: int
    projects: int
    new_users: list[tuple[str, str]]  # name and e-mail address
    new_users_left_out: int = 0
    acts: dict[str, int]
    session_hours: float
    cpu_hours: float
    most_sessions: int
    space: int
    faults: int
    days: list[Day]  # of the last month, oldest first: for plots
