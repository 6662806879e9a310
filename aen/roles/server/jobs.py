"""Jobs: work that outlives the request that asked for it. Stored, leased, retried, cancellable; kill -9 loses none."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from aen.errors import AenError, Conflict, Denied, Internal, Invalid, NotFound
from aen.model import new_id, now
from aen.model.job import Job, JobState
from aen.names import split_slug
from aen.roles.server.domain import Part
from aen.roles.server.leases import JOBS, JobFunction, Lease, Lost, Progress, Running
from aen.roles.server.permissions import Actor
from aen.service import Service
from aen.store import Query, Stale

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

SLOTS = 8  # jobs at the same time in one server
LEASE = 15.0  # seconds; renewed at a third of it
LOOK_AGAIN = 60.0  # seconds after which the store is looked through for what other servers left behind
LONGEST_WAIT = 300.0  # seconds between two attempts
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
    due: int  # ms since 1970: may be taken from then on

    @property
    def order(self) -> tuple[int, int, str]:
        """Higher priority first, then the older."""
        return (-self.priority, self.created, self.id)


class Jobs(Part):
    """The queue and its worker. A job may run twice (never at the same time): its function must bear that."""

    def __init__(self, domain: Domain, *, slots: int = SLOTS, lease: float = LEASE, first_wait: float = 2.0) -> None:
        super().__init__(domain)
        self.worker = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._slots, self._lease, self._first_wait = slots, lease, first_wait
        self._functions: dict[str, JobFunction] = {}
        self._waiting: dict[str, Waiting] = {}
        self._running: dict[str, Running] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._look_at = 0.0  # loop time of the next look through the store

    async def begin(self, service: Service) -> None:
        """Work for life."""
        service.spawn(self.run(), "jobs")

    def handle(self, kind: str, function: JobFunction) -> None:
        """Jobs of `kind` are done by `function(job, progress)`. It may be cancelled at any `await`, and called again.

        An error is retried with growing delay up to `job.max_attempts`; Invalid, Denied and NotFound are final.
        """
        self._functions[kind] = function
        self._wake.set()

    async def add(
        self,
        kind: str,
        subject: str = "",
        payload: dict[str, Any] | None = None,
        created_by: str = "",
        *,
        priority: int = 0,
        delay: float = 0.0,
        max_attempts: int = 5,
    ) -> Job:
        """Store a job (`delay` in seconds before it may begin) and return it; it is on disk then."""
        job = Job(
            id=new_id(),
            kind=kind,
            subject=subject,
            payload=payload or {},
            created_by=created_by,
            priority=priority,
            max_attempts=max_attempts,
            not_before=now() + round(delay * 1000) if delay else 0,
        )
        job = Job.model_validate(await self.store.insert(JOBS, job.model_dump(mode="json")))
        self._note(job)
        self._tell(job)
        return job

    async def get(self, actor: Actor, id: str) -> Job:
        """The job, for who may see it: its creator, who sees the project it is about, administrators. Else NotFound."""
        doc = await self.store.get(JOBS, id)
        if doc is None:
            raise NotFound("There is no such job.")
        job = Job.model_validate(doc)
        if not actor.admin and job.created_by != actor.name:
            await self._check_subject(actor, job.subject)
        return job

    async def list(
        self, actor: Actor, *, state: JobState | None = None, subject: str = "", limit: int = 50, cursor: str = ""
    ) -> tuple[list[Job], str]:
        """Jobs, newest first, and the next cursor: of a project one may see, else one's own, else (administrators) all."""
        if subject and not actor.admin:
            await self._check_subject(actor, subject)
        equal: tuple[tuple[str, Any], ...] = (("created_by", actor.name),)
        if subject:
            equal = (("subject", subject),)
        elif actor.admin:
            equal = (("state", state.value),) if state else ()
        query = Query(equal=equal, sort="created", descending=True, limit=limit, cursor=cursor)
        page = await self.store.find(JOBS, query)
        found = [Job.model_validate(doc) for doc in page.items]
        return [job for job in found if state in (None, job.state)], page.next

    async def cancel(self, actor: Actor, id: str) -> Job:
        """End a job: at once while it waits, as soon as its function lets go while it runs. Conflict when it has ended."""
        while True:
            job = await self.get(actor, id)
            if not actor.admin and job.created_by != actor.name:
                raise Denied("Only who started this job, or an administrator, can cancel it.")
            if job.state is S.CANCELLED:
                return job
            if not job.active:
                raise Conflict(f"This job is over already ({job.state.lower()}): there is nothing to cancel.")
            job.cancel = True
            if job.state is S.QUEUED:
                _end(job, S.CANCELLED, "cancelled before it began")
            try:
                job = Job.model_validate(await self.store.replace(JOBS, job.model_dump(mode="json")))
            except Stale:
                continue
            running = self._running.get(id)
            if running is not None:
                running.end("cancel")
            self._tell(job)
            return job

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
                    self._look_at = asyncio.get_running_loop().time() + 2
                await self._sleep()
        finally:
            await self._give_back()

    def health(self) -> dict[str, Any]:
        """How many jobs wait and run here."""
        return {"status": "ok", "waiting": len(self._waiting), "running": len(self._running)}

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
                self._note(Job.model_validate(doc), wake=False)
            cursor, first = page.next, False
        old = await self.store.find(JOBS, Query(sort="created", high=now() - KEPT, limit=500))
        for doc in old.items:
            if not doc["active"]:
                await self.store.delete(JOBS, doc["id"])
        self._look_at = clock + LOOK_AGAIN

    def _note(self, job: Job, wake: bool = True) -> None:
        """Keep the queue in memory in line with what was read or written."""
        if not job.active or job.id in self._running:
            self._waiting.pop(job.id, None)
            return
        due = job.not_before if job.state is S.QUEUED else job.leased_until
        self._waiting[job.id] = Waiting(job.id, job.kind, job.priority, job.created, due)
        if wake:
            self._wake.set()

    async def _fill(self) -> None:
        """Begin what is due, as long as there are slots."""
        while len(self._running) < self._slots:
            moment = now()
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
        if doc is None:
            self._waiting.pop(id, None)
            return None
        job = Job.model_validate(doc)
        held = job.leased_until if job.state is S.RUNNING else job.not_before
        if not job.active or held > now():
            self._note(job, wake=False)
            return None
        if job.cancel:
            _end(job, S.CANCELLED, "cancelled")
        elif job.attempts >= job.max_attempts:
            _end(job, S.FAILED, job.message or "Its server died each time it was tried; the log may say why.")
        else:
            job.state, job.leased_by, job.attempts = S.RUNNING, self.worker, job.attempts + 1
            job.leased_until = now() + round(self._lease * 1000)
        try:
            job = Job.model_validate(await self.store.replace(JOBS, job.model_dump(mode="json")))
        except Stale:
            return None  # it still waits here: the next round reads it anew
        self._waiting.pop(id, None)
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
            job.leased_until = now() + round(self._lease * 1000)
        finally:
            keeping.cancel()
            self._running.pop(job.id, None)
            self._note(job)
            self._wake.set()

    async def _keep(self, running: Running) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                job = await running.lease.renew(self._lease)
            except Lost:
                return running.end("lost")
            except AenError as error:
                log.warning("a job's lease can't be renewed", job=running.lease.job.id, reason=error.message)
                job = running.lease.job
                if job.leased_until < now():  # somebody else may have it by now
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
            return _end(job, S.DONE, job.message)
        if job.cancel:
            return _end(job, S.CANCELLED, "cancelled")
        if why == "stop":  # given back: it didn't fail
            job.state, job.attempts, job.not_before = S.QUEUED, job.attempts - 1, 0
            return None
        message, wait = self._reason(job, error)
        if isinstance(error, HOPELESS) or job.attempts >= job.max_attempts:
            return _end(job, S.FAILED, message)
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
                seconds = min(seconds, (min(dues) - now()) / 1000)
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

    async def _check_subject(self, actor: Actor, subject: str) -> None:
        """NotFound unless the actor may see the project that a job is about."""
        if "/" not in subject:
            raise NotFound("There is no such job.")
        await self.domain.projects.get(actor, *split_slug(subject))

    def _tell(self, job: Job) -> None:
        data = {
            "id": job.id,
            "kind": job.kind,
            "subject": job.subject,
            "state": job.state.value,
            "progress": job.progress,
            "message": job.message,
        }
        self.domain.events.publish("jobs", "job", data)
        project = job.payload.get("project")
        if isinstance(project, str) and project:
            self.domain.events.publish(f"project:{project}", "job", data)


def _end(job: Job, state: JobState, message: str) -> None:
    job.state, job.active, job.message = state, False, message
    job.leased_by, job.leased_until, job.updated = "", 0, now()


async def _done(function: JobFunction, job: Job, progress: Progress) -> None:
    await function(job, progress)
