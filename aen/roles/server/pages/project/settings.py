"""Pages, project settings: what it is about, its team, its files' permissions, who sees it, its name, its end."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from aen.errors import AenError, Invalid, NotFound
from aen.model.project import Project, Visibility
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, person, see_other
from aen.roles.server.pages.frame import called
from aen.roles.server.pages.project.views import address, context
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.project.projects import ProjectPatch
from aen.roles.server.urls import Url
from aen.web.site import render


async def about_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    project = await _project(request)
    typed = {"summary": project.summary, "description": project.description, "tags": ", ".join(project.tags)}
    if form is not None:
        typed = {name: form.raw(name, 1_000_000) for name in typed}
    shown = {**context(request, project), "form": typed, "problem": problem}
    return render(request, "project/settings.html", shown, status=status)


@again(about_page)
async def about(request: web.Request, form: Form) -> web.StreamResponse:
    patch = ProjectPatch(
        summary=form.text("summary", 10_000),
        description=form.raw("description", 200_000),
        tags=[tag.strip() for tag in form.text("tags", 5000).split(",") if tag.strip()],
    )
    project = await request.config_dict[DOMAIN].projects.update(request[ACTOR], *_where(request), patch)
    return see_other(address(project), "saved")


async def team_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    project = await _project(request)
    typed = {
        "user": form.raw("user", 10_000)[:100] if form else "",
        "role": form.raw("role")[:20] if form else "member",
    }
    shown = {**context(request, project), **await _team(request, project), "form": typed, "problem": problem}
    return render(request, "project/team.html", shown, status=status)


async def _team(request: web.Request, project: Project) -> dict[str, Any]:
    return await called(request, (member.user for member in project.team))


@again(team_page)
async def set_member(request: web.Request, form: Form) -> web.StreamResponse:
    user, role = form.text("user", 100).lower(), form.text("role", 20) or "member"
    if not user:
        raise Invalid("Type the user name of the person to add.")
    try:
        project = await request.config_dict[DOMAIN].team.set(request[ACTOR], *_where(request), user, role)
    except NotFound as error:
        await _project(request)  # NotFound once more, when it is the project that may not be seen
        raise Invalid(error.message) from None
    return see_other(f"{address(project)}/settings/team", "member-set")


@again(team_page)
async def remove_member(request: web.Request, form: Form) -> web.StreamResponse:
    user = form.text("user", 100)
    project = await request.config_dict[DOMAIN].team.remove(request[ACTOR], *_where(request), user)
    if user == person(request).id:
        return see_other("/", "left")
    return see_other(f"{address(project)}/settings/team", "member-removed")


async def admin_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    project = await domain.projects.allowed(request[ACTOR], *_where(request), Permission.OWN)
    typed = {"new_name": form.raw("new_name", 10_000)[:100] if form else ""}
    anyone = bool(domain.config.sharing.public_account)
    shown = {
        **context(request, project),
        **await _team(request, project),
        "form": typed,
        "problem": problem,
        "anyone": anyone,
        "grace_days": domain.grace.days,
    }
    return render(request, "project/admin.html", shown, status=status)


@again(admin_page)
async def visibility(request: web.Request, form: Form) -> web.StreamResponse:
    wanted = form.text("visibility", 20)
    if wanted not in list(Visibility):
        raise Invalid("A project is private or public.")
    domain = request.config_dict[DOMAIN]
    await domain.projects.allowed(request[ACTOR], *_where(request), Permission.OWN)
    patch = ProjectPatch(visibility=Visibility(wanted))
    project = await domain.projects.update(request[ACTOR], *_where(request), patch)
    return see_other(f"{address(project)}/settings/admin", "saved")


@again(admin_page)
async def rename(request: web.Request, form: Form) -> web.StreamResponse:
    new_name = form.text("new_name", 200)
    project = await request.config_dict[DOMAIN].projects.rename(request[ACTOR], *_where(request), new_name)
    return see_other(f"{address(project)}/settings/admin", "renamed")


@again(admin_page)
async def transfer(request: web.Request, form: Form) -> web.StreamResponse:
    user = form.text("user", 100)
    project = await request.config_dict[DOMAIN].team.transfer(request[ACTOR], *_where(request), user)
    return see_other(address(project), "transferred")


@again(admin_page)
async def delete(request: web.Request, form: Form) -> web.StreamResponse:
    domain, typed = request.config_dict[DOMAIN], form.text("typed", 200)
    if form.text("when", 20) == "now":
        await domain.projects.delete(request[ACTOR], *_where(request), typed)
        return see_other("/", "deleting")
    project = await domain.grace.discard(request[ACTOR], *_where(request), typed)
    return see_other(address(project), "discarded") if project.ends else see_other("/", "deleting")


async def restore(request: web.Request) -> web.StreamResponse:
    project = await request.config_dict[DOMAIN].grace.restore(request[ACTOR], *_where(request))
    return see_other(address(project), "project-restored")


async def permissions_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """Looks at the files only when asked to (`?look=1`): a big tree takes a while."""
    domain = request.config_dict[DOMAIN]
    project = await domain.projects.allowed(request[ACTOR], *_where(request), Permission.CONTROL)
    drift = None
    if request.query.get("look") == "1" and not problem:
        try:
            drift = await domain.projects.repairs.check(request[ACTOR], *_where(request))
        except AenError as error:
            problem, status = error.message, error.status
    shown = {**context(request, project), "drift": drift, "job": await domain.projects.repairs.last(project)}
    return render(request, "project/permissions.html", {**shown, "problem": problem}, status=status)


@again(permissions_page)
async def repair(request: web.Request, form: Form) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    await domain.projects.repairs.repair(request[ACTOR], *_where(request))
    return see_other(f"{address(await _project(request))}/settings/permissions")


async def info_page(request: web.Request) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    project = await _project(request)
    center = next((each for each in domain.nodes.datacenters() if each.id == project.datacenter), None)
    shown = {**context(request, project), "gateway_url": center.gateway_url if center else ""}
    return render(request, "project/info.html", shown)


async def _project(request: web.Request) -> Project:
    project: Project = await request.config_dict[DOMAIN].projects.get(request[ACTOR], *_where(request))
    return project


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


P = Permission
_BASE = "/{owner}/{project}/settings"
URLS = [
    Url("GET", _BASE, about_page, P.VIEW),
    Url("POST", _BASE, about, P.EDIT),
    Url("GET", f"{_BASE}/team", team_page, P.VIEW),
    Url("POST", f"{_BASE}/team", set_member, P.TEAM),
    Url("POST", f"{_BASE}/team/remove", remove_member, P.VIEW),
    Url("GET", f"{_BASE}/admin", admin_page, P.OWN),
    Url("POST", f"{_BASE}/visibility", visibility, P.OWN),
    Url("POST", f"{_BASE}/rename", rename, P.OWN),
    Url("POST", f"{_BASE}/transfer", transfer, P.OWN),
    Url("POST", f"{_BASE}/delete", delete, P.OWN),
    Url("POST", f"{_BASE}/restore", restore, P.OWN),
    Url("GET", f"{_BASE}/permissions", permissions_page, P.CONTROL),
    Url("POST", f"{_BASE}/permissions/repair", repair, P.CONTROL),
    Url("GET", f"{_BASE}/info", info_page, P.VIEW),
]
