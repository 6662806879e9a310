"""Environments of projects: who may see and change them, which one is active; the node that has the project does the rest."""

from __future__ import annotations

from typing import TypeVar

import structlog

from aen import names
from aen.errors import Conflict, Denied, NotFound
from aen.messages import (
    ChangeEnvironment,
    Command,
    EnvironmentReported,
    ListEnvironments,
    ReadEnvironment,
    StopEnvironmentChange,
)
from aen.model import Word
from aen.model.environment import Act, ChangeReport, EnvironmentChange, EnvironmentDetail, EnvironmentList
from aen.model.project import Project
from aen.roles.server.background import held
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission
from aen.service import Service

log = structlog.get_logger(__name__)

A = TypeVar("A", bound=Word)
_SECONDS = 20.0  # for a look
_INDEX_SECONDS = 70.0  # for one that asks the package index
_NOT_YET = "{slug} was never started: its environment default is made at the first start. Start it once."


class Environments(Part):
    """The environments. Everybody who sees a project sees them; members change them, each as themselves."""

    async def begin(self, service: Service) -> None:
        """See Part."""
        await service.enter(held(self.bus.subscribe(EnvironmentReported, self._reported)))

    async def list(self, actor: Actor, owner: str, name: str) -> tuple[Project, EnvironmentList]:
        """What there is; nothing before the first start. What is said during a change is for the team."""
        project = await self.domain.projects.get(actor, owner, name)
        if not project.placed:
            return project, EnvironmentList()
        command = ListEnvironments(project=self.domain.projects.spec(project))
        found: EnvironmentList = await self._ask(project, command, EnvironmentList)
        if not _on_team(actor, project):
            found = found.model_copy(update={"change": None})
        return project, found

    async def read(
        self, actor: Actor, owner: str, name: str, environment: str, *, number: int = 0, hashes: bool = False
    ) -> tuple[Project, EnvironmentDetail]:
        """One in full; see ReadEnvironment. NotFound when there is none of that name, Conflict before the first start."""
        project = await self.domain.projects.get(actor, owner, name)
        if not project.placed:
            raise Conflict(_NOT_YET.format(slug=project.slug))
        command = ReadEnvironment(
            project=self.domain.projects.spec(project),
            name=names.environment(environment),
            number=number,
            hashes=hashes,
        )
        seconds = _INDEX_SECONDS if hashes else _SECONDS
        found: EnvironmentDetail = await self._ask(project, command, EnvironmentDetail, seconds)
        return project, found if _on_team(actor, project) else found.model_copy(update={"history": []})

    async def change(self, actor: Actor, owner: str, name: str, change: EnvironmentChange) -> ChangeReport:
        """Begin a change, as the actor's own account. Events on the project's topic tell the rest."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        if actor.user is None:
            raise Denied("Environments are changed by people of the team, as themselves.")
        names.environment(change.name)
        if not project.placed:
            raise Conflict(_NOT_YET.format(slug=project.slug))
        if change.act is Act.REMOVE and change.name == project.environment:
            raise Conflict(f"{change.name} is the active environment: choose another one first.")
        if change.act not in (Act.REMOVE, Act.UNINSTALL):
            await self.domain.spaces.check(project)
        command = ChangeEnvironment(project=self.domain.projects.spec(project), user=actor.user.id, change=change)
        report: ChangeReport = await self._ask(project, command, ChangeReport)
        said = f"{change.name}: {report.detail}" if report.detail else change.name
        await self.domain.activity.record(
            actor, f"environment.{change.act}", project.slug, project=project.id, detail=said
        )
        return report

    async def stop(self, actor: Actor, owner: str, name: str, id: str) -> ChangeReport:
        """End a change that goes on: anybody's, since it holds up the whole team. NotFound when it has ended."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        if actor.user is None:
            raise Denied("Environments are changed by people of the team, as themselves.")
        if not project.placed:
            raise Conflict(_NOT_YET.format(slug=project.slug))
        command = StopEnvironmentChange(project=self.domain.projects.spec(project), user=actor.user.id, change=id)
        report: ChangeReport = await self._ask(project, command, ChangeReport)
        await self.domain.activity.record(
            actor, "environment.stopped", project.slug, project=project.id, detail=report.name
        )
        return report

    async def activate(self, actor: Actor, owner: str, name: str, environment: str) -> Project:
        """Make it the one that kernels, terminals and PATH work in from their next start on. NotFound, Conflict."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        names.environment(environment)
        if not project.placed:
            raise Conflict(_NOT_YET.format(slug=project.slug))
        _, found = await self.list(actor, owner, name)
        if environment not in [one.name for one in found.environments]:
            raise NotFound(f"There is no environment {environment} in {project.slug}.")

        def edit(project: Project) -> None:
            project.environment = environment

        changed = await self.domain.projects.edit(project.id, edit)
        await self.domain.activity.record(
            actor, "environment.activated", project.slug, project=project.id, detail=environment
        )
        return changed

    async def _ask(self, project: Project, command: Command, kind: type[A], seconds: float = _SECONDS) -> A:
        answer = await self.bus.request(names.address("compute", project.node), command, seconds)
        assert isinstance(answer, kind)
        return answer

    async def _reported(self, event: EnvironmentReported) -> None:
        """Pages look again; what the installer says is not on the topic, which whoever sees a public project hears."""
        said = {"environment": event.change.name, "act": event.change.act, "state": event.change.state}
        self.domain.events.publish(f"project:{event.project}", "environment", said)
        if event.change.state != "running":
            log.info(
                "environment changed", project=event.project, environment=event.change.name, state=event.change.state
            )


def _on_team(actor: Actor, project: Project) -> bool:
    """Whether they are told who did what; whoever only looks at a public project is not."""
    return actor.admin or project.role_of(actor.name) is not None
