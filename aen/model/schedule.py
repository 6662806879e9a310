"""Schedule: a notebook that is run at a time or at intervals, as a person; and the runs that came of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from aen.model import Document, Word, now

NEVER = 1 << 52  # ms: later than anything, so that what is not due sorts last


class Timing(Word):
    """When. Which fields count depends on `kind`; times of day are those of `zone`."""

    kind: Literal["once", "every", "daily", "weekly", "cron", "never"] = "never"
    at: str = ""  # once: 2026-11-22T07:30
    minutes: int = 60  # every
    time: str = "06:00"  # daily, weekly
    days: list[int] = Field(default_factory=list)  # weekly: 0 is Monday
    cron: str = ""  # minute hour day month weekday
    zone: str = "UTC"


class Schedule(Document):
    """A scheduled notebook. `due` is its next time in ms since 1970; NEVER: none, or paused."""

    project: str
    name: str  # also the folder: runs/<name>
    user: str  # as whom it runs
    incarnation: str = ""
    notebook: str  # percent-encoded path below the project
    environment: str = ""  # empty: the active one of the project
    parameters: dict[str, Any] = Field(default_factory=dict)
    timing: Timing = Field(default_factory=Timing)
    hours: float = 4.0  # after which a run is ended
    due: int = NEVER
    paused: bool = False
    why: str = ""  # it is paused
    created: int = Field(default_factory=now)


class RunState(StrEnum):
    """How a run is doing."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    LOST = "LOST"  # nobody knows how it ended
    SKIPPED = "SKIPPED"


class Run(Document):
    """One run. Its id follows from schedule and time, and is the errand's at the node: so it happens once."""

    schedule: str
    project: str
    user: str
    name: str
    notebook: str
    due: int
    by: str = ""  # who pressed "run now"; empty: the clock
    node: str = ""
    state: RunState = RunState.WAITING
    active: bool = True  # waiting or running
    reason: str = ""
    note: str = ""  # that it is late, and what was missed
    path: str = ""  # of the notebook that was kept
    output: str = ""
    created: int = Field(default_factory=now)
    started: int = 0
    ended: int = 0


class RunResult(Word):
    """What the program says of a run."""

    success: bool
    error: str = ""
    path: str = ""
    cells: int = 0
