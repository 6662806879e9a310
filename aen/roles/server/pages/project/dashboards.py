"""Pages, dashboards: of a project, deployed, changed, taken down; those that one may view; and the address that stays."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from aiohttp import web

from aen import names
from aen.errors import Conflict, Invalid
from aen.links import BOARD
from aen.model.dashboard import Dashboard, Kind, Watchers
from aen.model.project import Project
from aen.model.revision import readable
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, asked_text, person, see_other
from aen.roles.server.pages.project.views import address, context
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.publishing.dashboards import About
from aen.roles.server.urls import Url
from aen.web.site import render

_FIELDS = ("title", "path", "kind", "environment", "watchers", "people")


async def list_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """A project's dashboards, and the form for one more, or (`?edit=id`) for one that is there."""
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    project = await domain.projects.allowed(actor, *_where(request), Permission.LOOK)
    sessions = await domain.sessions.of_project(actor, project.owner, project.name)
    edited = project.dashboard(asked_text(request, "edit", 40) or request.match_info.get("id", ""))
    shown = {
        **context(request, project),
        "problem": problem,
        "phases": {one.app_server.removeprefix(BOARD): one.phase for one in reversed(sessions)},
        "edited": edited,
        "form": _typed(form, edited),
        "beyond_team": domain.dashboards.beyond_team(project),
        "server_url": domain.config.server.url,
        "readable": readable,
    }
    return render(request, "project/dashboards.html", shown, status=status)


def _typed(form: Form | None, edited: Dashboard | None) -> dict[str, str]:
    if form is not None:
        return {name: form.raw(name, 10_000) for name in _FIELDS}
    if edited is None:
        return dict.fromkeys(_FIELDS, "")
    told: dict[str, Any] = edited.model_dump(include=set(_FIELDS))
    return {**told, "people": ", ".join(edited.people), "path": unquote(edited.path)}


@again(list_page)
async def deploy(request: web.Request, form: Form) -> web.StreamResponse:
    """A new one."""
    project, _ = await request.config_dict[DOMAIN].dashboards.deploy(request[ACTOR], *_where(request), _about(form))
    return see_other(f"{address(project)}/dashboards", "deployed")


@again(list_page)
async def act(request: web.Request, form: Form) -> web.StreamResponse:
    """By the button that was pressed: changed, or taken down."""
    dashboards, where = request.config_dict[DOMAIN].dashboards, _where(request)
    id, wanted = request.match_info["id"], form.text("act", 20)
    if wanted == "change":
        project, _ = await dashboards.change(request[ACTOR], *where, id, _about(form))
        return see_other(f"{address(project)}/dashboards", "saved")
    if wanted == "remove":
        project = await dashboards.take_down(request[ACTOR], *where, id)
        return see_other(f"{address(project)}/dashboards", "taken-down")
    raise Invalid("There is nothing of that kind to do with a dashboard.")


def _about(form: Form) -> About:
    kind, watchers = form.text("kind", 20), form.text("watchers", 20) or Watchers.TEAM
    if kind not in list(Kind):
        raise Invalid("Choose what runs it: Voila, Panel or Streamlit.")
    if watchers not in list(Watchers):
        raise Invalid("Choose who may view it.")
    return About(
        title=form.text("title", 1000),
        kind=Kind(kind),
        path=quote(form.text("path", 3000), safe="/"),
        environment=form.text("environment", 63),
        watchers=Watchers(watchers),
        people=form.text("people", 10_000).replace(",", " ").split(),
    )


# ── for those who look ──────────────────────────────────────────────────────────────────────────────


async def mine_page(request: web.Request) -> web.StreamResponse:
    """All that the reader may view."""
    person(request)
    found = await request.config_dict[DOMAIN].dashboards.for_me(request[ACTOR])
    return render(request, "project/dashboards_mine.html", {"dashboards": found})


async def lead(request: web.Request) -> web.StreamResponse:
    """The address that stays, whatever the project is called: on to where the dashboard is now."""
    domain = request.config_dict[DOMAIN]
    project, board = await domain.dashboards.by_id(request[ACTOR], request.match_info["id"])
    return see_other(_gateway(domain.nodes.datacenter(project.datacenter), project, board))


def _gateway(center: Any, project: Project, board: Dashboard) -> str:
    if center is None:
        raise Conflict("The project's data center is not known yet. Try again in a moment.", retry_after=5)
    origin = center.gateway_url.replace("{project}", names.host_label(project.owner, project.name))
    return f"{origin}/{project.owner}/{project.name}/{BOARD}{board.id}/"


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


P = Permission
_ALL = "/{owner}/{project}/dashboards"
URLS = [
    Url("GET", "/dashboards", mine_page, P.LIST),
    Url("GET", "/dashboards/{id}", lead, P.WATCH),
    Url("GET", _ALL, list_page, P.LOOK),
    Url("POST", _ALL, deploy, P.RUN),
    Url("POST", f"{_ALL}/{{id}}", act, P.RUN),
]
