"""Dispatch: what the server asks of compute nodes for a session: launch it, end it. A lost answer is repaired by reports.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from aen import names
from aen.errors import AenError, NotFound, TimedOut, Unavailable
from aen.links import BOARD
from aen.messages import SessionReport, StartSession, StopSession
from aen.model.project import Project, ProjectState
from aen.model.route import ANYONE
from aen.model.session import LIVE, Phase, Session
from aen.roles.server.changes import change
from aen.roles.server.domain import Part
from aen.roles.server.patience import Patience, waiting_step

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

_SOON = 5.0  # seconds: a node answers a start at once; the sweep asks one that does not again
_STARTABLE = (ProjectState.STARTING, ProjectState.RUNNING)


class Dispatch(Part):
    """Wishes to nodes. The record is changed first: what the node does not hear now, the sweep says again."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._waiting = Patience(domain)

    async def launch(self, session: Session) -> Session:
        """Ask the session's node to start it (or to say how it is doing). Returns the session as it is then.

        QUEUED still where the node can't be reached right now: it is asked again for a moment.
        """
        wish = _wish(session)
        try:
            session = await self._ask_to_start(session)
        except Unavailable as error:
            if self._waiting.bears(wish, error):
                log.info("a node can't be reached: a start is tried again", session=session.id, node=session.node)
                self._waiting.again(wish, lambda: self._launch_if_queued(session))
                return await self.edit(session, _waits)
            session = await self.ended(session, Phase.PROBLEM, error.message)
        self._waiting.forget(wish)
        return session

    async def _launch_if_queued(self, session: Session) -> None:
        """Unless it was stopped, or started anew, meanwhile."""
        doc = await self.store.get("sessions", session.id)
        stored = Session.model_validate(doc) if doc else None
        if stored is None or (stored.generation, stored.phase) != (session.generation, Phase.QUEUED):
            self._waiting.forget(_wish(session))
            return
        await self.launch(stored)

    async def _ask_to_start(self, session: Session) -> Session:
        """Raises Unavailable."""
        project = await self.domain.projects.by_id(session.project)
        refusal = await self._refusal(session, project)
        if project is None or refusal:
            return await self.ended(session, Phase.STOPPED, refusal)
        board = session.app_server.startswith(BOARD)
        by = {"*": session.started_by if board else project.owner, ANYONE: session.started_by}
        person = by.get(session.user, session.user)
        user = await self.domain.accounts.find(person)
        command = StartSession(
            session=session.id,
            generation=session.generation,
            project=self.domain.dashboards.spec(project, session) if board else self.domain.projects.spec(project),
            user=person,
            app=session.app,
            app_server=session.app_server,
            shared=session.user in by,
            told=await self.domain.admitting.told(session),
            limits=self.domain.allowances.limits(user),
            keys=[key.line for key in user.ssh_keys] if user is not None else [],
        )
        try:
            report: SessionReport = await self.bus.request(names.address("compute", session.node), command, _SOON)
        except TimedOut:
            log.warning("no answer to the start of a session; it is asked again", session=session.id, node=session.node)
            return session
        except Unavailable:
            raise
        except AenError as error:
            return await self.ended(session, Phase.PROBLEM, error.message)
        return await self.domain.sessions.reports.apply(session.node, report) or session

    async def end(self, session: Session, reason: str, *, force: bool = False) -> Session:
        """End a session; answered when its node has done so, or can't be heard (it stays STOPPING then).

        `force`: the record is STOPPED at once, whatever the node says; it is told in the background.
        """

        def edit(session: Session) -> None:
            if session.phase in LIVE:
                session.move(Phase.STOPPED if force else Phase.STOPPING, reason)

        session = await self.edit(session, edit)
        self.domain.sessions.routes.drop(session.id, session.generation, session.datacenter)
        if force:
            self.domain.projects.background.spawn(f"end:{session.id}", self._stop(session, reason))
            return session
        try:
            await self._stop(session, reason)
        except (Unavailable, TimedOut) as error:
            log.warning("a session could not be ended yet", session=session.id, node=session.node, reason=error.message)
            return session
        return await self.ended(session, Phase.STOPPED, session.reason or reason)

    def end_soon(self, session: Session, reason: str) -> None:
        """End a session in the background."""

        async def work() -> None:
            await self.end(session, reason)

        self.domain.projects.background.spawn(f"end:{session.id}", work())

    def launch_soon(self, session: Session) -> None:
        """Ask for a start again, in the background."""
        if _wish(session) not in self._waiting:
            self.domain.projects.background.spawn(f"launch:{session.id}", self._launch_if_queued(session))

    def stop_stray(self, node: str, report: SessionReport) -> None:
        """Stop what runs at a node and is not wanted there, in the background."""
        command = StopSession(session=report.session, generation=report.generation, reason="not wanted any more")

        async def work() -> None:
            await self.bus.request(names.address("compute", node), command, self._patience())

        self.domain.projects.background.spawn(f"stray:{node}:{report.session}", work())

    async def ended(self, session: Session, phase: Phase, reason: str, log_tail: str = "") -> Session:
        """The session has come to an end of its own or ours: STOPPED, PROBLEM or LOST."""
        before = session.phase

        def edit(session: Session) -> None:
            nonlocal before
            before = session.phase
            if session.phase in LIVE or (session.phase is Phase.LOST and phase is not Phase.LOST):
                session.move(phase, reason)
                session.log_tail = log_tail or session.log_tail

        session = await self.edit(session, edit)
        final = session.phase is not Phase.LOST
        self.domain.sessions.routes.drop(session.id, session.generation, session.datacenter, final=final)
        if session.phase is not before:
            await self.domain.projects.life.session_changed(session)
        return session

    async def put_aside(self, session: Session, reason: str) -> None:
        """A session that ended badly counts as stopped from now on; one that was started again meanwhile stays as it is."""

        def edit(session: Session) -> None:
            if session.phase is Phase.PROBLEM:
                session.move(Phase.STOPPED, reason)

        await self.edit(session, edit)

    async def edit(self, session: Session, edit: Callable[[Session], None]) -> Session:
        """Change this generation of a session by compare and set and tell those who look; a newer one stays as it is."""
        rev = -1

        def guarded(stored: Session) -> None:
            nonlocal rev
            rev = stored.rev
            if stored.generation == session.generation:
                edit(stored)

        try:
            changed = await change(self.store, "sessions", Session, session.id, guarded)
        except NotFound:
            return session
        if changed.rev != rev:
            self.domain.sessions.tell(changed)
        return changed if changed.generation == session.generation else session

    async def _stop(self, session: Session, reason: str) -> None:
        command = StopSession(session=session.id, generation=session.generation, reason=reason)
        for attempt in (1, 2):
            try:
                await self.bus.request(names.address("compute", session.node), command, self._patience())
                return
            except TimedOut:
                if attempt == 2:
                    raise
                await asyncio.sleep(0)

    async def _refusal(self, session: Session, project: Project | None) -> str:
        """Why the session must not start after all: the project may have been stopped, or the person removed, meanwhile."""
        if project is None or project.state not in _STARTABLE:
            return "the project was stopped"
        if project.node not in ("", session.node):  # never at two nodes
            return f"the project is at {project.node} now"
        return await self.domain.admitting.refusal(session, project)

    def _patience(self) -> float:
        return self.domain.config.compute.stop_seconds + 10


def _wish(session: Session) -> str:
    return f"{session.id}:{session.generation}"


def _waits(session: Session) -> None:
    if session.phase is Phase.QUEUED:
        session.steps = [waiting_step(session.steps[0].name, session.node), *session.steps[1:]]
