"""Repairs: which files of a project are not in line with its team, and bringing them in line by a job that tells how far it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aen import names
from aen.errors import AenError, Conflict, Unavailable
from aen.messages import ApplyPermissions, CheckPermissions, PermissionsReport, PermissionsWalked
from aen.model.drift import Drift
from aen.model.job import Job
from aen.model.project import Project, ProjectState
from aen.roles.server.background import ask, held
from aen.roles.server.domain import Part
from aen.roles.server.job.leases import Progress
from aen.roles.server.permissions import Actor, Permission
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

_LOOK_SECONDS = 120.0
_WALK_SECONDS = 1800.0
_KIND = "project.repair"


class Repairs(Part):
    """Drift of permissions, looked for and repaired."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._walking: dict[str, PermissionsWalked] = {}  # by project id: what the node told last

    async def begin(self, service: Service) -> None:
        """See Part."""
        self.domain.jobs.handle(_KIND, self._repair)
        await service.enter(held(self.bus.subscribe(PermissionsWalked, self._heard)))

    async def check(self, actor: Actor, owner: str, name: str) -> Drift:
        """What differs, for members of the team (it names files). Unavailable when the project's node is not heard."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.CONTROL)
        if not project.node:
            return Drift(notes=["The project was never started: it has no files yet."])
        self._check_heard(project)
        command = CheckPermissions(project=self.domain.projects.spec(project))
        found: Drift = await ask(self.bus, names.address("compute", project.node), command, _LOOK_SECONDS)
        return found

    async def repair(self, actor: Actor, owner: str, name: str) -> Job:
        """Bring all files in line with the team, by a job: the one that waits or goes on, or a new one."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.CONTROL)
        if not project.node:
            raise Conflict(f"{project.slug} was never started: there is nothing to repair.")
        self._check_heard(project)
        last = await self.last(project)
        if last is not None and last.active:
            return last
        await self.domain.activity.record(actor, "project.repaired", project.slug, project=project.id)
        return await self.domain.jobs.add(
            _KIND, project.slug, {"project": project.id}, actor.name, priority=1, max_attempts=3
        )

    async def last(self, project: Project) -> Job | None:
        """The repair that waits, goes on or ended last."""
        return await self.domain.projects.moves.last_job(project, "repair")

    def _check_heard(self, project: Project) -> None:
        if not self.domain.nodes.up(project.node):
            raise Unavailable(f"The node {project.node}, which has the project's files, is not heard at the moment.")

    async def _heard(self, event: PermissionsWalked) -> None:
        if event.project in self._walking:
            self._walking[event.project] = event

    async def _repair(self, job: Job, progress: Progress) -> None:
        """The job. What it found at the end is its message."""
        project = await self.domain.projects.by_id(str(job.payload["project"]))
        if project is None or not project.node or project.state is ProjectState.DELETING:
            return
        command = ApplyPermissions(project=self.domain.projects.spec(project), repair=True)
        report: PermissionsReport = await self._asked(project, command, progress)
        text = f"{report.changed:,} of {report.looked_at:,} files changed"
        if report.passed_on:
            text += f", {report.passed_on:,} passed on to {project.owner}"
        await progress(1.0, ". ".join([text, *(note.rstrip(".") for note in report.notes[:5])]) + ".")

    async def _files(self, project: Project) -> int:
        """How many files there are to look at; 0: the node can't say."""
        try:
            measured = await self.domain.spaces.fresh(project)
        except AenError:
            return 0
        return measured.space.files if measured.space else 0

    async def _asked(self, project: Project, command: ApplyPermissions, progress: Progress) -> PermissionsReport:
        """Ask the node, and tell meanwhile what it tells."""
        whole = await self._files(project)
        self._walking[project.id] = PermissionsWalked(project=project.id, looked_at=0, changed=0)
        asking = asyncio.ensure_future(ask(self.bus, names.address("compute", project.node), command, _WALK_SECONDS))
        try:
            while not asking.done():
                await asyncio.wait([asking], timeout=1.0)
                seen = self._walking[project.id]
                fraction = min(seen.looked_at / whole, 0.99) if whole else 0.0
                await progress(fraction, f"{seen.looked_at:,} files looked at, {seen.changed:,} changed")
            answer: PermissionsReport = asking.result()
            return answer
        finally:
            asking.cancel()
            self._walking.pop(project.id, None)
