"""Session: one running app server of one project for one person, its phases and the steps of its start."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from aen.errors import Conflict
from aen.model import Document, Word, now


class Phase(StrEnum):
    """What a session is doing."""

    QUEUED = "QUEUED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    PROBLEM = "PROBLEM"
    LOST = "LOST"


P = Phase
LIVE = frozenset({P.QUEUED, P.STARTING, P.RUNNING, P.STOPPING})
PHASE_MOVES: dict[Phase, frozenset[Phase]] = {
    P.QUEUED: frozenset({P.STARTING, P.RUNNING, P.STOPPING, P.STOPPED, P.PROBLEM, P.LOST}),
    P.STARTING: frozenset({P.RUNNING, P.STOPPING, P.STOPPED, P.PROBLEM, P.LOST}),
    P.RUNNING: frozenset({P.STOPPING, P.STOPPED, P.PROBLEM, P.LOST}),
    P.STOPPING: frozenset({P.STOPPED, P.PROBLEM, P.LOST}),
    P.STOPPED: frozenset({P.QUEUED}),
    P.PROBLEM: frozenset({P.QUEUED, P.STOPPING, P.STOPPED}),
    P.LOST: frozenset({P.QUEUED, P.RUNNING, P.STOPPING, P.STOPPED, P.PROBLEM}),
}


class StepState(StrEnum):
    """How far one step of a start is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class Step(Word):
    """One step of a start, as the page shows it."""

    name: str  # account, directory, environment, permissions, app
    state: StepState = StepState.WAITING
    seconds: float | None = None
    detail: str = ""


class Use(Word):
    """What a session's processes take together, as its node measured it last."""

    cpu: float = 0.0  # percent of one processor, since the measurement before
    memory: int = 0  # bytes that are theirs alone
    memory_limit: int = 0  # 0: none
    processes: int = 0
    out_of_memory: int = 0  # processes that were ended because all together reached the limit
    at: int = 0  # when, ms since 1970


class Idle(Word):
    """Why a session lives on, and when it stops for want of use. Times in ms since 1970, 0: never or not."""

    busy_since: int = 0  # something works, since then: it is not stopped
    stops_at: int = 0  # unless it is used before; while something works: when it would stop if that ended now
    keep_until: int = 0  # a person asked for that
    warned: bool = False  # the stop is near
    hours: float = 0.0  # so long without activity; 0: idle sessions are not stopped here
    most_keep_hours: float = 0.0


STEP_NAMES = ("account", "directory", "environment", "permissions", "app")


class Session(Document):
    """One app server for one person of one project. `id` is `names.session_id`; each start is a new generation."""

    project: str  # project id
    slug: str
    owner: str
    name: str
    app_server: str
    app: str  # the app that was opened last: jupyterlab, notebook, terminal. Lists show the app server's title
    user: str  # whose it is; `*` when it is shared
    started_by: str
    datacenter: str
    node: str
    generation: int = 1
    phase: Phase = Phase.QUEUED
    reason: str = ""
    log_tail: str = ""
    steps: list[Step] = Field(default_factory=lambda: [Step(name=name) for name in STEP_NAMES])
    activity: int = 0  # last activity, ms since 1970
    activity_source: str = ""  # "kernel busy", "terminal output", …
    keep_until: int = 0  # as the node has it: see Idle
    stops_soon: int = 0  # when the warned session stops, else 0
    since: int = Field(default_factory=now)
    created: int = Field(default_factory=now)

    def move(self, phase: Phase, reason: str = "") -> None:
        """Go to `phase`. Raises Conflict when that move is not in the table."""
        if phase is not self.phase and phase not in PHASE_MOVES[self.phase]:
            raise Conflict(f"The session is {self.phase.lower()}: it can't become {phase.lower()} now.")
        if phase is not self.phase:
            self.since = now()
        self.phase, self.reason = phase, reason
