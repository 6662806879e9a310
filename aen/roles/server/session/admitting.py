"""Admitting: who may have a session of an app server in a project, who passes through its route, and what it is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from aen.apps import kind, looks_only
from aen.errors import AenError
from aen.links import BOARD, SHARED
from aen.model.project import Project, Role, Visibility
from aen.model.route import ANYONE
from aen.model.session import Session
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Permission
from aen.roles.server.project.team import RUNNERS
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

_SWEEP_SECONDS = 2.0
_EVERYBODY = frozenset(Role)


class Admitting(Part):
    """The one judge over sessions that are there already; `permissions.check` is the judge over opening them."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._told_of_dashboards = ""  # what the site said when it was looked at last

    async def begin(self, service: Service) -> None:
        """See Part."""
        service.spawn(self._sweep_for_life(), "open to anyone")

    def permission(self, app_server: str) -> Permission:
        """What opening an app of this app server needs."""
        return Permission.LOOK if self._roles(app_server) is _EVERYBODY else Permission.RUN

    def users(self, user: str, app_server: str, project: Project) -> list[str]:
        """Who passes through the route of a session of `user`: names, or ANYONE alone. Of what is deleted: nobody."""
        if project.going:
            return []
        if user == ANYONE:
            public = app_server.startswith(SHARED) or self.is_public(project)
            return [ANYONE] if public else []
        if app_server.startswith(BOARD):
            return self.domain.dashboards.viewers(project, app_server.removeprefix(BOARD))
        roles = self._roles(app_server)
        runners = [member.user for member in project.team if member.role in roles]
        return runners if user == "*" else [name for name in runners if name == user]

    def is_public(self, project: Project) -> bool:
        """Whether people without an account may look at it."""
        return (
            project.visibility is Visibility.PUBLIC
            and not project.going
            and bool(self.domain.config.sharing.public_account)
        )

    def strips(self, app_server: str) -> bool:
        """Whether the app sees paths without its prefix."""
        told = self.domain.config.apps.get(app_server)
        return told is not None and told.strip_prefix

    async def refusal(self, session: Session, project: Project) -> str:
        """Why a session must not be there (any more); empty when it may."""
        if session.app_server.startswith(BOARD):
            return self.domain.dashboards.refusal(project, session)
        if session.user == "*":
            return ""
        if session.user != ANYONE:
            inside = project.role_of(session.user) in self._roles(session.app_server)
            return "" if inside else f"{session.user} is not in the project's team any more"
        if not session.app_server.startswith(SHARED):
            return "" if self.is_public(project) else "the project is not public any more"
        share = await self.domain.shares.valid(session.app_server.removeprefix(SHARED), project)
        return "" if share is not None else "the link has ended"

    async def told(self, session: Session) -> dict[str, str]:
        """What the app server of a session is told besides."""
        if session.app_server.startswith(BOARD):
            return await self.domain.dashboards.told(session)
        if session.user != ANYONE:
            return await self._as_whom(session.user)
        if not session.app_server.startswith(SHARED):
            return {"open": "project"}
        share = await self.domain.shares.get(session.app_server.removeprefix(SHARED))
        return {"open": "share", "path": share.path, "hash": share.hash} if share else {"open": "share", "hash": ""}

    async def _as_whom(self, name: str) -> dict[str, str]:
        """Whom git names where the person has told it nothing; nobody for an app that the team shares."""
        user = await self.domain.accounts.find(name) if name != "*" else None
        return {"name": user.called, "email": user.email or f"{user.id}@localhost"} if user else {}

    def _roles(self, app_server: str) -> frozenset[Role]:
        server = self.domain.sessions.servers.get(kind(app_server))
        return _EVERYBODY if server is not None and looks_only(server) else RUNNERS

    # ── what is open to anyone ends by itself: links expire, projects become private ─────────────────

    async def _sweep_for_life(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self.sweep()
            except AenError as error:
                log.warning("what is open to anyone could not be checked; it is tried again", reason=error.message)

    async def _follow_the_site(self) -> None:
        """Where the site says something else of dashboards than before, those that run are for others now."""
        told = str(self.domain.settings.value("sharing.dashboards"))
        if told == self._told_of_dashboards:
            return
        for id in self.domain.sessions.routes.projects_with(BOARD):
            project = await self.domain.projects.by_id(id)
            if project is not None:
                self.domain.sessions.routes.refresh(project)
        self._told_of_dashboards = told

    async def sweep(self) -> None:
        """Close what must not be open any more."""
        await self._follow_the_site()
        for id in self.domain.sessions.routes.open_to_anyone():
            doc = await self.store.get("sessions", id)
            if doc is None:
                continue
            session = Session.model_validate(doc)
            project = await self.domain.projects.by_id(session.project)
            why = await self.refusal(session, project) if project is not None else "the project is gone"
            if why:
                self.domain.sessions.routes.drop(session.id, session.generation, session.datacenter)
                self.domain.sessions.dispatch.end_soon(session, why)
