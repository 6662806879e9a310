"""API, projects: making, finding, changing, starring, their teams, starting and stopping."""

from __future__ import annotations

from typing import Literal

from aiohttp import web
from pydantic import Field

from aen.model import Word
from aen.model.drift import Drift
from aen.model.project import Project
from aen.roles.server.pages.api.api import PREFIX, Nothing, Paging, answer, asked, body, listed, part, query
from aen.roles.server.pages.api.views import (
    ActivityView,
    JobView,
    MemberView,
    PageOf,
    ProjectView,
    activity_view,
    job_view,
    member_view,
    project_view,
)
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.project.projects import NewProject, ProjectPatch
from aen.roles.server.project.spaces import limit_in_bytes
from aen.roles.server.urls import Url


class ProjectQuery(Paging):
    """Which projects. `all` is everything that the asker may see."""

    scope: Literal["mine", "team", "starred", "public", "all", "deleted"] = "all"
    tag: str = Field("", max_length=100)
    search: str = Field("", max_length=200)


class ProjectChanges(ProjectPatch):
    """What to change. A new `name` renames it, which has to be stopped for that."""

    name: str | None = None


class NewName(Word):
    """The new name of a stopped project."""

    name: str


class NewOwner(Word):
    """Who of the team becomes the owner."""

    user: str


class Deletion(Word):
    """`name`: the project's name once more. Scripts may leave it out: they have it in the address already."""

    name: str | None = None


class SpaceLimit(Word):
    """A bound for this project alone, as 20G; empty: what the configuration says."""

    limit: str = Field("", max_length=20)


class Place(Word):
    """A person's role in the team."""

    role: Literal["viewer", "member", "maintainer"] = "member"


def _where(request: web.Request) -> tuple[str, str]:
    return part(request, "owner"), part(request, "name")


def _shown(request: web.Request, project: Project, status: int = 200) -> web.Response:
    domain, actor = asked(request)
    return answer(project_view(project, actor, domain.config.server.url), status)


async def projects(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, ProjectQuery)
    found, next = await domain.projects.list(actor, q.scope, q.tag, q.search, q.most, q.cursor)
    return listed([project_view(project, actor, domain.config.server.url) for project in found], next)


