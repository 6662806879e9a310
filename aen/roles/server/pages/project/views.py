"""Project views: what a project's pages show of it: who may what, its sessions with why they live, what is starting."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary

from aiohttp import web

from aen.apps import App, catalog, title_of
from aen.languages import gettext as _
from aen.model.activity import Activity
from aen.model.project import Project, Role
from aen.model.session import LIVE, Idle, Phase, Session, Use
from aen.roles.server.domain import DOMAIN, Domain
from aen.roles.server.pages.project.session_words import curve, keep_choices, use_text, why
from aen.roles.server.permissions import ACTOR, Actor, Permission, allows

_MAY = {
    "look": Permission.LOOK,
    "run": Permission.RUN,
    "control": Permission.CONTROL,
    "edit": Permission.EDIT,
    "team": Permission.TEAM,
    "own": Permission.OWN,
}
_apps: WeakKeyDictionary[Domain, dict[str, App]] = WeakKeyDictionary()  # looking for plug-ins reads the disk


def address(project: Project) -> str:
    """The path of a project's page."""
    return f"/{quote(project.owner, safe='')}/{quote(project.name, safe='')}"


def context(request: web.Request, project: Project) -> dict[str, Any]:
    """What all of a project's pages need."""
    actor = request[ACTOR]
    return {
        "project": project,
        "may": {name: allows(actor, permission, project) for name, permission in _MAY.items()},
        "starred": actor.user is not None and project.id in actor.user.starred,
        "run_reason": _run_reason(actor, project),
        "folder": _folder(request.config_dict[DOMAIN], actor, project),
    }


def working(sessions: Iterable[Session]) -> set[str]:
    """Whose sessions these are, or who started them."""
    return {name for session in sessions for name in (session.user, session.started_by)}


def acting(entries: Iterable[Activity]) -> set[str]:
    """Who did these things, and to whom."""
    return {name for entry in entries for name in (entry.actor, entry.who)}


def _folder(domain: Domain, actor: Actor, project: Project) -> str:
    """Where its files lie on its node, for its team; the last folders of it for others, and before a node is chosen."""
    node = next((one for one in domain.nodes.list() if one.id == project.node), None)
    inside = actor.admin or project.role_of(actor.name) is not None
    root = node.project_root if node is not None and inside else ""
    return f"{root.rstrip('/') or '…'}/{project.slug}"


def _run_reason(actor: Actor, project: Project) -> str:
    """Why somebody may not open apps here, and what to do."""
    role = project.role_of(actor.name)
    if role is Role.VIEWER:
        return _(
            "You are a viewer: you may look. Ask {owner} to make you a member to open other apps.", owner=project.owner
        )
    if role is None:
        return _("Only the team opens apps here. Ask {owner} to add you.", owner=project.owner)
    return ""


def apps(domain: Domain) -> dict[str, App]:
    """What people can start, by name."""
    if domain not in _apps:
        _apps[domain] = catalog(domain.config)
    return _apps[domain]


def app_rows(domain: Domain, actor: Actor, project: Project, sessions: Sequence[Session]) -> list[dict[str, Any]]:
    """The apps, each with the phase of the actor's own (or the shared) session of its app server, and who shares that."""
    mine = {session.app_server: session.phase for session in reversed(sessions) if session.user in (actor.name, "*")}
    return [
        {
            "name": app.name,
            "title": app.title,
            "description": app.description,
            "icon": app.icon,
            "session": title_of(domain.sessions.servers[app.server]),
            "together": domain.sessions.sharing(app.server),
            "phase": mine.get(app.server, ""),
            "may": allows(actor, domain.admitting.permission(app.server), project),
        }
        for app in apps(domain).values()
    ]


def session_rows(
    domain: Domain, actor: Actor, sessions: Sequence[Session], project: Project | None = None
) -> list[dict[str, Any]]:
    """Sessions as lists show them: live ones, and those that ended badly."""
    known = apps(domain)
    return [
        _row(domain, actor, session, known, project)
        for session in sessions
        if session.phase in LIVE or session.phase in (Phase.PROBLEM, Phase.LOST)
    ]


def _row(
    domain: Domain, actor: Actor, session: Session, known: dict[str, App], project: Project | None
) -> dict[str, Any]:
    view = domain.sessions.view(session)
    idle = Idle(**view["idle"]) if view["idle"] else None
    mine = session.user in (actor.name, "*")
    controls = project is not None and allows(actor, Permission.CONTROL, project)
    may_stop = (mine and controls) or (project is not None and allows(actor, Permission.TEAM, project))
    return {
        **session.model_dump(),
        "phase": str(session.phase),
        "title": view["title"],
        "entries": domain.sessions.sharing(session.app_server),
        "icon": next((app.icon for app in known.values() if app.server == session.app_server), "app"),
        "mine": mine,
        "may_stop": may_stop and session.phase in LIVE and session.phase is not Phase.STOPPING,
        "open_url": view.get("open_url", ""),
        "why": why(session, idle, view["activity"], view["activity_source"]),
        "warned": idle is not None and idle.warned,
        "stops_at": idle.stops_at if idle else 0,
        "kept": idle is not None and idle.keep_until > 0,
        "keep": keep_choices(idle),
        "use": use_text(Use(**view["use"]) if view["use"] else None),
        "curve": curve(domain.sessions.reports.uses.of(session)),
    }


def here(domain: Domain, actor: Actor, project: Project, sessions: Sequence[Session]) -> dict[str, str]:
    """Who of the team is here now → what they do: at work in an app, or looking at the project. For the team alone."""
    present = domain.presence.people(actor, project, sessions)
    return {one.user: _("at work in {app}", app=one.app) if one.app else _("here now") for one in present}


def starting(domain: Domain, actor: Actor, project: Project, sessions: Sequence[Session]) -> dict[str, Any] | None:
    """What is starting now, with its steps: the actor's own session first, then anybody's, then the project itself."""
    under_way = [session for session in sessions if session.phase in (Phase.QUEUED, Phase.STARTING)]
    under_way.sort(key=lambda session: session.user not in (actor.name, "*"))
    if under_way:
        session = under_way[0]
        title = domain.sessions.title(session)
        own = session.user in (actor.name, "*")
        return {
            "title": _("Starting {app}", app=title)
            if own
            else _("Starting {app} for {user}", app=title, user=session.user),
            "note": _("Its tab opens as soon as it answers."),
            "steps": session.steps,
            "since": session.since,
        }
    if project.state == "STARTING":
        return {
            "title": _("Starting the project"),
            "note": _("Its folder, environment and permissions are being prepared."),
            "steps": domain.projects.life.steps(project.id),
            "since": project.since,
        }
    return None
