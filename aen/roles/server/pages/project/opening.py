"""Pages, opening an app: a form starts it, a page shows its steps and goes to the app when it answers."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from aen.apps import App
from aen.errors import AenError, Denied, NotFound
from aen.languages import N_
from aen.model.project import Project
from aen.model.session import Phase, Session
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import see_other
from aen.roles.server.pages.project.views import address, apps, context
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_BUSY = frozenset({Phase.QUEUED, Phase.STARTING, Phase.STOPPING})


async def open_app(request: web.Request) -> web.StreamResponse:
    """Start (or find) the actor's session and lead to it: straight to the app when it runs, else to the page of its start."""
    domain, project, app = await _what(request)
    try:
        session = await domain.sessions.open(request[ACTOR], project.owner, project.name, app.name)
    except (Denied, NotFound):
        raise
    except AenError as error:
        return await _page(request, project, app, None, error.message, error.status)
    there = _open_url(request, session)
    if session.phase is Phase.RUNNING and there:
        return see_other(there)
    return see_other(f"{address(project)}/open/{app.name}")


async def open_page(request: web.Request) -> web.StreamResponse:
    domain, project, app = await _what(request)
    sessions = await domain.sessions.of_project(request[ACTOR], project.owner, project.name)
    mine = (s for s in sessions if s.app_server == app.server and s.user in (request[ACTOR].name, "*"))
    session = next(mine, None)
    problem = ""
    if session is not None and session.phase in (Phase.PROBLEM, Phase.LOST):
        problem = session.reason or N_("It did not say why; the end of its log may.")
    return await _page(request, project, app, session, problem, 200)


async def _page(
    request: web.Request, project: Project, app: App, session: Session | None, problem: str, status: int
) -> web.StreamResponse:
    running = session is not None and session.phase is Phase.RUNNING
    shown: dict[str, Any] = {
        **context(request, project),
        "app": app,
        "session": session,
        "busy": session is not None and session.phase in _BUSY,
        "ready_url": _open_url(request, session.model_copy(update={"app": app.name})) if session and running else "",
        "problem": problem,
    }
    return render(request, "session/open.html", shown, status=status)


async def _what(request: web.Request) -> tuple[Any, Project, App]:
    domain = request.config_dict[DOMAIN]
    owner, name = request.match_info["owner"], request.match_info["project"]
    project = await domain.projects.get(request[ACTOR], owner, name)
    app = apps(domain).get(request.match_info["app"])
    if app is None:
        raise NotFound("There is no such app here. The project's page shows those that there are.")
    return domain, project, app


def _open_url(request: web.Request, session: Session) -> str:
    """The app's address at the gateway."""
    return str(request.config_dict[DOMAIN].sessions.view(session).get("open_url", ""))


P = Permission
URLS = [
    Url("GET", "/{owner}/{project}/open/{app}", open_page, P.VIEW),
    Url("POST", "/{owner}/{project}/open/{app}", open_app, P.LOOK),
]
