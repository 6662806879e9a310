"""Grace: deleted projects that their owners can have back for some days. They show nowhere, run nothing, and keep their name."""

from __future__ import annotations

import asyncio

import structlog

from aen.errors import AenError, Conflict
from aen.model import now
from aen.model.project import Project, ProjectState
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission
from aen.roles.server.project.moves import DELETE, GRACE, begin_deletion, check_typed
from aen.service import Service
from aen.store import Query

log = structlog.get_logger(__name__)

_DAY_MS = 86_400_000
_LOOK_SECONDS = 30.0


class Grace(Part):
    """Deleting with time to think better of it. `Projects.delete` is for good."""

    async def begin(self, service: Service) -> None:
        """See Part."""
        service.spawn(self._sweep_for_life(), "deleted projects")

    @property
    def days(self) -> int:
        """How long a deleted project can be had back; 0: not at all."""
        return int(self.domain.settings.value("deletion.grace_days"))

    async def discard(self, actor: Actor, owner: str, name: str, typed: str) -> Project:
        """Delete it; it can be restored for `days`. `typed` must be its name. Everything in it is stopped, everything open closed."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.OWN)
        check_typed(project, typed)
        if not self.days:
            await self.domain.projects.delete(actor, owner, name, typed)
            return await self.domain.projects.by_id(project.id) or project
        if project.ends:
            return project
        ends = now() + self.days * _DAY_MS
        project = await self.domain.projects.edit(project.id, lambda one: _discard(one, ends, actor.name))
        self.domain.projects.background.spawn(f"stop:{project.id}", self.domain.projects.life.finish_stop(project.id))
        self.domain.sessions.routes.refresh(project)
        await self.domain.admitting.sweep()
        await self.domain.activity.record(
            actor, "project.discarded", project.slug, project=project.id, who=owner, security=True
        )
        return project

    async def restore(self, actor: Actor, owner: str, name: str) -> Project:
        """Have a deleted project back, stopped, with all that it had. Conflict when it is too late."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.OWN)
        if not project.going:
            return project
        project = await self.domain.projects.edit(project.id, _restore)
        await self.domain.activity.record(
            actor, "project.restored", project.slug, project=project.id, who=owner, security=True
        )
        return project

    async def _sweep_for_life(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.sweep()
            except AenError as error:
                log.warning("deleted projects could not be looked through; it is tried again", reason=error.message)

    async def sweep(self) -> None:
        """Those whose time is over are deleted for good."""
        async for doc in every(self.store, "projects", Query(equal=(("pending", GRACE),))):
            if not 0 < doc["ends"] <= now():
                continue
            project = await self.domain.projects.edit(doc["id"], _over)
            if DELETE in project.pending:
                await self.domain.projects.moves.ensure_job(project, DELETE)


def _discard(project: Project, ends: int, by: str) -> None:
    if project.renaming:
        raise Conflict(f"{project.slug} is being renamed. Try again in a moment.", retry_after=2)
    if project.state is ProjectState.DELETING:
        raise Conflict(f"{project.slug} is being deleted for good.")
    if project.state is not ProjectState.STOPPED:
        project.move(ProjectState.STOPPING, f"stopped by {by}")
    project.ends = ends
    project.pending = [*(kind for kind in project.pending if kind != GRACE), GRACE]


def _restore(project: Project) -> None:
    if project.state is ProjectState.DELETING:
        raise Conflict(f"{project.slug} is being deleted for good: it is too late.")
    project.ends, project.updated = 0, now()
    project.pending = [kind for kind in project.pending if kind != GRACE]


def _over(project: Project) -> None:
    """Decided on the record as it is now: it may have been restored a moment ago."""
    if 0 < project.ends <= now():
        begin_deletion(project, "it was deleted, and the time to restore it is over")
