"""Moves of a project: renaming and deleting, and the outbox: what a project's record says is yet to be done elsewhere is done."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING

import structlog

from aen import names
from aen.errors import AenError, Conflict, Invalid, NotFound, TimedOut
from aen.messages import DeleteProject, RenameProject
from aen.model import now
from aen.model.job import Job, JobState
from aen.model.project import Project, ProjectState, Role
from aen.model.session import Session
from aen.model.user import User
from aen.roles.server.background import ask
from aen.roles.server.changes import change, every
from aen.roles.server.domain import Part
from aen.roles.server.job.leases import Progress
from aen.roles.server.permissions import Actor, Permission
from aen.roles.server.project.wording import search_text
from aen.service import Service
from aen.store import Duplicate, Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

S = ProjectState
DELETE, GRACE, PERMISSIONS, RENAME = "delete", "grace", "permissions", "rename"  # what stands in `Project.pending`
_ATTEMPTS = {
    DELETE: 12,
    PERMISSIONS: 3,
}  # a failed deletion is told; permissions are tried for ever, when the node is up
_SWEEP_SECONDS = 3.0
_AGAIN_MS = 10_000  # a failed job about permissions is added again after so long
_LONG_SECONDS = 600.0  # removing a big tree takes its time
_MOVE_SECONDS = 180.0  # passing on the files of a big one, and rewriting its environments


class Moves(Part):
    """Renaming and deleting; both survive a crash at any point, because the project's record says what is due."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._renaming: set[str] = set()  # ids of projects whose rename goes on in this process

    async def begin(self, service: Service) -> None:
        """See Part."""
        self.domain.jobs.handle("project.delete", self._delete)
        service.spawn(self._sweep_for_life(), "moves")

    # ── renaming ────────────────────────────────────────────────────────────────────────────────────

    async def rename(self, actor: Actor, owner: str, name: str, new_name: str) -> Project:
        """See `Projects.rename`. The name is reserved in the record, the node moves the directory, then the address changes."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.OWN)
        if names.project(new_name) == project.name:
            return project
        await self._check_free(owner, new_name)
        renamed = await self._move(project, new_name)
        detail = f"from {name} to {new_name}"
        await self.domain.activity.record(actor, "project.renamed", renamed.slug, project=project.id, detail=detail)
        return renamed

    async def transfer(self, project: Project, user: str) -> Project:
        """Move the project to another owner, who is in its team. The old one stays as maintainer."""
        await self._check_free(user, project.name)
        return await self._move(project, project.name, user)

    async def _move(self, project: Project, name: str, owner: str = "") -> Project:
        verb = "give it to somebody else" if owner else "rename it"
        if await self.domain.sessions.live_of(project.id):
            raise Conflict(f"{project.slug} has running sessions. Stop the project before you {verb}.")

        def reserve(project: Project) -> None:
            if project.renaming:
                raise Conflict(f"{project.slug} is being moved already. Try again in a moment.", retry_after=2)
            if project.state not in (S.STOPPED, S.PROBLEM):
                raise Conflict(f"{project.slug} is {project.state.lower()}. Stop it before you {verb}.")
            if owner and project.role_of(owner) is None:
                raise Conflict(f"{owner} is not in the team. Add them first.")
            project.renaming, project.passing = name, owner
            project.pending = [*project.pending, RENAME]

        self._renaming.add(project.id)
        try:
            async with self.domain.allowances.room_for_project(owner) if owner else nullcontext():
                project = await self.domain.projects.edit(project.id, reserve)
            return await self._finish_rename(project, resumed=False)
        finally:
            self._renaming.discard(project.id)

    async def _check_free(self, owner: str, name: str) -> None:
        if await self.store.count("projects", (("slug", names.slug(owner, name)),)):
            raise Conflict(f"{owner} already has a project named {name}. Choose another name.")

    async def _finish_rename(self, project: Project, *, resumed: bool) -> Project:
        old, new, owner = project.name, project.renaming, project.passing
        await self._move_directory(project, new, owner, resumed=resumed)
        try:
            renamed = await self.domain.projects.edit(project.id, lambda project: _settle(project, new, owner))
        except Duplicate as error:  # somebody made a project of that name meanwhile
            back = project.model_copy(update={"name": new, "owner": owner or project.owner})
            await self._move_directory(back, old, project.owner if owner else "", resumed=True)
            await self.domain.projects.edit(project.id, lambda project: _settle(project, project.name))
            whose = owner or project.owner
            raise Conflict(f"{whose} already has a project named {new}. Choose another name.") from error
        await self._tell_sessions(renamed)
        if PERMISSIONS in renamed.pending:
            await self.ensure_job(renamed, PERMISSIONS)
        return renamed

    async def _move_directory(self, project: Project, new_name: str, new_owner: str, *, resumed: bool) -> None:
        if not project.node:
            return
        command = RenameProject(project=self.domain.projects.spec(project), new_name=new_name, new_owner=new_owner)
        try:
            await ask(self.bus, names.address("compute", project.node), command, _MOVE_SECONDS)
        except NotFound:
            return  # it has no directory yet, or (resumed) has been moved already
        except TimedOut:
            raise  # unknown: the record keeps saying that it is due, and the sweep asks again
        except AenError:
            if not resumed:  # it was not done: the project keeps its name
                await self.domain.projects.edit(project.id, lambda project: _settle(project, project.name))
            raise

    async def _tell_sessions(self, project: Project) -> None:
        def edit(session: Session) -> None:
            session.slug, session.owner, session.name = project.slug, project.owner, project.name

        async for doc in every(self.store, "sessions", Query(equal=(("project", project.id),), sort="created")):
            await change(self.store, "sessions", Session, doc["id"], edit)

    # ── deleting ────────────────────────────────────────────────────────────────────────────────────

    async def delete(self, actor: Actor, owner: str, name: str, typed: str) -> Job:
        """See `Projects.delete`."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.OWN)
        check_typed(project, typed)
        already = project.state is S.DELETING
        project = await self.domain.projects.edit(
            project.id, lambda one: begin_deletion(one, f"deleted by {actor.name}")
        )
        if not already:
            await self.domain.activity.record(
                actor, "project.deleted", project.slug, project=project.id, who=owner, security=True
            )
        return await self.ensure_job(project, DELETE, actor.name)

    async def _delete(self, job: Job, _: Progress) -> None:
        """The job: sessions, then files, then records, the project's own last. Every step may be done twice."""
        project = await self.domain.projects.by_id(str(job.payload["project"]))
        if project is None or project.state is not S.DELETING:
            return
        for session in await self.domain.sessions.live_of(project.id):
            await self.domain.sessions.dispatch.end(session, "the project is being deleted")
        if project.node:
            command = DeleteProject(project=self.domain.projects.spec(project))
            await ask(self.bus, names.address("compute", project.node), command, _LONG_SECONDS)
        await self._forget_stars(project)
        await self.domain.shares.forget(project.id)
        await self.domain.schedules.forget(project.id)
        await self.domain.publications.forget(project.id)
        await self.domain.indexing.forget(project.id)
        async for doc in every(self.store, "sessions", Query(equal=(("project", project.id),), sort="created")):
            self.domain.sessions.routes.drop(doc["id"], int(doc["generation"]), doc["datacenter"])
            await self.store.delete("sessions", doc["id"])
        await self.store.delete("projects", project.id)
        data = {"project": project.slug, "id": project.id}
        self.domain.events.publish(f"project:{project.id}", "project-deleted", data)
        for user in project.members:
            self.domain.events.publish(f"user:{user}", "project-deleted", data)
        log.info("project deleted", project=project.slug)

    async def _forget_stars(self, project: Project) -> None:
        def unmark(user: User) -> None:
            user.starred = [id for id in user.starred if id != project.id]

        async for doc in every(self.store, "users", Query(equal=(("starred", project.id),))):
            await self.domain.accounts.change_user(doc["id"], unmark)

    # ── the outbox ──────────────────────────────────────────────────────────────────────────────────

    async def ensure_job(self, project: Project, kind: str, created_by: str = "") -> Job:
        """The job that does what is pending: the one under way, or a new one."""
        last = await self.last_job(project, kind)
        if last is not None and last.active and last.state is JobState.QUEUED:
            return last
        if last is not None and last.active and kind == DELETE:
            return last
        payload, attempts = {"project": project.id}, _ATTEMPTS[kind]
        return await self.domain.jobs.add(
            f"project.{kind}", project.slug, payload, created_by, priority=1, max_attempts=attempts
        )

    async def last_job(self, project: Project, kind: str) -> Job | None:
        """The newest job `project.<kind>` of that project."""
        query = Query(equal=(("subject", project.slug),), sort="created", descending=True, limit=20)
        for doc in (await self.store.find("jobs", query)).items:
            if doc["kind"] == f"project.{kind}" and doc["payload"].get("project") == project.id:
                return Job.model_validate(doc)
        return None

    async def _sweep_for_life(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self.sweep()
            except AenError as error:
                log.warning("sweep of pending work failed; it is tried again", reason=error.message)

    async def sweep(self) -> None:
        """See that all that is pending has somebody who does it."""
        for kind in (DELETE, PERMISSIONS, RENAME):
            async for doc in every(self.store, "projects", Query(equal=(("pending", kind),))):
                project = Project.model_validate(doc)
                try:
                    await self._take_up(project, kind)
                except AenError as error:
                    log.warning("pending work goes on later", project=project.slug, work=kind, reason=error.message)

    async def _take_up(self, project: Project, kind: str) -> None:
        if kind == RENAME:
            self._resume_rename(project)
            return
        last = await self.last_job(project, kind)
        if last is None or last.state is JobState.DONE:
            await self.ensure_job(project, kind)
        elif not last.active and kind == DELETE:
            await self._give_up_delete(project, last)
        elif not last.active and now() - last.updated > _AGAIN_MS and self.domain.nodes.up(project.node):
            await self.ensure_job(project, kind)

    def _resume_rename(self, project: Project) -> None:
        if project.id in self._renaming or not project.renaming:
            return
        log.info("a rename that was interrupted goes on", project=project.slug, new_name=project.renaming)

        async def work() -> None:
            await self._finish_rename(project, resumed=True)

        self.domain.projects.background.spawn(f"rename:{project.id}", work())

    async def _give_up_delete(self, project: Project, job: Job) -> None:
        """The job failed for good or was cancelled: the project is a PROBLEM that can be deleted again, or reset."""
        how = "was cancelled" if job.state is JobState.CANCELLED else f"failed: {job.message}"

        def edit(project: Project) -> None:
            project.pending = [kind for kind in project.pending if kind != DELETE]
            if project.state is S.DELETING:
                project.move(S.PROBLEM, f"Deleting the project {how}. Delete it again, or reset it to keep it.")

        if job.created >= project.since:
            await self.domain.projects.edit(project.id, edit)


def check_typed(project: Project, typed: str) -> None:
    """Raises Invalid unless its name was typed."""
    if typed not in (project.name, project.slug):
        raise Invalid(f"To delete the project, type its name: {project.name}.")


def begin_deletion(project: Project, why: str) -> None:
    """From now on it is being deleted, for good. Raises Conflict."""
    if project.renaming:
        raise Conflict(f"{project.slug} is being renamed. Try again in a moment.", retry_after=2)
    if project.state is not S.DELETING:
        project.move(S.DELETING, why)
    project.ends = 0  # a deletion that fails leaves a project that people see, and can reset
    project.pending = [*(kind for kind in project.pending if kind not in (DELETE, GRACE)), DELETE]


def _settle(project: Project, name: str, owner: str = "") -> None:
    """The end of a move: the record has its (new or old) name, and nothing is due. A new `owner` gets all rights."""
    if owner:
        roles = {project.owner: Role.MAINTAINER, owner: Role.OWNER}
        project.team = [one.model_copy(update={"role": roles.get(one.user, one.role)}) for one in project.team]
        project.owner = owner
    project.name, project.slug, project.renaming, project.passing = name, names.slug(project.owner, name), "", ""
    project.pending = [kind for kind in project.pending if kind != RENAME]
    if owner and project.node and PERMISSIONS not in project.pending:
        project.pending = [*project.pending, PERMISSIONS]
    project.search, project.updated = search_text(project), now()
