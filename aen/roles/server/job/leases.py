"""Leases: how a worker holds a job, so that a worker that dies loses it and one that lives can't have it taken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from aen.model import now
from aen.model.job import Job, JobState
from aen.store import Doc, Stale, Store

JOBS = "jobs"
log = structlog.get_logger(__name__)


def read(doc: Doc) -> Job | None:
    """The job that is stored; None (and a line in the log) when this AEN can't read it: the others must go on."""
    try:
        return Job.model_validate(doc)
    except ValidationError as error:
        log.error("a stored job can't be read", job=doc.get("id"), reason=str(error))
        return None


class Lost(Exception):
    """The job is somebody else's now, or gone: whatever we do for it counts no more."""


class Held:
    """Jobs that others hold, as seen from here. Clocks of two servers are never compared, and a clock may be set."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds  # of a lease
        self._seen: dict[str, tuple[int, float]] = {}  # job → its rev, and since when it is that (monotonic)

    def left(self, job: Job) -> float:
        """Seconds until it may be taken: when we have seen it unchanged for a whole lease."""
        rev, since = self._seen.get(job.id, (-1, 0.0))
        if rev != job.rev:
            since = time.monotonic()
            self._seen[job.id] = job.rev, since
        return since + self._seconds - time.monotonic()

    def forget(self, id: str) -> None:
        """It is ours now, or over."""
        self._seen.pop(id, None)


class Lease:
    """One job that this worker holds. All changes go through it, one after the other."""

    def __init__(self, store: Store, job: Job) -> None:
        self._store = store
        self._lock = asyncio.Lock()
        self.job = job

    async def change(self, edit: Callable[[Job], None]) -> Job:
        """Change the stored job and return it. Raises Lost. `edit` may run more than once, on what others wrote meanwhile."""
        async with self._lock:
            while True:
                changed = self.job.model_copy(deep=True)
                edit(changed)
                changed.updated = now()
                try:
                    doc = await self._store.replace(JOBS, changed.model_dump(mode="json"))
                except Stale:
                    self.job = await self._read_again()
                    continue
                self.job = Job.model_validate(doc)
                return self.job

    async def renew(self, seconds: float) -> Job:
        """Hold the job for so long from now. Raises Lost."""

        def edit(job: Job) -> None:
            job.leased_until = now() + round(seconds * 1000)

        return await self.change(edit)

    async def _read_again(self) -> Job:
        doc = await self._store.get(JOBS, self.job.id)
        if doc is None:
            raise Lost
        job = Job.model_validate(doc)
        if job.state is not JobState.RUNNING or (job.leased_by, job.attempts) != (
            self.job.leased_by,
            self.job.attempts,
        ):
            raise Lost
        return job


class Progress:
    """What a job's function calls to say how far it is: `await progress(0.5, "half of it")`. Told at once, stored now and then."""

    def __init__(self, lease: Lease, tell: Callable[[Job], None], every: float = 1.0) -> None:
        self._lease, self._tell, self._every = lease, tell, every  # `every`: seconds between two writes
        self._stored = 0.0

    async def __call__(self, fraction: float, message: str = "") -> None:
        """`fraction` is 0 to 1. Raises Lost when the job is no longer ours: stop then."""
        fraction = min(max(fraction, 0.0), 1.0)

        def edit(job: Job) -> None:
            job.progress, job.message = fraction, message

        shown = self._lease.job.model_copy()
        edit(shown)
        self._tell(shown)
        clock = asyncio.get_running_loop().time()
        if clock >= self._stored + self._every or fraction == 1.0:  # the last words are never lost
            self._stored = clock
            await self._lease.change(edit)


JobFunction = Callable[[Job, Progress], Awaitable[None]]


@dataclass
class Running:
    """A job under way in this process."""

    lease: Lease
    work: asyncio.Task[None]
    why: str = ""  # why it was told to end: cancel, lost, stop

    def end(self, why: str) -> None:
        """Tell the function to end."""
        if not self.why:
            self.why = why
            self.work.cancel()
