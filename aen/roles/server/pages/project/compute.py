"""Pages, compute: what a project computes with, on one page: environment, limits, running sessions and their logs."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from aen.config import Config
from aen.config.sizes import size_text
from aen.errors import AenError
from aen.model.project import Project
from aen.model.user import Allowance
from aen.roles.server.domain import DOMAIN, Domain
from aen.roles.server.pages.forms import Form, again, asked_text, see_other
from aen.roles.server.pages.frame import called
from aen.roles.server.pages.project.views import address, apps, context, session_rows, working
from aen.roles.server.permissions import ACTOR, Actor, Permission
from aen.roles.server.project.spaces import limit_in_bytes
from aen.roles.server.urls import Url
from aen.web.site import render

_LINES = 300


async def compute_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """`?log=<session>` shows the end of that session's log."""
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    project = await domain.projects.allowed(actor, *_where(request), Permission.CONTROL)
    sessions = await domain.sessions.of_project(actor, project.owner, project.name)
    shown: dict[str, Any] = {
        **context(request, project),
        **await called(request, working(sessions)),
        "problem": problem,
        "sessions": session_rows(domain, actor, sessions, project),
        "node": domain.nodes.up(project.node) if project.node else False,
        "limits": _limits(domain, request[ACTOR]),
        "space": project.space,
        "space_limit": size_text(project.space_limit) if project.space_limit else "",
        "everybody": domain.config.space.bytes("project_hard"),
        "bounds": domain.spaces.of_project(project),
        "space_warning": await domain.spaces.warning(project),
        "shown_log": asked_text(request, "log", 20),
        **await _environments(request, domain, project),
    }
    try:
        shown["log"] = await domain.sessions.log(actor, shown["shown_log"], _LINES) if shown["shown_log"] else ""
    except AenError as error:
        shown["problem"], shown["log"] = problem or error.message, ""
    return render(request, "project/compute.html", shown, status=status)


async def _environments(request: web.Request, domain: Domain, project: Project) -> dict[str, Any]:
    """The names to choose from; the active one alone when the node can't say."""
    try:
        _, found = await domain.environments.list(request[ACTOR], project.owner, project.name)
    except AenError as error:
        return {"environments": [project.environment], "silent": error.message}
    names = [one.name for one in found.environments]
    return {"environments": names if project.environment in names else [project.environment, *names], "silent": ""}


def _limits(domain: Domain, actor: Actor) -> list[dict[str, Any]]:
    """What one session of each app server may take: as is said of who asks, else as the configuration says."""
    own = actor.user.allowance if actor.user is not None else Allowance()
    person = {name: most for name in ("memory", "cpus") if (most := getattr(own, name))}
    titles: dict[str, list[str]] = {}
    for app in apps(domain).values():
        titles.setdefault(app.server, []).append(app.title)
    return [{"title": ", ".join(title), **_limit(domain.config, server), **person} for server, title in titles.items()]


def _limit(config: Config, server: str) -> dict[str, Any]:
    told, node = config.apps.get(server), config.compute.limits
    own = told.limits if told else node
    return {
        "memory": own.memory_bytes or node.memory_bytes,
        "cpus": own.cpus or node.cpus,
        "processes": own.processes or node.processes,
        "files": own.files or node.files,
    }


@again(compute_page)
async def environment(request: web.Request, form: Form) -> web.StreamResponse:
    """Choose the active environment."""
    wanted = form.text("name", 100)
    project = await request.config_dict[DOMAIN].environments.activate(request[ACTOR], *_where(request), wanted)
    return see_other(f"{address(project)}/compute", "environment-active")


@again(compute_page)
async def restart(request: web.Request, form: Form) -> web.StreamResponse:
    """End a session and start it anew."""
    session = await request.config_dict[DOMAIN].sessions.restart(request[ACTOR], request.match_info["id"])
    return see_other(f"/{session.owner}/{session.name}/compute", "session-again")


@again(compute_page)
async def stop(request: web.Request, form: Form) -> web.StreamResponse:
    """End a session."""
    session = await request.config_dict[DOMAIN].sessions.stop(request[ACTOR], request.match_info["id"])
    return see_other(f"/{session.owner}/{session.name}/compute", "session-stopped")


@again(compute_page)
async def measure(request: web.Request, form: Form) -> web.StreamResponse:
    """Measure now what the project takes on the disk."""
    project = await request.config_dict[DOMAIN].spaces.measure(request[ACTOR], *_where(request))
    return see_other(f"{address(project)}/compute#space", "measured")


@again(compute_page)
async def space_limit(request: web.Request, form: Form) -> web.StreamResponse:
    """An administrator bounds this project otherwise than the configuration."""
    limit = limit_in_bytes(form.text("limit", 20))
    project = await request.config_dict[DOMAIN].spaces.limit(request[ACTOR], *_where(request), limit)
    return see_other(f"{address(project)}/compute#space", "saved")


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


P = Permission
_BASE = "/{owner}/{project}/compute"
URLS = [
    Url("GET", _BASE, compute_page, P.CONTROL),
    Url("POST", f"{_BASE}/environment", environment, P.RUN),
    Url("POST", f"{_BASE}/measure", measure, P.CONTROL),
    Url("POST", f"{_BASE}/space", space_limit, P.ADMIN),
    Url("POST", f"{_BASE}/{{id}}/restart", restart, P.CONTROL),
    Url("POST", f"{_BASE}/{{id}}/stop", stop, P.CONTROL),
]
