"""Life of a project: start, stop, reset, and what its node says of it; a sweep finishes what was interrupted."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from aen import names
from aen.errors import AenError, Conflict, NotFound, TimedOut
from aen.messages import ApplyPermissions, PermissionsReport, PrepareProject, ProjectReported
from aen.model.project import Project, ProjectState
from aen.model.session import Phase, Session, Step
from aen.roles.server.background import held
from aen.roles.server.domain import Part
from aen.roles.server.patience import Patience, waiting_step
from aen.roles.server.permissions import Actor, Permission
from aen.roles.server.project.starting import check_startable, directory_done, in_state
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

S = ProjectState
_SOON = 5.0  # seconds: a node answers a start at once; the sweep asks one that does not again
_SWEEP_SECONDS = 2.0
_SILENT_SECONDS = 15.0  # no word on a preparation for so long: it is asked for again
_UNHEARD_SECONDS = 4.0  # the same, of one that this server has heard nothing of yet: it may have begun before we did
_LOST_SECONDS = 60.0  # its node is silent for so long: the start has failed
_TAIL = 8_000  # characters of a log that stay with the project


class Life(Part):
    """Project states. A wish is recorded first; the node's reports, or the sweep, bring it to its end."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._heard: dict[str, float] = {}  # project id → when its preparation was last heard of (monotonic)
        self._steps: dict[str, list[Step]] = {}  # project id → the steps of its preparation, while it is under way
        self._patience = Patience(domain)

    async def begin(self, service: Service) -> None:
        """See Part."""
        await service.enter(held(self.bus.subscribe(ProjectReported, self._reported)))
        service.spawn(self._sweep_for_life(), "projects")

    # ── what people press ───────────────────────────────────────────────────────────────────────────

    async def start(self, actor: Actor, owner: str, name: str) -> Project:
        """See `Projects.start`."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.CONTROL)
        if project.state in (S.STARTING, S.RUNNING):
            return project
        project = await self.claim(project.id)
        await self.domain.activity.record(actor, "project.started", project.slug, project=project.id)
        return await self._prepare(project)

    async def stop(self, actor: Actor, owner: str, name: str) -> Project:
        """See `Projects.stop`."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.CONTROL)

        def edit(project: Project) -> None:
            if project.state is not S.STOPPED:
                project.move(S.STOPPING, f"stopped by {actor.name}")

        before, project = project.state, await self.domain.projects.edit(project.id, edit)
        if before not in (S.STOPPED, S.STOPPING):
            await self.domain.activity.record(actor, "project.stopped", project.slug, project=project.id)
        if project.state is S.STOPPING:
            self.domain.projects.background.spawn(f"stop:{project.id}", self.finish_stop(project.id))
        return project

    async def reset(self, actor: Actor, owner: str, name: str) -> Project:
        """See `Projects.reset`: the record first, so that it works whatever the node does; the node is told besides."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.CONTROL)

        def edit(project: Project) -> None:
            if project.state is S.DELETING:
                raise Conflict(f"{project.slug} is being deleted.")
            project.move(S.STOPPED)

        project = await self.domain.projects.edit(project.id, edit)
        for session in await self.domain.sessions.live_of(project.id):
            await self.domain.sessions.dispatch.end(session, f"project reset by {actor.name}", force=True)
        for session in await self.domain.sessions.failed_of(project.id):
            await self.domain.sessions.dispatch.put_aside(session, f"project reset by {actor.name}")
        moved = await self._clear(project)
        await self.domain.activity.record(actor, "project.reset", project.slug, project=project.id, detail=moved)
        return project

    async def _clear(self, project: Project) -> str:
        """Have the node move aside what keeps the project from starting, if it answers soon; what it says of that."""
        if not project.node or not self.domain.nodes.up(project.node):
            return ""
        command = ApplyPermissions(project=self.domain.projects.spec(project), clear=True)
        try:
            report: PermissionsReport = await self.bus.request(names.address("compute", project.node), command, _SOON)
        except AenError as error:
            log.warning("a project was reset without its node", project=project.slug, reason=error.message)
            return ""
        return " ".join(report.notes)

    # ── for sessions ────────────────────────────────────────────────────────────────────────────────

    async def claim(self, id: str) -> Project:
        """The project STARTING at a node that can take it (RUNNING and STARTING stay). Conflict, Unavailable."""

        def edit(project: Project) -> None:
            check_startable(project)
            if project.node and (project.placed or project.state in (S.STARTING, S.RUNNING)):
                self._stay_or_go(project)
            else:
                project.node = self.domain.nodes.choose(project.datacenter, project)
            if project.state not in (S.STARTING, S.RUNNING):
                project.move(S.STARTING)

        self._heard[id] = time.monotonic()
        return await self.domain.projects.edit(id, edit)

    def _stay_or_go(self, project: Project) -> None:
        """The project stays where its files are; when that node can't take it and others share its storage, it goes to one."""
        nodes = self.domain.nodes
        if not nodes.takes(project.node, running=project.state is S.RUNNING):
            other = nodes.elsewhere(project)
            if other and other != project.node:
                project.node, project.lease = other, project.lease + 1
        nodes.need(project.node)

    async def session_changed(self, session: Session) -> None:
        """A session entered another phase: the project goes along."""
        placed = directory_done(session.steps)
        if session.phase is Phase.RUNNING:
            await self.arrived(session.project, session.node)
        elif session.phase in (Phase.PROBLEM, Phase.LOST, Phase.STOPPED):
            await self._session_ended(session, placed)
        elif placed:
            await self._placed(session.project, session.node)

    def steps(self, id: str) -> list[Step]:
        """The steps of a preparation that is under way, as far as heard; for the project's page."""
        return self._steps.get(id, [])

    async def arrived(self, id: str, node: str) -> None:
        """The project is prepared: RUNNING, if that is what it was getting at."""

        def edit(project: Project) -> None:
            self._at(project, node)
            if project.state is S.STARTING:
                project.move(S.RUNNING)

        await self._edit_if_there(id, edit)

    async def failed(self, id: str, reason: str, log_tail: str = "", placed: bool = False) -> None:
        """A start failed: PROBLEM with the reason. A project that has no directory yet may start elsewhere next time."""

        def edit(project: Project) -> None:
            project.placed = project.placed or placed
            if project.state in (S.STARTING, S.RUNNING):
                project.move(S.PROBLEM, reason, log_tail[-_TAIL:])
            if not project.placed and project.state is not S.DELETING:
                project.node = ""

        await self._edit_if_there(id, edit)

    # ── what comes back ─────────────────────────────────────────────────────────────────────────────

    async def _prepare(self, project: Project) -> Project:
        command = PrepareProject(project=self.domain.projects.spec(project))
        try:
            await self.bus.request(names.address("compute", project.node), command, _SOON)
        except TimedOut:
            log.warning("no answer to the start of a project; it is asked again", project=project.slug)
        except AenError as error:
            if self._patience.bears(project.id, error):
                self._patience.again(project.id, lambda: self._ask_again(project))
                self._tell_steps(project, [waiting_step("account", project.node)])
                return project
            await self.failed(project.id, error.message)
            project = await self.domain.projects.by_id(project.id) or project
        self._patience.forget(project.id)
        return project

    def _tell_steps(
        self, project: Project, steps: list[Step], state: ProjectState = S.STARTING, reason: str = ""
    ) -> None:
        self._steps[project.id] = steps
        told = [step.model_dump(mode="json") for step in steps]
        data = {"project": project.slug, "state": state, "steps": told, "reason": reason}
        self.domain.events.publish(f"project:{project.id}", "steps", data)

    async def _reported(self, event: ProjectReported) -> None:
        project = await self.domain.projects.by_id(event.project)
        if project is None or project.node != event.node:
            return
        self._heard[project.id] = time.monotonic()
        self._tell_steps(project, event.steps, event.state, event.reason)
        if event.state is not S.STARTING:
            self._steps.pop(project.id)
        if event.state is S.RUNNING:
            await self.arrived(project.id, event.node)
        elif event.state is S.PROBLEM:
            await self.failed(project.id, event.reason, event.log_tail, directory_done(event.steps))
        elif directory_done(event.steps) and not project.placed:
            await self._placed(project.id, event.node)

    async def _session_ended(self, session: Session, placed: bool) -> None:
        if await self.domain.sessions.live_of(session.project):
            return
        if session.phase is not Phase.STOPPED:
            who = "" if session.user == "*" else f" of {session.user}"
            reason = f"{self.domain.sessions.title(session)}{who}: {session.reason}"
            await self.failed(session.project, reason, session.log_tail, placed)
            return

        def edit(project: Project) -> None:
            project.placed = project.placed or placed
            if project.state is S.STARTING:
                project.move(S.STOPPED, session.reason)

        await self._edit_if_there(session.project, edit)

    async def _placed(self, id: str, node: str) -> None:
        def edit(project: Project) -> None:
            self._at(project, node)

        await self._edit_if_there(id, edit)

    def _at(self, project: Project, node: str) -> None:
        """Its directory is there."""
        if not project.placed:
            project.placed, project.node = True, project.node or node
            project.storage = self.domain.nodes.storage(project.node)

    async def _edit_if_there(self, id: str, edit: object) -> None:
        try:
            await self.domain.projects.edit(id, edit)  # type: ignore[arg-type]
        except NotFound:
            log.info("report on a project that is gone", project=id)

    async def finish_stop(self, id: str) -> None:
        """End all sessions, then be STOPPED; sessions whose node is silent keep it STOPPING until the sweep's next round."""
        live = await self.domain.sessions.live_of(id)
        reason = "the project was stopped"
        await asyncio.gather(*(self.domain.sessions.dispatch.end(session, reason) for session in live))
        if await self.domain.sessions.live_of(id):
            return

        def edit(project: Project) -> None:
            if project.state is S.STOPPING:
                project.move(S.STOPPED, project.reason)

        await self._edit_if_there(id, edit)

    # ── repair ──────────────────────────────────────────────────────────────────────────────────────

    async def _sweep_for_life(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self.sweep()
            except AenError as error:
                log.warning("sweep of projects failed; it is tried again", reason=error.message)

    async def sweep(self) -> None:
        """Finish what was begun and interrupted: stops go on, starts without a word are asked for again."""
        starting = set()
        async for project in in_state(self.store, S.STOPPING):
            self.domain.projects.background.spawn(f"stop:{project.id}", self.finish_stop(project.id))
        async for project in in_state(self.store, S.STARTING):
            starting.add(project.id)
            first = time.monotonic() - max(_SILENT_SECONDS - _UNHEARD_SECONDS, 0)
            quiet = time.monotonic() - self._heard.setdefault(project.id, first)
            if quiet > _SILENT_SECONDS and not await self.domain.sessions.live_of(project.id):
                self._heard[project.id] = time.monotonic()
                await self._again(project)
        self._heard = {id: heard for id, heard in self._heard.items() if id in starting}  # what is under way

    async def _again(self, project: Project) -> None:
        silence = self.domain.nodes.silence(project.node)
        if silence < _SILENT_SECONDS and project.node in self.domain.nodes.heard:
            self.domain.projects.background.spawn(f"prepare:{project.id}", self._ask_again(project))
        elif silence > _LOST_SECONDS:
            await self.failed(project.id, f"The compute node {project.node} has not been heard of during the start.")

    async def _ask_again(self, project: Project) -> None:
        """Unless it was stopped, or is elsewhere, meanwhile."""
        stored = await self.domain.projects.by_id(project.id)
        if stored is None or (stored.state, stored.node) != (S.STARTING, project.node):
            self._patience.forget(project.id)
            return
        await self._prepare(stored)