async def create(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return _shown(request, await domain.projects.create(actor, await body(request, NewProject)), 201)


async def project(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return _shown(request, await domain.projects.get(actor, *_where(request)))


async def update(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    given = await body(request, ProjectChanges)
    owner, name = _where(request)
    if given.name is not None:  # first, since it may be refused; then nothing has changed
        name = (await domain.projects.rename(actor, owner, name, given.name)).name
    patch = ProjectPatch(**given.model_dump(exclude={"name"}))
    return _shown(request, await domain.projects.update(actor, owner, name, patch))


async def rename(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    new = await body(request, NewName)
    return _shown(request, await domain.projects.rename(actor, *_where(request), new.name))


async def transfer(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    new = await body(request, NewOwner)
    return _shown(request, await domain.team.transfer(actor, *_where(request), new.user))


async def delete(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    typed = (await body(request, Deletion)).name
    owner, name = _where(request)
    job = await domain.projects.delete(actor, owner, name, name if typed is None else typed)
    return answer(job_view(job), 202)


async def discard(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    typed = (await body(request, Deletion)).name
    owner, name = _where(request)
    return _shown(request, await domain.grace.discard(actor, owner, name, name if typed is None else typed), 202)


async def restore(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return _shown(request, await domain.grace.restore(actor, *_where(request)))


async def star(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    starred = await domain.projects.star(actor, *_where(request), request.method == "PUT")
    request[ACTOR] = await domain.accounts.actor_now(actor) or actor  # whose stars are other ones now
    return _shown(request, starred)


async def team(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    found = await domain.projects.get(actor, *_where(request))
    return listed([member_view(member) for member in found.team])


async def set_member(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    place = await body(request, Place)
    changed = await domain.team.set(actor, *_where(request), part(request, "user"), place.role)
    return listed([member_view(member) for member in changed.team])


async def remove_member(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    changed = await domain.team.remove(actor, *_where(request), part(request, "user"))
    return listed([member_view(member) for member in changed.team])


async def start(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return _shown(request, await domain.projects.start(actor, *_where(request)), 202)


async def stop(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return _shown(request, await domain.projects.stop(actor, *_where(request)), 202)


async def reset(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return _shown(request, await domain.projects.reset(actor, *_where(request)), 202)


async def permissions(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(await domain.projects.repairs.check(actor, *_where(request)))


async def measure(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return _shown(request, await domain.spaces.measure(actor, *_where(request)))


async def bound_space(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    limit = limit_in_bytes((await body(request, SpaceLimit)).limit)
    return _shown(request, await domain.spaces.limit(actor, *_where(request), limit))


async def repair(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return answer(job_view(await domain.projects.repairs.repair(actor, *_where(request))), 202)


async def activity(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, Paging)
    entries, next = await domain.activity.of_project(actor, *_where(request), q.most, q.cursor)
    return listed([activity_view(entry, address=False) for entry in entries], next)


P = Permission
_ONE = f"{PREFIX}/projects/{{owner}}/{{name}}"
_TEAM = PageOf[MemberView]
URLS = [
    Url("GET", f"{PREFIX}/projects", projects, P.LIST, None, PageOf[ProjectView], 200, ProjectQuery, "Projects"),
    Url("POST", f"{PREFIX}/projects", create, P.CREATE, NewProject, ProjectView, 201, summary="Make a project"),
    Url("GET", _ONE, project, P.VIEW, gives=ProjectView, summary="A project"),
    Url("PATCH", _ONE, update, P.EDIT, ProjectChanges, ProjectView, summary="Change a project"),
    Url("DELETE", _ONE, delete, P.OWN, Deletion, JobView, 202, summary="Delete a project and all its files, at once"),
    Url("POST", f"{_ONE}/discard", discard, P.OWN, Deletion, ProjectView, 202, summary="Delete; it can be restored"),
    Url("POST", f"{_ONE}/restore", restore, P.OWN, None, ProjectView, summary="Have a deleted project back"),
    Url("POST", f"{_ONE}/rename", rename, P.OWN, NewName, ProjectView, summary="Rename a stopped project"),
    Url("POST", f"{_ONE}/transfer", transfer, P.OWN, NewOwner, ProjectView, summary="Pass a stopped project on"),
    Url("PUT", f"{_ONE}/star", star, P.VIEW, gives=ProjectView, summary="Star"),
    Url("DELETE", f"{_ONE}/star", star, P.VIEW, gives=ProjectView, summary="Take the star away"),
    Url("GET", f"{_ONE}/team", team, P.VIEW, gives=_TEAM, summary="The team"),
    Url("PUT", f"{_ONE}/team/{{user}}", set_member, P.TEAM, Place, _TEAM, summary="Add somebody or change their role"),
    Url("DELETE", f"{_ONE}/team/{{user}}", remove_member, P.VIEW, gives=_TEAM, summary="Take somebody off, or leave"),
    Url("POST", f"{_ONE}/start", start, P.CONTROL, None, ProjectView, 202, summary="Start"),
    Url("POST", f"{_ONE}/stop", stop, P.CONTROL, None, ProjectView, 202, summary="Stop, with all sessions"),
    Url("POST", f"{_ONE}/reset", reset, P.CONTROL, None, ProjectView, 202, summary="End whatever is left"),
    Url("GET", f"{_ONE}/permissions", permissions, P.CONTROL, gives=Drift, summary="Files not in line"),
    Url(
        "POST",
        f"{_ONE}/space/measure",
        measure,
        P.CONTROL,
        Nothing,
        ProjectView,
        summary="Measure its space on the disk",
    ),
    Url("PUT", f"{_ONE}/space", bound_space, P.ADMIN, SpaceLimit, ProjectView, summary="Bound its space on the disk"),
    Url("POST", f"{_ONE}/permissions/repair", repair, P.CONTROL, None, JobView, 202, summary="Bring files in line"),
    Url("GET", f"{_ONE}/activity", activity, P.VIEW, None, PageOf[ActivityView], 200, Paging, "What happened"),
]
