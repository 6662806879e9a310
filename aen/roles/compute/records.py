"""Records: what must be known of each session after a restart of AEN, as private files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog
from pydantic import Field, PrivateAttr, ValidationError

from aen.launchers import Process
from aen.messages import ProjectSpec, SessionReport, StartSession
from aen.model import Word
from aen.model.session import Idle, Phase, Step, Use

log = structlog.get_logger(__name__)

_STEPS_BEATS = 10


class Record(Word):
    """One session of this node. `process` is what `launchers.Process` holds."""

    session: str
    generation: int
    project: ProjectSpec
    user: str
    app: str
    app_server: str
    shared: bool = False
    limits: dict[str, int] = Field(default_factory=dict)
    told: dict[str, str] = Field(default_factory=dict)
    strip: bool = False  # it sees paths without its prefix
    phase: Phase = Phase.QUEUED
    reason: str = ""
    log_tail: str = ""
    steps: list[Step] = Field(default_factory=list)
    run_dir: str = ""
    upstream: str = ""
    uid: int = -1
    secret: str = ""
    process: dict[str, Any] | None = None
    activity: int = 0
    activity_source: str = ""
    use: Use | None = None
    idle: Idle | None = None
    keep_until: int = 0  # ms since 1970
    warned_at: int = 0  # ms since 1970; 0: not warned of a stop for want of use
    ended: int = 0  # ms since 1970
    _beats: int = PrivateAttr(0)  # heartbeats that told of it since it runs

    @classmethod
    def of(cls, command: StartSession) -> Record:
        """The record of a session that is to start."""
        return cls(**command.model_dump(include=set(cls.model_fields)))

    @property
    def prefix(self) -> str:
        """The path below which the gateway sends requests to it."""
        return f"/{self.project.owner}/{self.project.name}/{self.app_server}/"

    def leader(self) -> Process | None:
        """Its process, if one was started."""
        return Process(**self.process) if self.process else None

    def report(self, address: str = "") -> SessionReport:
        """What the server is told. `address`: by which gateways on other hosts reach the apps of this node."""
        told = SessionReport(**self.model_dump(include=set(SessionReport.model_fields)))
        if address and told.upstream:
            told.upstream = address
        return told

    def beat(self, address: str = "") -> SessionReport:
        """What a heartbeat tells: the steps of a start that is over are left out when they were told often enough."""
        told = self.report(address)
        if told.phase is Phase.RUNNING:
            self._beats += 1
            if self._beats > _STEPS_BEATS:
                told.steps = []
        return told


class Records:
    """`<data_dir>/compute/sessions/<session>.json`, 0600: they hold the secrets by which the gateway is known."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "compute" / "sessions"

    def make(self) -> None:
        """Make the folder, for us alone."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def save(self, record: Record) -> None:
        """Whole or not at all."""
        path = self._path(record.session)
        beside = path.with_suffix(".new")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "w") as file:
            file.write(record.model_dump_json())
        os.replace(beside, path)

    def load(self) -> Iterator[Record]:
        """All of them; one that can't be read is named in the log and left alone."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                yield Record.model_validate_json(path.read_bytes())
            except (ValidationError, OSError) as error:
                log.error("a session's record can't be read", path=str(path), error=str(error)[:200])

    def remove(self, session: str) -> None:
        """Fine when it is gone."""
        self._path(session).unlink(missing_ok=True)

    def _path(self, session: str) -> Path:
        return self._folder / f"{session}.json"
