"""Jobs: work that outlives the request that asked for it. Stored, leased, retried, cancellable; kill -9 loses none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from aen.errors import Conflict, Denied, Invalid, NotFound
from aen.model import new_id, now
from aen.model.job import Job, JobState
from aen.model.project import Project
from aen.names import split_slug
from aen.roles.server.changes import change, every
from aen.roles.server.domain import Part
from aen.roles.server.job.leases import JOBS, JobFunction
from aen.roles.server.job.worker import FIRST_WAIT, LEASE, LOOK_AGAIN, SLOTS, Worker, end
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service
from aen.store import Query, Stale

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

S = JobState
_LOOK_AMONG_SEVERAL, _LEASE_AMONG_SEVERAL = 3.0, 6.0  # seconds: what a dead server had in hand goes on soon


class Jobs(Part):
    """The queue and its worker. A job may run twice (never at the same time): its function must bear that."""

    def __init__(
        self, domain: Domain, *, slots: int = SLOTS, lease: float = LEASE, first_wait: float = FIRST_WAIT
    ) -> None:
        super().__init__(domain)
        self.listeners: list[Callable[[Job], None]] = []  # told of each change; they must not wait or raise
        alone = domain.company.alone
        look = LOOK_AGAIN if alone else _LOOK_AMONG_SEVERAL
        lease = lease if alone else min(lease, _LEASE_AMONG_SEVERAL)
        self._worker = Worker(domain.store, self._tell, slots, lease, first_wait, look)

    async def begin(self, service: Service) -> None:
        """Work for life."""
        self.domain.company.hear("job", lambda told: self._worker.cancel(told.topic))
        service.spawn(self.run(), "jobs")

    def handle(self, kind: str, function: JobFunction) -> None:
        """Jobs of `kind` are done by `function(job, progress)`. It may be cancelled at any `await`, and called again.

        An error is retried with growing delay up to `job.max_attempts`; Invalid, Denied and NotFound are final.
        """
        self._worker.handle(kind, function)

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
        self._worker.note(job)
        self._tell(job)
        return job

    async def get(self, actor: Actor, id: str) -> Job:
        """The job, for who may see it: its creator, who sees the project it is about, administrators. Else NotFound."""
        doc = await self.store.get(JOBS, id)
        if doc is None:
            raise NotFound("There is no such job.")
        job = Job.model_validate(doc)
        if not actor.admin and not actor.owns(job.created_by, job.created):
            await self._check_subject(actor, job.subject)
        return job

    async def of(self, project: Project, limit: int = 50) -> list[Job]:
        """Jobs about a project that who asks was given, newest first."""
        return (await self._find((("subject", project.slug),), limit, ""))[0]

    async def _find(
        self, equal: tuple[tuple[str, Any], ...], limit: int, cursor: str, low: int | None = None
    ) -> tuple[list[Job], str]:
        query = Query(equal=equal, low=low, sort="created", descending=True, limit=limit, cursor=cursor, shared=True)
        page = await self.store.find(JOBS, query)
        return [self.domain.seen.read(Job, doc) for doc in page.items], page.next

    async def list(
        self,
        actor: Actor,
        *,
        state: JobState | None = None,
        subject: str = "",
        kind: str = "",
        limit: int = 50,
        cursor: str = "",
    ) -> tuple[list[Job], str]:
        """Jobs, newest first, and the next cursor: of a project one may see, else one's own, else (administrators) all."""
        if subject and not actor.admin:
            await self._check_subject(actor, subject)
        equal: tuple[tuple[str, Any], ...] = (("created_by", actor.name),)
        low: int | None = actor.since
        if subject:
            equal, low = (("subject", subject),), None
        elif actor.admin:
            equal, low = (("state", state.value),) if state else (("kind", kind),) if kind else (), None
        found, following = await self._find(equal, limit, cursor, low)
        return [job for job in found if state in (None, job.state) and kind in ("", job.kind)], following

    async def cancel(self, actor: Actor, id: str) -> Job:
        """End a job: at once while it waits, as soon as its function lets go while it runs. Conflict when it has ended."""
        while True:
            job = await self.get(actor, id)
            if not actor.admin and not actor.owns(job.created_by, job.created):
                raise Denied("Only who started this job, or an administrator, can cancel it.")
            if job.state is S.CANCELLED:
                return job
            if not job.active:
                raise Conflict(f"This job is over already ({job.state.lower()}): there is nothing to cancel.")
            job.cancel = True
            if job.state is S.QUEUED:
                end(job, S.CANCELLED, "cancelled before it began")
            try:
                job = Job.model_validate(await self.store.replace(JOBS, job.model_dump(mode="json")))
            except Stale:
                continue
            self._worker.note(job)
            self._worker.cancel(id)
            self.domain.company.tell("job", id)
            self._tell(job)
            return job

    async def retry(self, actor: Actor, id: str) -> Job:
        """Try a job again that failed or was cancelled: its attempts begin anew. Conflict while it is under way."""

        def edit(job: Job) -> None:
            if job.active or job.state is S.DONE:
                raise Conflict(f"This job is {job.state.lower()}: only what failed or was cancelled is tried again.")
            job.state, job.active, job.cancel, job.attempts = S.QUEUED, True, False, 0
            job.progress, job.message, job.not_before, job.leased_until, job.leased_by = 0.0, "", 0, 0, ""

        return await self._change(actor, id, edit)

    async def prioritize(self, actor: Actor, id: str, priority: int) -> Job:
        """Let a job that waits come earlier (above 0) or later, for administrators. Invalid, Conflict."""
        check(actor, Permission.ADMIN)
        if not -100 <= priority <= 100:
            raise Invalid("A priority is a number from -100 to 100; 0 is usual, higher comes first.")

        def edit(job: Job) -> None:
            if job.state is not S.QUEUED:
                raise Conflict("Only a job that waits has a place in the queue.")
            job.priority = priority

        return await self._change(actor, id, edit)

    async def _change(self, actor: Actor, id: str, edit: Callable[[Job], None]) -> Job:
        job = await self.get(actor, id)
        if not actor.admin and not actor.owns(job.created_by, job.created):
            raise Denied("Only who started this job, or an administrator, can do that.")
        job = await change(self.store, JOBS, Job, id, edit)
        self._worker.note(job)
        self._tell(job)
        return job

    async def workers(self, actor: Actor) -> Sequence[dict[str, Any]]:
        """Who does jobs: each server's worker, what it has in hand, and for this server how many it takes at once."""
        check(actor, Permission.ADMIN)
        held: dict[str, list[Job]] = {self._worker.name: []}
        async for doc in every(self.store, JOBS, Query((("state", S.RUNNING.value),), sort="created")):
            job = Job.model_validate(doc)
            held.setdefault(job.leased_by, []).append(job)
        here = self._worker.name
        return [
            {"name": name, "here": name == here, "slots": self._worker.slots if name == here else 0, "jobs": jobs}
            for name, jobs in sorted(held.items())
        ]

    async def run(self) -> None:
        """Do jobs for life. It sleeps until something is added, ends, or falls due."""
        await self._worker.run()

    def health(self) -> dict[str, Any]:
        """How many jobs wait and run here."""
        waiting, running = self._worker.busy()
        return {"status": "ok", "waiting": waiting, "running": running}

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
        for listener in self.listeners:
            listener(job)
        project = job.payload.get("project")
        if isinstance(project, str) and project:
            self.domain.events.publish(f"project:{project}", "job", data)
