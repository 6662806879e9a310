"""The worker: takes jobs from the store by lease, does them, and writes down how they ended."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from aen.errors import AenError, Denied, Internal, Invalid, NotFound
from aen.model import now
from aen.model.job import Job, JobState
from aen.roles.server.job.leases import JOBS, Held, JobFunction, Lease, Lost, Progress, Running, read
from aen.store import Query, Stale, Store

SLOTS = 8  # jobs at the same time in one server
LEASE = 15.0  # seconds; renewed at a third of it
LOOK_AGAIN = 60.0  # seconds after which the store is looked through for what other servers left behind
FIRST_WAIT = 2.0  # seconds before the second attempt; doubled for each further one
LONGEST_WAIT = 300.0  # seconds between two attempts
TROUBLE_WAIT = 2.0  # seconds until the store is asked again when it can't be read
KEPT = 30 * 24 * 3600 * 1000  # ms for which finished jobs can be looked at
HOPELESS = (Invalid, Denied, NotFound)  # trying again wouldn't help

S = JobState
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Waiting:
    """What the queue in memory knows of a job; the store has the truth."""

    id: str
    kind: str
    priority: int
    created: int
    due: float  # may be taken from then on (monotonic)

    @property
    def order(self) -> tuple[int, int, str]:
        """Higher priority first, then the older."""
        return (-self.priority, self.created, self.id)


class Worker:
    """Does jobs of the kinds it has functions for. The queue in memory is a hint; the store has the truth."""

    def __init__(
        self,
        store: Store,
        tell: Callable[[Job], None],
        slots: int = SLOTS,
        lease: float = LEASE,
        first_wait: float = FIRST_WAIT,
        look: float = LOOK_AGAIN,
    ) -> None:
        """`tell` hears each change of a job. `lease`, `first_wait` and `look` (between two looks at the store) in seconds."""
        self._look_every = look
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self.store = store
        self._tell, self._slots, self._lease, self._first_wait = tell, slots, lease, first_wait
        self._functions: dict[str, JobFunction] = {}
        self._waiting: dict[str, Waiting] = {}
        self._running: dict[str, Running] = {}
        self._held = Held(lease)
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._look_at = 0.0  # loop time of the next look through the store

    def handle(self, kind: str, function: JobFunction) -> None:
        """Do jobs of `kind` by `function`."""
        self._functions[kind] = function
        self._wake.set()

    async def run(self) -> None:
        """Do jobs for life. It sleeps until something is added, ends, or falls due."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self._look()
                    await self._fill()
                except AenError as error:
                    log.warning("jobs can't be read; trying again", reason=error.message)
                    await asyncio.sleep(TROUBLE_WAIT)
                    continue
                await self._sleep()
        finally:
            await self._give_back()

    def cancel(self, id: str) -> None:
        """End the job's function, if it runs here."""
        running = self._running.get(id)
        if running is not None:
            running.end("cancel")

    @property
    def slots(self) -> int:
        """How many jobs are done at the same time here."""
        return self._slots

    def busy(self) -> tuple[int, int]:
        """How many jobs wait, and how many run here."""
        return len(self._waiting), len(self._running)

    async def _look(self) -> None:
        """Now and then: note what the store has to do, and forget what ended long ago."""
        clock = asyncio.get_running_loop().time()
        if clock < self._look_at:
            return
        cursor, first = "", True
        while cursor or first:
            query = Query(equal=(("active", True),), sort="created", limit=500, cursor=cursor)
            page = await self.store.find(JOBS, query)
            for doc in page.items:
                job = read(doc)
                if job is not None:
                    self.note(job, wake=False)
            cursor, first = page.next, False
        old = await self.store.find(JOBS, Query(sort="created", high=now() - KEPT, limit=500))
        for doc in old.items:
            if not doc["active"]:
                await self.store.delete(JOBS, doc["id"])
        self._look_at = clock + self._look_every

    def note(self, job: Job, wake: bool = True) -> None:
        """Keep the queue in memory in line with what was read or written."""
        if not job.active or job.id in self._running:
            self._waiting.pop(job.id, None)
            self._held.forget(job.id)
            return
        due = time.monotonic() + self._left(job)
        self._waiting[job.id] = Waiting(job.id, job.kind, job.priority, job.created, due)
        if wake:
            self._wake.set()

    def _left(self, job: Job) -> float:
        """Seconds until the job may be taken. The next attempt never waits longer than it should, should the clock be set."""
        if job.state is S.RUNNING:
            return self._held.left(job)
        wait = (job.not_before - now()) / 1000
        return min(wait, LONGEST_WAIT) if job.attempts else wait

    async def _fill(self) -> None:
        """Begin what is due, as long as there are slots."""
        while len(self._running) < self._slots:
            moment = time.monotonic()
            due = [one for one in self._waiting.values() if one.due <= moment and one.kind in self._functions]
            if not due:
                return
            chosen = min(due, key=lambda one: one.order)
            job = await self._take(chosen.id)
            if job is not None:
                self._begin(job)

    async def _take(self, id: str) -> Job | None:
        """Lease a job; None when it isn't to be had (now)."""
        doc = await self.store.get(JOBS, id)
        job = None if doc is None else read(doc)
        if job is None:
            self._waiting.pop(id, None)
            return None
        if not job.active or self._left(job) > 0:
            self.note(job, wake=False)
            return None
        if job.cancel:
            end(job, S.CANCELLED, "cancelled")
        elif job.attempts >= job.max_attempts:
            end(job, S.FAILED, job.message or "Its server died each time it was tried; the log may say why.")
        else:
            job.state, job.leased_by, job.attempts = S.RUNNING, self.name, job.attempts + 1
            job.leased_until, job.updated = now() + round(self._lease * 1000), now()
        try:
            job = Job.model_validate(await self.store.replace(JOBS, job.model_dump(mode="json")))
        except Stale:
            return None  # it still waits here: the next round reads it anew
        self._waiting.pop(id, None)
        self._held.forget(id)
        self._tell(job)
        return job if job.active else None

    def _begin(self, job: Job) -> None:
        lease = Lease(self.store, job)
        function = self._functions[job.kind]
        work = asyncio.ensure_future(_done(function, job, Progress(lease, self._tell)))
        self._running[job.id] = running = Running(lease, work)
        task = asyncio.create_task(self._see_through(running), name=f"job:{job.kind}:{job.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, running: Running) -> None:
        """Hold the lease while the function works, then write down how it ended."""
        job = running.lease.job
        keeping = asyncio.create_task(self._keep(running))
        try:
            await asyncio.wait([running.work])
            job = await self._write_end(running)
        except Lost:
            log.warning("job lost to another server", job=job.id, kind=job.kind)
        except AenError as error:  # the lease runs out, and the job is taken again
            log.error("the end of a job could not be stored", job=job.id, kind=job.kind, reason=error.message)
        finally:
            keeping.cancel()
            self._running.pop(job.id, None)
            self.note(job)
            self._wake.set()

    async def _keep(self, running: Running) -> None:
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(self._lease / 3)
            asked = time.monotonic()
            try:
                job = await running.lease.renew(self._lease)
                renewed = asked
            except Lost:
                return running.end("lost")
            except AenError as error:
                log.warning("a job's lease can't be renewed", job=running.lease.job.id, reason=error.message)
                job = running.lease.job
                if time.monotonic() - renewed > self._lease:  # somebody else may have it by now
                    return running.end("lost")
            if job.cancel:
                running.end("cancel")

    async def _write_end(self, running: Running) -> Job:
        """Store how the function ended, tell it, and return the job. Raises Lost."""
        if running.why == "lost":
            raise Lost
        error = asyncio.CancelledError() if running.work.cancelled() else running.work.exception()
        if isinstance(error, Lost):
            raise Lost
        job = await running.lease.change(lambda job: self._judge(job, error, running.why))
        if error is not None and running.why != "stop":
            log.warning("job did not succeed", job=job.id, kind=job.kind, state=job.state, reason=job.message)
        self._tell(job)
        return job

    def _judge(self, job: Job, error: BaseException | None, why: str) -> None:
        """What becomes of a job whose function ended so."""
        job.leased_by, job.leased_until = "", 0
        if error is None:
            job.progress = 1.0
            return end(job, S.DONE, job.message)
        if job.cancel:
            return end(job, S.CANCELLED, "cancelled")
        if why == "stop":  # given back: it didn't fail
            job.state, job.attempts, job.not_before = S.QUEUED, job.attempts - 1, 0
            return None
        message, wait = self._reason(job, error)
        if isinstance(error, HOPELESS) or job.attempts >= job.max_attempts:
            return end(job, S.FAILED, message)
        job.state, job.message, job.not_before = S.QUEUED, message, now() + round(wait * 1000)
        return None

    def _reason(self, job: Job, error: BaseException) -> tuple[str, float]:
        """What to tell of an error, and the seconds until the next attempt."""
        wait = min(self._first_wait * 2 ** (job.attempts - 1), LONGEST_WAIT)
        if isinstance(error, AenError):
            return error.message, max(wait, error.retry_after or 0)
        fault = Internal("Something went wrong inside AEN.")
        log.error("job failed", job=job.id, kind=job.kind, id=fault.id, exc_info=error)
        return f"{fault.message} The log has it under {fault.id}.", wait

    async def _sleep(self) -> None:
        """Until something is added or ends, or the next thing falls due."""
        seconds = self._look_at - asyncio.get_running_loop().time()
        if len(self._running) < self._slots:
            dues = [one.due for one in self._waiting.values() if one.kind in self._functions]
            if dues:
                seconds = min(seconds, min(dues) - time.monotonic())
        try:
            async with asyncio.timeout(max(seconds, 0.01)):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _give_back(self) -> None:
        """The server stops: functions end, and their jobs wait for the next server."""
        for running in tuple(self._running.values()):
            running.end("stop")
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))


def end(job: Job, state: JobState, message: str) -> None:
    """The job is over."""
    job.state, job.active, job.message = state, False, message
    job.leased_by, job.leased_until, job.updated = "", 0, now()


async def _done(function: JobFunction, job: Job, progress: Progress) -> None:
    await function(job, progress)
