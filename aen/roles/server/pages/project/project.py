"""Pages, project: home, making one, its page, starting and stopping; opening apps and settings are added at the end."""

from __future__ import annotations

import asyncio

from aiohttp import web

from aen import names
from aen.errors import Invalid
from aen.model.project import Project, Visibility
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, asked_text, page_links, person, read, see_other
from aen.roles.server.pages.frame import called
from aen.roles.server.pages.project import (
    compute,
    dashboards,
    environments,
    links,
    opening,
    publications,
    revisions,
    rights,
    schedules,
    settings,
)
from aen.roles.server.pages.project.archives import making
from aen.roles.server.pages.project.views import (
    acting,
    address,
    app_rows,
    context,
    here,
    session_rows,
    starting,
    working,
)
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.project import attention
from aen.roles.server.project.projects import SCOPES, NewProject
from aen.roles.server.urls import Url
from aen.web.site import render

_PAGE = 30


async def home(request: web.Request) -> web.StreamResponse:
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    if domain.accounts.needs_setup():
        return see_other("/setup")
    user = person(request)
    tag, search = asked_text(request, "tag", 60), asked_text(request, "q", 100)
    scope = asked_text(request, "show", 20)
    scope = scope if scope in SCOPES else "mine"
    own, running, saved, boards = await asyncio.gather(
        domain.tags.of_person(actor),
        domain.sessions.of_user(actor, user.id),
        domain.search.saved(actor),
        domain.dashboards.for_me(actor, 6),
    )
    page = asked_text(request, "cursor", 500)
    projects, cursor = await domain.projects.list(actor, scope, tag, search, _PAGE, page, own)
    sessions = [session for session in running if session.phase in _SHOWN]
    notices, people = await attention.of(domain, actor, sessions, own)
    shown = {
        **await called(request, (name for name, _count in people)),
        "attention": notices,
        "companions": people,
        "saved": saved,
        "dashboards": boards[:6],
        "scope": scope,
        "tag": tag,
        "search": search,
        "projects": projects,
        "sessions": session_rows(domain, actor, sessions[:8]),
        "tags": await domain.tags.counts(actor, limit=12, own=own),
        **page_links(request, cursor),
    }
    return render(request, "project/home.html", shown)


_SHOWN = ("QUEUED", "STARTING", "RUNNING", "STOPPING", "PROBLEM", "LOST")


async def new_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    person(request)
    names_ = ("name", "summary", "visibility", "datacenter")
    typed = {name: form.raw(name, 10_000)[:300] if form else "" for name in names_}
    suggested = names.suggestion(typed["name"]) if problem else ""
    shown = {
        "form": typed,
        "problem": problem,
        "anyone": bool(domain.config.sharing.public_account),
        "datacenters": [{"id": dc.id, "title": dc.title, "load": ""} for dc in domain.nodes.datacenters()],
        "suggestion": suggested if suggested != typed["name"] else "",
    }
    return render(request, "project/new.html", shown, status=status)


@again(new_page)
async def new(request: web.Request, form: Form) -> web.StreamResponse:
    made = await request.config_dict[DOMAIN].projects.create(
        request[ACTOR],
        NewProject(
            name=form.text("name", 200),
            summary=form.text("summary", 2000),
            visibility=visibility(form.text("visibility", 20) or "private"),
            datacenter=form.text("datacenter", 100),
        ),
    )
    return see_other(address(made))


def visibility(text: str) -> Visibility:
    """Private or public. Raises Invalid."""
    try:
        return Visibility(text)
    except ValueError:
        raise Invalid("A project is private or public.") from None


async def page(request: web.Request) -> web.StreamResponse:
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    project = await found(request)
    sessions = await domain.sessions.of(actor, project)
    activity, _ = await domain.activity.of(actor, project, 6)
    mentioned = {member.user for member in project.team} | working(sessions) | acting(activity)
    shown = {
        **context(request, project),
        **await called(request, mentioned),
        "sessions": session_rows(domain, actor, sessions, project),
        "apps": app_rows(domain, actor, project, sessions),
        "starting": starting(domain, actor, project, sessions),
        "activity": activity,
        "present": here(domain, actor, project, sessions),
        "related": await domain.related.to(actor, project),
        "making": [job for job in await making(domain, project) if job.active],
        "description": await domain.descriptions.html(project.description) if project.description else "",
        "space_warning": await domain.spaces.warning(project),
    }
    return render(request, "project/page.html", shown)


async def activity_page(request: web.Request) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    project = await found(request)
    entries, cursor = await domain.activity.of_project(
        request[ACTOR], project.owner, project.name, 50, asked_text(request, "cursor", 500)
    )
    shown = {
        **context(request, project),
        **await called(request, acting(entries)),
        "entries": entries,
        **page_links(request, cursor),
    }
    return render(request, "project/activity.html", shown)


async def found(request: web.Request) -> Project:
    """The project that the address names, to be looked at. NotFound."""
    project: Project = await request.config_dict[DOMAIN].projects.look(
        request[ACTOR], request.match_info["owner"], request.match_info["project"]
    )
    return project


async def start(request: web.Request) -> web.StreamResponse:
    return see_other(address(await request.config_dict[DOMAIN].projects.start(request[ACTOR], *_where(request))))


async def stop(request: web.Request) -> web.StreamResponse:
    return see_other(address(await request.config_dict[DOMAIN].projects.stop(request[ACTOR], *_where(request))))


async def reset(request: web.Request) -> web.StreamResponse:
    return see_other(address(await request.config_dict[DOMAIN].projects.reset(request[ACTOR], *_where(request))))


async def star(request: web.Request) -> web.StreamResponse:
    on = (await read(request)).text("on", 5) == "1"
    return see_other(address(await request.config_dict[DOMAIN].projects.star(request[ACTOR], *_where(request), on)))


async def stop_session(request: web.Request) -> web.StreamResponse:
    project = await found(request)
    await request.config_dict[DOMAIN].sessions.stop(request[ACTOR], request.match_info["id"])
    return see_other(address(project), "session-stopped")


async def keep_session(request: web.Request) -> web.StreamResponse:
    project = await found(request)
    hours = (await read(request)).text("hours", 10)
    if not hours.replace(".", "", 1).isdecimal():
        raise Invalid("For how many hours? Give a number.")
    await request.config_dict[DOMAIN].sessions.keep(request[ACTOR], request.match_info["id"], float(hours))
    return see_other(address(project))


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


P = Permission
_ONE = "/{owner}/{project}"
URLS = [
    Url("GET", "/", home, P.ANYBODY),
    Url("GET", "/new", new_page, P.CREATE),
    Url("POST", "/new", new, P.CREATE),
    *settings.URLS,
    *opening.URLS,
    *links.URLS,
    *rights.URLS,
    *compute.URLS,
    *environments.URLS,
    *revisions.URLS,
    *schedules.URLS,
    *publications.URLS,
    *dashboards.URLS,
    Url("GET", f"{_ONE}/activity", activity_page, P.VIEW),
    Url("POST", f"{_ONE}/start", start, P.CONTROL),
    Url("POST", f"{_ONE}/stop", stop, P.CONTROL),
    Url("POST", f"{_ONE}/reset", reset, P.CONTROL),
    Url("POST", f"{_ONE}/star", star, P.VIEW),
    Url("POST", f"{_ONE}/sessions/{{id}}/stop", stop_session, P.VIEW),
    Url("POST", f"{_ONE}/sessions/{{id}}/keep", keep_session, P.VIEW),
    Url("GET", _ONE, page, P.VIEW),
]
