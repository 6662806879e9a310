"""What of a project travels besides its files: texts, tags, dashboards, and what its environments consist of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from pydantic import ValidationError

from aen import __version__, names
from aen.errors import AenError
from aen.messages import ListEnvironments, ReadEnvironment
from aen.model import now
from aen.model.dashboard import Dashboard, Watchers
from aen.model.environment import DEFAULT, Act, EnvironmentChange, EnvironmentDetail, EnvironmentList
from aen.model.project import Project
from aen.roles.server.background import ask
from aen.roles.server.domain import Part
from aen.roles.server.job.leases import Progress
from aen.roles.server.permissions import Actor
from aen.roles.server.project.wording import description, search_text, summary, tags
from aen.roles.server.publishing.dashboards import About

log = structlog.get_logger(__name__)

FORMAT = 1
_SECONDS = 70.0
_MOST_ENVIRONMENTS = 20
_MOST_DASHBOARDS = 20
_DEFINED = ("title", "kind", "path", "environment")  # what a dashboard is, apart from whom it is for and who runs it
_ROOM = 200 * 1024  # bytes of all specifications: they go through the bus in one message
_CHANGE_SECONDS = 3600.0  # for one environment to be made


class Settled(Part):
    """The settings of a project, as they stand in an archive."""

    async def of(self, project: Project) -> dict[str, Any]:
        """What stands in the archive's first member."""
        return {
            "format": FORMAT,
            "aen": __version__,
            "exported": now(),
            "project": project.slug,
            "summary": project.summary,
            "description": project.description,
            "tags": project.tags,
            "environment": project.environment,
            "environments": await self._specifications(project),
            "dashboards": [_definition(board) for board in project.dashboards],
        }

    async def apply(self, project: Project, found: dict[str, Any]) -> None:
        """Take over summary, description and tags, each only if it is as ours are: an archive may come from anybody."""

        def edit(project: Project) -> None:
            given: tuple[tuple[str, Callable[[Any], Any], type], ...] = (
                ("summary", summary, str),
                ("description", description, str),
                ("tags", tags, list),
            )
            for key, clean, kind in given:
                value: Any = found.get(key)
                texts = value if isinstance(value, list) else []
                if isinstance(value, kind) and all(isinstance(one, str) for one in texts):
                    try:
                        setattr(project, key, clean(value))
                    except AenError as error:
                        log.info("a setting of an archive was left out", setting=key, reason=error.message)
            project.search, project.updated = search_text(project), now()

        await self.domain.projects.edit(project.id, edit)

    async def environments(
        self, actor: Actor, project: Project, found: dict[str, Any], progress: Progress
    ) -> list[str]:
        """Make the environments anew; sentences on those that could not be made. The files are there in any case."""
        notes: list[str] = []
        wanted: Any = found.get("environments")
        for told in list(wanted)[:_MOST_ENVIRONMENTS] if isinstance(wanted, list) else ():
            if not isinstance(told, dict) or not all(isinstance(told.get(key), str) for key in ("name", "yml", "lock")):
                continue
            try:
                await progress(0.85, f"The environment {names.environment(told['name'])} is being made")
                await self._environment(actor, project, told)
            except AenError as error:
                notes.append(f"environment {told['name'][:60]}: {error.message}")
        active = found.get("environment")
        if isinstance(active, str) and active != DEFAULT and not notes:
            try:
                await self.domain.environments.activate(actor, project.owner, project.name, active)
            except AenError as error:
                notes.append(f"active environment: {error.message}")
        return notes

    async def dashboards(self, actor: Actor, project: Project, found: dict[str, Any]) -> list[str]:
        """Deploy them as who owns the copy, for the team alone; sentences on those that are not as they were.

        Whom they were for elsewhere does not travel: names prove nothing in another installation, and an archive could name
        its author, who would then start what is in it as its new owner.
        """
        notes: list[str] = []
        wanted: Any = found.get("dashboards")
        there = {(one.kind, one.path) for one in project.dashboards}  # the job may be done twice
        for told in list(wanted)[:_MOST_DASHBOARDS] if isinstance(wanted, list) else ():
            if not isinstance(told, dict):
                continue
            title = str(told.get("title", ""))[:60]
            try:
                about = About.model_validate({key: told.get(key) for key in _DEFINED})
                if (about.kind, about.path) not in there:
                    await self.domain.dashboards.deploy(actor, project.owner, project.name, about)
                if told.get("beyond_team") is True:
                    notes.append(f"dashboard {title}: it is for the team alone here")
            except ValidationError:
                notes.append(f"dashboard {title}: it is not described as ours are")
            except AenError as error:
                notes.append(f"dashboard {title}: {error.message}")
        return notes

    async def _environment(self, actor: Actor, project: Project, told: dict[str, str]) -> None:
        """Make one, or bring `default` to what it was. Raises AenErrors with the reason."""
        name = told["name"]
        there = [one.name for one in (await self._list(project)).environments]
        if name in there:
            have = await self._read(project, name)
            if have.lock == told["lock"]:
                return
        act = Act.INSTALL if name in there else Act.CREATE
        change = EnvironmentChange(act=act, name=name, requirements=told["yml"])
        report = await self.domain.environments.change(actor, project.owner, project.name, change)
        async with asyncio.timeout(_CHANGE_SECONDS):
            while True:
                await asyncio.sleep(0.5)
                last = (await self._list(project)).change
                if last is None or last.id != report.id or last.state != "running":
                    break
        if last is not None and last.id == report.id and last.state == "failed":
            raise AenError(last.reason or "it could not be made")

    async def _specifications(self, project: Project) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        room = _ROOM
        for one in (await self._list(project)).environments[:_MOST_ENVIRONMENTS]:
            detail = await self._read(project, one.name)
            told = {"name": one.name, "kind": one.kind, "yml": detail.yml, "lock": detail.lock}
            room -= sum(len(text.encode()) for text in told.values())
            if room < 0:
                break
            found.append(told)
        return found

    async def _list(self, project: Project) -> EnvironmentList:
        command = ListEnvironments(project=self.domain.projects.spec(project))
        answer: EnvironmentList = await ask(self.bus, names.address("compute", project.node), command, _SECONDS)
        return answer

    async def _read(self, project: Project, name: str) -> EnvironmentDetail:
        command = ReadEnvironment(project=self.domain.projects.spec(project), name=name)
        answer: EnvironmentDetail = await ask(self.bus, names.address("compute", project.node), command, _SECONDS)
        return answer


def _definition(board: Dashboard) -> dict[str, Any]:
    """A dashboard as it stands in an archive."""
    others = bool(board.people) or board.watchers is not Watchers.TEAM
    return {**board.model_dump(mode="json", include=set(_DEFINED)), "beyond_team": others}
