"""Usage: what each session takes, measured again and again; and whether what it started is at work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from aen.config import Config
from aen.errors import AenError
from aen.launchers import Launcher
from aen.launchers import Usage as Used
from aen.model import now
from aen.model.session import Use
from aen.roles.compute.launching import limits_of
from aen.roles.compute.records import Record
from aen.roles.compute.sessions import Sessions

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
_AT_WORK = 0.1  # processors: idle kernels take a hundredth


@dataclass(frozen=True)
class _Sample:
    generation: int
    at: float  # monotonic seconds
    used: Used


class Usage:
    """Measures all running sessions, for life. `at_work` holds those whose own processes (not the app server) compute."""

    def __init__(self, config: Config, launcher: Launcher, sessions: Sessions) -> None:
        self._config, self._launcher, self._sessions = config, launcher, sessions
        self._last: dict[str, _Sample] = {}
        self.at_work: set[str] = set()

    async def measure_for_life(self) -> None:
        """Every 5 s."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.measure()
            except AenError as error:
                log.debug("what sessions take is not known", reason=error.message)

    async def measure(self) -> None:
        """Once: what stands in the records then goes with the next heartbeat."""
        if not self._sessions.running():
            return
        found = await self._launcher.usage()
        at = time.monotonic()
        records = self._sessions.running()
        for record in records:
            if record.session in found:
                self._take(record, _Sample(record.generation, at, found[record.session]))
        self._forget(records)

    def _take(self, record: Record, sample: _Sample) -> None:
        before = self._last.get(record.session)
        self._last[record.session] = sample
        cpu = others = 0.0
        if before is not None and before.generation == sample.generation:
            seconds = max(sample.at - before.at, 0.001)
            spent = sample.used.cpu_seconds - before.used.cpu_seconds
            cpu = max(0.0, spent / seconds)
            others = (spent - (sample.used.own_cpu_seconds - before.used.own_cpu_seconds)) / seconds
        (self.at_work.add if others >= _AT_WORK else self.at_work.discard)(record.session)
        record.use = Use(
            cpu=round(cpu * 100, 1),
            memory=sample.used.memory_bytes,
            memory_limit=limits_of(self._config, record.app_server, record.limits).get("memory_bytes", 0),
            processes=sample.used.processes,
            out_of_memory=sample.used.out_of_memory,
            at=now(),
        )

    def _forget(self, records: Sequence[Record]) -> None:
        known = {record.session for record in records}
        self._last = {session: sample for session, sample in self._last.items() if session in known}
        self.at_work &= known
