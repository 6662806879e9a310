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


STEP_NAMES = ("account", "directory", "environment", "permissions", "app")


class Session(Document):
    """One app server for one person of one project. `id` is `names.session_id`; each start is a new generation."""

    project: str  # project id
    slug: str
    owner: str
    name: str
    app_server: str
    app: str  # the app that was opened last: jupyterlab, notebook, terminal
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
    since: int = Field(default_factory=now)
    created: int = Field(default_factory=now)

    def move(self, phase: Phase, reason: str = "") -> None:
        """Go to `phase`. Raises Conflict when that move is not in the table."""
        if phase is not self.phase and phase not in PHASE_MOVES[self.phase]:
            raise Conflict(f"The session is {self.phase.lower()}: it can't become {phase.lower()} now.")
        if phase is not self.phase:
            self.since = now()
        self.phase, self.reason = phase, reason
