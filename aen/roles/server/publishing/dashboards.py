"""Dashboards: programs of a project that others open: deployed by a member, run as them, for whom the dashboard says."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from urllib.parse import unquote

from aen import names
from aen.errors import Conflict, Denied, Invalid, NotFound
from aen.languages import N_
from aen.links import BOARD
from aen.messages import ProjectSpec
from aen.model.dashboard import ENDINGS, Dashboard, Watchers
from aen.model.project import Project
from aen.model.route import SIGNED_IN
from aen.model.session import LIVE, Session
from aen.model.user import User
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, allows, check, check_scope
from aen.roles.server.project.shares import path_of
from aen.roles.server.project.team import RUNNERS
from aen.roles.server.publishing.errands import check_placed, person
from aen.store import Doc, Query

MOST = 20  # of one project
_MOST_PEOPLE = 200  # that one names
_LISTED = 200
_GONE = "There is no such dashboard, or it is not for you."


class About(Dashboard):
    """What somebody says of a dashboard; the rest is made here."""

    id: str = ""
    user: str = ""


class Dashboards(Part):
    """The dashboards. They stand in their project's record, so that whom they are for changes together with the team."""

    # ── what people do ──────────────────────────────────────────────────────────────────────────────

    async def deploy(self, actor: Actor, owner: str, name: str, about: About) -> tuple[Project, Dashboard]:
        """A new one, run as the actor. Nothing runs until somebody opens it. Invalid, Denied, Conflict."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        check_placed(project)
        board = await self._checked(about, project, person(actor), secrets.token_hex(8))

        def edit(project: Project) -> None:
            if len(project.dashboards) >= MOST:
                raise Conflict(f"{project.slug} has {MOST} dashboards. Take down one that is not needed any more.")
            project.dashboards = [*project.dashboards, board]
            project.watchers = project.watched_by()

        changed = await self.domain.projects.edit(project.id, edit)
        await self._record(actor, "dashboard.deployed", changed, board)
        return changed, board

    async def change(self, actor: Actor, owner: str, name: str, id: str, about: About) -> tuple[Project, Dashboard]:
        """Other words, file or people, at the same address; from now on it runs as the actor. It is started anew for all."""
        project, old = await self._mine(actor, owner, name, id)
        board = await self._checked(about, project, person(actor), id)
        board.created = old.created

        def edit(project: Project) -> None:
            if project.dashboard(id) is None:
                raise NotFound(_GONE)
            project.dashboards = [board if one.id == id else one for one in project.dashboards]
            project.watchers = project.watched_by()

        changed = await self.domain.projects.edit(project.id, edit)
        await self._close(changed, id, "the dashboard was changed")
        await self._record(actor, "dashboard.changed", changed, board)
        return changed, board

    async def take_down(self, actor: Actor, owner: str, name: str, id: str) -> Project:
        """It is gone, and closed for everybody, at once."""
        project, board = await self._mine(actor, owner, name, id)

        def edit(project: Project) -> None:
            project.dashboards = [one for one in project.dashboards if one.id != id]
            project.watchers = project.watched_by()

        changed = await self.domain.projects.edit(project.id, edit)
        await self._close(changed, id, "the dashboard was taken down")
        await self._record(actor, "dashboard.taken_down", changed, board)
        return changed

    async def open(self, actor: Actor, owner: str, name: str, id: str) -> Session:
        """Its session, started if need be, by whoever may view it."""
        project, board = await self.get(actor, owner, name, id)
        if why := _orphaned(project, board):
            raise Conflict(why)
        return await self.domain.sessions.open_dashboard(actor, project, board)

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────

    async def get(self, actor: Actor, owner: str, name: str, id: str) -> tuple[Project, Dashboard]:
        """A dashboard that the actor may view; NotFound, whatever there is."""
        check(actor, Permission.WATCH)
        page = await self.store.find("projects", Query(equal=(("slug", names.slug(owner, name)),), limit=1))
        for project in map(Project.model_validate, page.items):
            board = project.dashboard(id)
            if board is not None and self.may_view(actor.name, project, board):
                check_scope(actor, Permission.WATCH, project)
                return project, board
        raise NotFound(_GONE)

    async def by_id(self, actor: Actor, id: str) -> tuple[Project, Dashboard]:
        """The same by its id alone: what its lasting address goes by."""
        check(actor, Permission.WATCH)
        for doc in await self._watched_by(f"#{id}", 1):
            project = self.domain.seen.read(Project, doc)
            board = project.dashboard(id)
            if board is not None and self.may_view(actor.name, project, board):
                check_scope(actor, Permission.WATCH, project)
                return project, board
        raise NotFound(_GONE)

    async def for_me(self, actor: Actor, most: int = _LISTED) -> list[tuple[Project, Dashboard]]:
        """What the actor may view: of their projects, by name, and those for everybody; of `most` projects each, newest first."""
        check(actor, Permission.LIST)
        found: dict[str, Project] = {}
        for docs in await asyncio.gather(self._watched_by(actor.name, most), self._watched_by("*", most)):
            for doc in docs:
                found.setdefault(doc["id"], self.domain.seen.read(Project, doc))
        return [
            (one, board) for one in found.values() for board in one.dashboards if self.may_view(actor.name, one, board)
        ]

    async def _watched_by(self, name: str, most: int) -> list[Doc]:
        query = Query(equal=(("watchers", name),), sort="updated", descending=True, limit=most, shared=True)
        return (await self.store.find("projects", query)).items

    def beyond_team(self, project: Project) -> bool:
        """Whether dashboards may be for people outside the team: their scripts run at an origin of the project's own, or the
        site says that they may."""
        told = self.domain.settings.value("sharing.dashboards")
        if told != "auto":
            return bool(told == "signed_in")
        center = self.domain.nodes.datacenter(project.datacenter)
        return center is not None and "{project}" in center.gateway_url

    def may_view(self, name: str, project: Project, board: Dashboard) -> bool:
        """Whether somebody who is signed in may view it."""
        if not name or project.going:
            return False
        if project.role_of(name) is not None:
            return True
        named = name in board.people or board.watchers is Watchers.SIGNED_IN
        return named and self.beyond_team(project)

    async def forget(self, name: str) -> None:
        """A person is being removed: no dashboard names them any more. Who gets the name later is somebody else."""

        def edit(project: Project) -> None:
            project.dashboards = [
                one.model_copy(update={"people": [each for each in one.people if each != name]})
                for one in project.dashboards
            ]
            project.watchers = project.watched_by()

        async for doc in every(self.store, "projects", Query(equal=(("watchers", name),), sort="updated")):
            self.domain.sessions.routes.refresh(await self.domain.projects.edit(doc["id"], edit))

    # ── for sessions and routes ─────────────────────────────────────────────────────────────────────

    def viewers(self, project: Project, id: str) -> list[str]:
        """Who passes through its route."""
        board = project.dashboard(id)
        if board is None or project.going or _orphaned(project, board):
            return []
        team = [one.user for one in project.team]
        if not self.beyond_team(project):  # asked now: the site may have said so since it was deployed
            return team
        everybody = [SIGNED_IN] if board.watchers is Watchers.SIGNED_IN else []
        return list(dict.fromkeys([*team, *board.people, *everybody]))

    def refusal(self, project: Project, session: Session) -> str:
        """Why its session must not be there (any more); empty when it may."""
        board = project.dashboard(session.app_server.removeprefix(BOARD))
        if board is None:
            return "the dashboard was taken down"
        return _orphaned(project, board) or ("" if board.user == session.started_by else "the dashboard was changed")

    async def told(self, session: Session) -> dict[str, str]:
        """What the program that runs it is told."""
        project = await self.domain.projects.by_id(session.project)
        board = project.dashboard(session.app_server.removeprefix(BOARD)) if project else None
        return {"kind": board.kind, "path": board.path} if board else {}

    def spec(self, project: Project, session: Session) -> ProjectSpec:
        """The project as its session sees it: in the environment that the dashboard names."""
        board = project.dashboard(session.app_server.removeprefix(BOARD))
        spec = self.domain.projects.spec(project)
        return spec.model_copy(update={"environment": board.environment}) if board and board.environment else spec

    # ── parts of it ─────────────────────────────────────────────────────────────────────────────────

    async def _checked(self, about: About, project: Project, user: User, id: str) -> Dashboard:
        path = path_of(about.path)
        file = unquote(path).rpartition("/")[2]
        if not file.endswith(ENDINGS[about.kind]):
            raise Invalid(
                f"{about.kind.title()} shows files that end in {', '.join(ENDINGS[about.kind])}; {file} does not."
            )
        if about.environment:
            names.environment(about.environment)
        people = await self._people(about.people, project)
        if (people or about.watchers is not Watchers.TEAM) and not self.beyond_team(project):
            raise Denied(
                "Dashboards are for the team alone here (sharing.dashboards): all projects share one browser origin. "
                "Add people as viewers to the team, or ask an administrator."
            )
        return Dashboard(
            **{**about.model_dump(), "id": id, "user": user.id, "incarnation": user.incarnation, "path": path}
            | {"title": _title(about.title) or file, "people": people}
        )

    async def _people(self, given: Iterable[str], project: Project) -> list[str]:
        found = list(dict.fromkeys(name.strip().lower() for name in given if name.strip()))
        if len(found) > _MOST_PEOPLE:
            raise Invalid(
                f"A dashboard names at most {_MOST_PEOPLE} people. Choose everybody who is signed in instead."
            )
        for name in found:
            if await self.domain.accounts.find(name) is None:
                raise Invalid(f"Nobody here is called {name[:40]!r}.")
        return [name for name in found if project.role_of(name) is None]

    async def _mine(self, actor: Actor, owner: str, name: str, id: str) -> tuple[Project, Dashboard]:
        project = await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        board = project.dashboard(id)
        if board is None:
            raise NotFound(_GONE)
        if board.user != actor.name and not allows(actor, Permission.TEAM, project):
            raise Denied(f"It is {board.user}'s: they, maintainers and the owner change it.")
        return project, board

    async def _close(self, project: Project, id: str, why: str) -> None:
        """End what runs, and with it every open page: whom it was for a moment ago sees nothing more."""
        doc = await self.store.get("sessions", names.session_id(project.id, "*", BOARD + id))
        session = Session.model_validate(doc) if doc else None
        if session is not None and session.phase in LIVE:
            self.domain.sessions.routes.drop(session.id, session.generation, session.datacenter)
            self.domain.sessions.dispatch.end_soon(session, why)

    async def _record(self, actor: Actor, act: str, project: Project, board: Dashboard) -> None:
        await self.domain.activity.record(
            actor, act, project.slug, project=project.id, detail=board.title, security=True
        )


def _orphaned(project: Project, board: Dashboard) -> str:
    """Why it can't run: who deployed it is no member any more. Empty when it can."""
    member = next((one for one in project.team if one.user == board.user), None)
    if member is not None and member.role in RUNNERS and member.incarnation in ("", board.incarnation):
        return ""
    return N_(
        "Who deployed this dashboard is no member of the project any more: somebody of the team must deploy it again."
    )


def _title(text: str) -> str:
    title = " ".join(text.split())
    if len(title) > 100:
        raise Invalid("The title is too long: 100 characters are the most.")
    return title
