"""Spaces: what projects take on the disks of their nodes, measured again and again; and what is refused when that is too much."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from aen import names
from aen.config.sizes import size_in_bytes
from aen.errors import AenError, Conflict, Invalid
from aen.languages import N_, size
from aen.messages import MeasureProject
from aen.model import now
from aen.model.project import Project, ProjectState
from aen.model.space import Bounds, Space
from aen.roles.server.changes import change, every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission
from aen.service import Service
from aen.store import Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

_SWEEP_SECONDS = 20.0
_MEASURE_SECONDS = 600.0


def limit_in_bytes(text: str) -> int:
    """A bound as a person writes it; 0 for none. Raises Invalid."""
    if not text.strip():
        return 0
    try:
        most = size_in_bytes(text.strip())
    except ValueError:
        raise Invalid("A bound is a size, as 500M or 20G; empty for what the configuration says.") from None
    if not 1 << 20 <= most <= 1 << 60:
        raise Invalid("A bound is at least 1M.")
    return most


class Spaces(Part):
    """Usage of space, and its bounds. Measured while a project runs, and once more when it has stopped."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._running: set[str] = set()  # at the last sweep

    async def begin(self, service: Service) -> None:
        """See Part."""
        service.spawn(self._sweep_for_life(), "space")

    # ── what is said of it ──────────────────────────────────────────────────────────────────────────

    def of_project(self, project: Project) -> Bounds:
        """How much a project may take: as an administrator said of it, else as the configuration says."""
        options = self.domain.config.space
        hard = project.space_limit or options.bytes("project_hard")
        soft = min(options.bytes("project_soft") or hard, hard) if hard else options.bytes("project_soft")
        return Bounds(soft=soft, hard=hard)

    async def of_user(self, name: str) -> Bounds:
        """How much all projects of one owner may take together: as an administrator said of them, else as the configuration says."""
        options, user = self.domain.config.space, await self.domain.accounts.find(name)
        hard = (user.allowance.space if user is not None else 0) or options.bytes("user_hard")
        soft = options.bytes("user_soft")
        return Bounds(soft=min(soft or hard, hard) if hard else soft, hard=hard)

    async def used_by(self, user: str) -> int:
        """Bytes that all projects of an owner take."""
        query = Query(equal=(("owner", user),), sort="updated")
        used = 0
        async for doc in every(self.store, "projects", query):
            used += (doc.get("space") or {}).get("bytes", 0)
        return used

    async def check(self, project: Project) -> None:
        """Raises Conflict, with what to do, when the project or its owner has used up what they may."""
        used = project.space.bytes if project.space else 0
        bounds = self.of_project(project)
        if bounds.full(used):
            raise Conflict(
                f"{project.slug} takes {size(used)} on the disk and may take {size(bounds.hard)}: nothing more is begun "
                f"there. {self.advice(project)}"
            )
        bounds = await self.of_user(project.owner)
        if bounds.hard and bounds.full(used := await self.used_by(project.owner)):
            raise Conflict(
                f"The projects of {project.owner} take {size(used)} on the disk and may take {size(bounds.hard)} "
                f"together: nothing more is begun there. {self.advice(project)}"
            )

    def advice(self, project: Project) -> str:
        """What can be cleaned, with sizes."""
        space = project.space or Space()
        parts = [("the trash", space.trash), ("environments", space.environments), ("caches", space.caches)]
        found = [f"{name} ({size(taken)})" for name, taken in parts if taken]
        what = f"Remove what is not needed: {', '.join(found)}" if found else "Remove files that are not needed"
        return f"{what}; then measure again (Compute), or ask an administrator for more."

    async def warning(self, project: Project) -> str:
        """What to tell the team on the project's page; empty when there is room."""
        return self.own_warning(project) or await self.owners_warning(project)

    def own_warning(self, project: Project) -> str:
        """As far as the project itself is at its bound."""
        used = project.space.bytes if project.space else 0
        if not used:
            return ""
        bounds = self.of_project(project)
        if bounds.warn(used):
            most = bounds.hard or bounds.soft
            return f"This project takes {size(used)} of {size(most)} on the disk. {self.advice(project)}"
        return ""

    async def owners_warning(self, project: Project) -> str:
        """As far as all projects of its owner together are at theirs."""
        bounds = await self.of_user(project.owner)
        if (bounds.soft or bounds.hard) and bounds.warn(used := await self.used_by(project.owner)):
            most = bounds.hard or bounds.soft
            return (
                f"All projects of {project.owner} take {size(used)} of {size(most)} on the disk. {self.advice(project)}"
            )
        return ""

    # ── measuring ───────────────────────────────────────────────────────────────────────────────────

    async def measure(self, actor: Actor, owner: str, name: str) -> Project:
        """Measure now, for who works there. Conflict before the first start, Unavailable when its node is not heard."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.CONTROL)
        if not project.placed:
            raise Conflict(f"{project.slug} was never started: it takes no space yet.")
        return await self.fresh(project)

    async def limit(self, actor: Actor, owner: str, name: str, most: int) -> Project:
        """Give a project a bound of its own, in bytes (0: the configuration's). For administrators."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.ADMIN)

        def edit(project: Project) -> None:
            project.space_limit = most

        changed = await self.domain.projects.edit(project.id, edit)
        await self.domain.activity.record(
            actor, "project.space", project.slug, project=project.id, detail=size(most) if most else N_("as configured")
        )
        return changed

    async def fresh(self, project: Project) -> Project:
        """The project, measured now. For the server itself: no permission is asked."""
        most = await self._most(project)
        command = MeasureProject(project=self.domain.projects.spec(project), most=most)
        found = await self.bus.request(names.address("compute", project.node), command, _MEASURE_SECONDS)
        assert isinstance(found, Space)
        found.at = now()

        def edit(project: Project) -> None:
            project.space, project.size = found, found.bytes

        return await change(self.store, "projects", Project, project.id, edit)

    async def _most(self, project: Project) -> int:
        """What it may take, in bytes: its own bound, and what its owner's other projects leave of theirs; 0: no bound."""
        own, theirs = self.of_project(project).hard, (await self.of_user(project.owner)).hard
        if not theirs:
            return own
        others = await self.used_by(project.owner) - (project.space.bytes if project.space else 0)
        left = max(1, theirs - others)
        return min(own, left) if own else left

    async def _sweep_for_life(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self.sweep()
            except AenError as error:
                log.debug("space was not measured; it is tried again", reason=error.message)

    async def sweep(self) -> None:
        """Measure, one after the other, what runs and was not measured lately, and what has just stopped."""
        query = Query(equal=(("state", ProjectState.RUNNING.value),), sort="updated")
        running = [Project.model_validate(doc) async for doc in every(self.store, "projects", query)]
        stopped = self._running - {project.id for project in running}
        due = now() - round(self.domain.config.space.minutes * 60_000)
        wanted = [project for project in running if project.space is None or project.space.at < due]
        wanted += [project for id in stopped if (project := await self.domain.projects.by_id(id)) is not None]
        self._running = {project.id for project in running}
        for project in wanted:
            if project.node and self.domain.nodes.up(project.node):
                try:
                    await self.fresh(project)
                except AenError as error:
                    log.debug("space was not measured", project=project.slug, reason=error.message)
