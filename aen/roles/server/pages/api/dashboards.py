"""API, dashboards: Voila, Panel and Streamlit programs of a project that others open in their browser."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from aen.links import BOARD
from aen.model import Word
from aen.model.dashboard import Dashboard, Kind, Watchers
from aen.model.project import Project
from aen.roles.server.pages.api.api import PREFIX, answer, asked, body, listed, nothing, part
from aen.roles.server.pages.api.views import PageOf
from aen.roles.server.permissions import Permission
from aen.roles.server.publishing.dashboards import About
from aen.roles.server.urls import Url


class DashboardSpec(Word):
    """A dashboard: its kind (voila, panel, streamlit), the file (percent-encoded), and who may view it besides the team."""

    title: str = Field("", max_length=1000)
    kind: Kind
    path: str = Field(max_length=3000)
    environment: str = Field("", max_length=63)
    watchers: Watchers = Watchers.TEAM
    people: list[str] = Field(default_factory=list, max_length=1000)


class DashboardView(Word):
    """A dashboard. `url` never changes and leads to it; `user` is who deployed it, and as whom it runs."""

    id: str
    project: str
    title: str
    kind: Kind
    path: str
    environment: str
    user: str
    watchers: Watchers
    people: list[str]
    created: int
    app_server: str
    url: str


def view(project: Project, board: Dashboard, server_url: str) -> DashboardView:
    """As the API says it."""
    return DashboardView(
        **board.model_dump(exclude={"incarnation"}),
        project=project.slug,
        app_server=BOARD + board.id,
        url=f"{server_url}/dashboards/{board.id}",
    )


def _where(request: web.Request) -> tuple[str, str]:
    return part(request, "owner"), part(request, "name")


def _about(given: DashboardSpec) -> About:
    return About(**given.model_dump())


async def mine(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    found = await domain.dashboards.for_me(actor)
    return listed([view(project, board, domain.config.server.url) for project, board in found])


async def dashboards(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    project = await domain.projects.allowed(actor, *_where(request), Permission.LOOK)
    return listed([view(project, board, domain.config.server.url) for board in project.dashboards])


async def deploy(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    about = _about(await body(request, DashboardSpec))
    project, board = await domain.dashboards.deploy(actor, *_where(request), about)
    return answer(view(project, board, domain.config.server.url), 201)


async def change(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    about = _about(await body(request, DashboardSpec))
    project, board = await domain.dashboards.change(actor, *_where(request), part(request, "id"), about)
    return answer(view(project, board, domain.config.server.url))


async def take_down(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await domain.dashboards.take_down(actor, *_where(request), part(request, "id"))
    return nothing()


P = Permission
_ALL = f"{PREFIX}/projects/{{owner}}/{{name}}/dashboards"
_ONE = f"{_ALL}/{{id}}"
_LIST = PageOf[DashboardView]
URLS = [
    Url("GET", f"{PREFIX}/dashboards", mine, P.LIST, gives=_LIST, summary="Dashboards that you may view"),
    Url("GET", _ALL, dashboards, P.LOOK, gives=_LIST, summary="Dashboards of a project"),
    Url("POST", _ALL, deploy, P.RUN, DashboardSpec, DashboardView, 201, summary="Deploy a dashboard"),
    Url("PUT", _ONE, change, P.RUN, DashboardSpec, DashboardView, summary="Change a dashboard, at the same address"),
    Url("DELETE", _ONE, take_down, P.RUN, status=204, summary="Take a dashboard down"),
]
