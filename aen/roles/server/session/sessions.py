"""Sessions: what the server decides of them: opening, stopping, looking. Nodes are asked in dispatch.py and heard in reports.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aen import names
from aen.apps import App, AppServer, catalog, kind, servers
from aen.errors import Conflict, Denied, NotFound
from aen.links import BOARD
from aen.messages import KeepSession, ReadSessionLog, SessionLog, SessionReport
from aen.model import now
from aen.model.dashboard import Dashboard
from aen.model.project import Project
from aen.model.route import ANYONE
from aen.model.session import LIVE, Phase, Session
from aen.roles.server.changes import every
from aen.roles.server.permissions import Actor, Permission, allows, check, check_scope
from aen.roles.server.session.dispatch import Dispatch
from aen.roles.server.session.reports import Reports
from aen.roles.server.session.routes import RouteTable
from aen.roles.server.session.views import Shown
from aen.service import Service
from aen.store import Duplicate, Query, Stale

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

_NONE = "There is no such session, or you may not see it."
_CLEANING = ("workbench",)  # may start where there is no space left: how else should people make some
_TRIES = 50


class Sessions(Shown):
    """The sessions. All verbs check permission; what the actor may not see is NotFound."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self.dispatch = Dispatch(domain)
        self.reports = Reports(domain)
        self.routes = RouteTable(domain)
        self.apps: dict[str, App] = catalog(domain.config)
        self.servers: dict[str, AppServer] = servers(domain.config)

    async def begin(self, service: Service) -> None:
        """See Part."""
        await self.reports.begin(service)

    # ── opening and stopping ────────────────────────────────────────────────────────────────────────

    async def open(self, actor: Actor, owner: str, name: str, app: str) -> Session:
        """Open an app: the live session of its app server, or a new one, QUEUED. Starts the project as well."""
        entry = self.apps.get(app)
        needed = self.domain.admitting.permission(entry.server) if entry else Permission.RUN
        project = await self.domain.projects.allowed(actor, owner, name, needed)
        if actor.user is None:
            raise Denied("Apps run as a person: sign in as one to open them.")
        if entry is None:
            raise NotFound(f"There is no app {app[:40]!r}. There are: {', '.join(self.apps)}.")
        user = "*" if self.servers[entry.server].shared else actor.user.id
        session, fresh = await self._opened(project, entry, user, actor.user.id)
        if not fresh:
            return session
        await self.domain.activity.record(actor, "session.opened", project.slug, project=project.id, detail=entry.title)
        return await self.dispatch.launch(session)

    async def open_to_anyone(self, project: Project, app_server: str, account: str) -> Session:
        """The live session that shows a project, or one thing of it, to people without a login; or a new one, as `account`.

        Whether that may be has been decided before (`Admitting`), and is decided again at every turn.
        """
        entry = replace(self.apps[kind(app_server)], server=app_server)
        session, fresh = await self._opened(project, entry, ANYONE, account)
        return await self.dispatch.launch(session) if fresh else session

    async def open_dashboard(self, actor: Actor, project: Project, board: Dashboard) -> Session:
        """The live session of a dashboard, or a new one, as who deployed it. Whether `actor` may view it was asked before."""
        entry = App(board.title, board.title, "", "chart", BOARD + board.id, "")
        session, fresh = await self._opened(project, entry, "*", board.user)
        if not fresh:
            return session
        await self.domain.activity.record(actor, "session.opened", project.slug, project=project.id, detail=entry.title)
        return await self.dispatch.launch(session)

    async def _opened(self, project: Project, entry: App, user: str, started_by: str) -> tuple[Session, bool]:
        """The live session, or (True) a new one, QUEUED, which the caller launches."""
        id = names.session_id(project.id, user, entry.server)
        live = await self._live(id, entry)
        if live is not None:
            return live, False
        if entry.server not in _CLEANING:
            await self.domain.spaces.check(project)
        async with self.domain.allowances.room_for_session("" if user in ("*", ANYONE) else user) as check_room:
            if check_room is not None:
                live = await self._live(id, entry)  # made by another request of theirs meanwhile
                if live is not None:
                    return live, False
                await check_room()
            project = await self.domain.projects.life.claim(project.id)
            session, fresh = await self._next(id, project, entry, user, started_by)
        if fresh:
            self.tell(session)
        return session, fresh

    async def _live(self, id: str, entry: App) -> Session | None:
        """The live session of this id, which now shows `entry`; None when there is none."""
        doc = await self.store.get("sessions", id)
        if doc is None or doc["phase"] not in LIVE:
            return None
        session = Session.model_validate(doc)
        if session.phase is Phase.STOPPING:
            raise Conflict(f"{self.title(session)} is still stopping. Try again in a moment.", retry_after=2)

        def edit(session: Session) -> None:
            session.app = entry.name

        return await self.dispatch.edit(session, edit)

    async def _next(self, id: str, project: Project, entry: App, user: str, started_by: str) -> tuple[Session, bool]:
        """A new generation; or (False) the live one that somebody else made at the same time."""
        for _ in range(_TRIES):
            stored = await self.store.get("sessions", id)
            if stored is not None and stored["phase"] in LIVE:
                return Session.model_validate(stored), False
            session = Session(
                id=id,
                rev=stored["rev"] if stored else 0,
                generation=max(
                    now(), stored["generation"] + 1 if stored else 1
                ),  # newer than any, whatever was restored
                project=project.id,
                slug=project.slug,
                owner=project.owner,
                name=project.name,
                app_server=entry.server,
                app=entry.name,
                user=user,
                started_by=started_by,
                datacenter=project.datacenter,
                node=project.node,
            )
            write = self.store.replace if stored else self.store.insert
            try:
                return Session.model_validate(await write("sessions", session.model_dump(mode="json"))), True
            except (Duplicate, Stale):
                continue
        raise Conflict("Many people are opening this at the same time. Try again in a moment.", retry_after=1)

    async def stop(self, actor: Actor, id: str, reason: str = "") -> Session:
        """Stop one's own session; anybody's for maintainers of the project and administrators. Answered as STOPPING."""
        session = await self._controlled(actor, id)
        if session.phase not in LIVE:
            return session
        why = reason or f"stopped by {actor.name}"

        def edit(session: Session) -> None:
            if session.phase in LIVE:
                session.move(Phase.STOPPING, why)

        session = await self.dispatch.edit(session, edit)
        self.routes.drop(session.id, session.generation, session.datacenter)
        self.dispatch.end_soon(session, why)
        who = actor.name if session.user == "*" else session.user
        await self.domain.activity.record(
            actor, "session.stopped", session.slug, project=session.project, who=who, detail=self.title(session)
        )
        return session

    async def restart(self, actor: Actor, id: str) -> Session:
        """End one's own (or the team's) session and start it anew, with limits and environment as they are now."""
        session = await self._controlled(actor, id)
        if session.user not in (actor.name, "*"):
            raise Denied("Only the person whose session it is starts it anew; you may stop it.")
        if session.phase in LIVE:
            ended = await self.dispatch.end(session, f"started anew by {actor.name}")
            if ended.phase in LIVE:
                raise Conflict("It is still stopping. Try again in a moment.", retry_after=2)
        if session.app_server.startswith(BOARD):
            id = session.app_server.removeprefix(BOARD)
            return await self.domain.dashboards.open(actor, session.owner, session.name, id)
        return await self.open(actor, session.owner, session.name, session.app)

    async def keep(self, actor: Actor, id: str, hours: float) -> Session:
        """Don't stop a session for want of use for so many hours from now (0: as others). For those who may stop it.

        Invalid when that is longer than its node allows; Conflict when it does not run.
        """
        session = await self._controlled(actor, id)
        if session.phase is not Phase.RUNNING:
            raise Conflict(f"The session is {session.phase.lower()}: only one that runs can be kept.")
        command = KeepSession(session=id, generation=session.generation, hours=hours)
        report: SessionReport = await self.bus.request(names.address("compute", session.node), command)
        self.reports.present.setdefault(session.node, {})[id] = report
        kept = await self.reports.apply(session.node, report) or session
        who = actor.name if session.user == "*" else session.user
        await self.domain.activity.record(
            actor, "session.kept", session.slug, project=session.project, who=who, detail=f"{hours:g} h"
        )
        return kept

    async def _controlled(self, actor: Actor, id: str) -> Session:
        """The session, if the actor may decide over its end."""
        session = await self.get(actor, id)
        project = await self.domain.projects.by_id(session.project)
        # A shared session is everybody's who may run apps.
        own = session.user == "*" or actor.owns(session.user, session.created)
        needed = Permission.CONTROL if own else Permission.TEAM
        check(actor, needed, project)
        return session

    async def end_user(self, user: str, reason: str) -> int:
        """Stop all of a person's sessions (locked, removed); returns how many. For the server itself."""
        query = Query(equal=(("user", user),), sort="created")
        live = [
            Session.model_validate(doc) async for doc in every(self.store, "sessions", query) if doc["phase"] in LIVE
        ]
        for session in live:
            self.routes.drop(session.id, session.generation, session.datacenter)
            self.dispatch.end_soon(session, reason)
        return len(live)

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────

    async def get(self, actor: Actor, id: str) -> Session:
        """The session: one's own, those of projects one is on, all for administrators; else NotFound."""
        check(actor, Permission.VIEW)
        doc = await self.store.get("sessions", id)
        if doc is None:
            raise NotFound(_NONE)
        session = Session.model_validate(doc)
        project = await self.domain.projects.by_id(session.project)
        if not _sees(actor, session, project):
            raise NotFound(_NONE)
        check_scope(actor, Permission.VIEW, project)
        return self._shown(actor, session, project)

    async def of_project(self, actor: Actor, owner: str, name: str) -> list[Session]:
        """The sessions of a project, newest first: for its team and administrators (others see none)."""
        return await self.of(actor, await self.domain.projects.get(actor, owner, name))

    async def of(self, actor: Actor, project: Project) -> list[Session]:
        """The same of a project that the actor was given."""
        query = Query(equal=(("project", project.id),), sort="created", descending=True, shared=True)
        found = [self.domain.seen.read(Session, doc) async for doc in every(self.store, "sessions", query)]
        return [self._shown(actor, session, project) for session in found if _sees(actor, session, project)]

    async def of_user(self, actor: Actor, user: str) -> list[Session]:
        """A person's sessions, newest first. One's own, or an administrator's look."""
        check(actor, Permission.LIST if actor.name == user else Permission.ADMIN)
        own, low = (("user", user),), actor.since if actor.name == user else None
        query = Query(own, low, sort="created", descending=True, limit=200, shared=True)
        return [self.domain.seen.read(Session, doc) for doc in (await self.store.find("sessions", query)).items]

    async def all(self, actor: Actor, phase: str = "", limit: int = 100, cursor: str = "") -> tuple[list[Session], str]:
        """All sessions (administrators), newest first, and the next cursor. `phase`: only those in it."""
        check(actor, Permission.ADMIN)
        page = await self.store.find(
            "sessions",
            Query(equal=(("phase", phase),), limit=limit, cursor=cursor)
            if phase
            else Query(sort="created", descending=True, limit=limit, cursor=cursor),
        )
        return [Session.model_validate(doc) for doc in page.items], page.next

    async def log(self, actor: Actor, id: str, lines: int = 200) -> str:
        """The end of the app server's log, asked of its node (own sessions, maintainers, administrators)."""
        session = await self.get(actor, id)
        project = await self.domain.projects.by_id(session.project)
        if not (actor.owns(session.user, session.created) or allows(actor, Permission.TEAM, project)):
            raise Denied("Only the person whose session it is, maintainers and administrators read its log.")
        command = ReadSessionLog(session=id, lines=max(1, min(lines, 2000)))
        answer: SessionLog = await self.bus.request(names.address("compute", session.node), command)
        return answer.text

    async def live_of(self, project_id: str) -> Sequence[Session]:
        """The live sessions of a project, for the server itself."""
        return await self._of(project_id, LIVE)

    async def failed_of(self, project_id: str) -> Sequence[Session]:
        """The sessions of a project that ended badly, for the server itself."""
        return await self._of(project_id, frozenset({Phase.PROBLEM}))

    async def _of(self, project_id: str, phases: frozenset[Phase]) -> Sequence[Session]:
        query = Query(equal=(("project", project_id),), sort="created")
        found = every(self.store, "sessions", query)
        return [Session.model_validate(doc) async for doc in found if doc["phase"] in phases]

    def _shown(self, actor: Actor, session: Session, project: Project | None) -> Session:
        """The session as the actor may see it: other people's logs are theirs, their maintainers' and administrators'."""
        if session.user == "*" or actor.owns(session.user, session.created) or allows(actor, Permission.TEAM, project):
            return session
        return session.model_copy(update={"log_tail": ""})


def _sees(actor: Actor, session: Session, project: Project | None) -> bool:
    if actor.admin or actor.owns(session.user, session.created):
        return True
    return project is not None and actor.user is not None and project.role_of(actor.user.id) is not None
