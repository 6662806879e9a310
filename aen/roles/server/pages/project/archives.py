"""Pages, archives: copying and exporting a project, importing one."""

from __future__ import annotations

from aiohttp import web

from aen.model.job import Job
from aen.model.project import Project
from aen.roles.server.domain import DOMAIN, Domain
from aen.roles.server.pages.api.search import send
from aen.roles.server.pages.forms import Form, again, person, see_other
from aen.roles.server.pages.project.views import address, context
from aen.roles.server.permissions import ACTOR, Permission, allows
from aen.roles.server.project.archives import COPY, IMPORT
from aen.roles.server.urls import Url
from aen.web.site import render

_SHOWN = 5


async def archive_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """Copying and exporting; and how far the copy or import is that makes this project."""
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    project = await domain.projects.get(actor, *_where(request))
    shown = {
        **context(request, project),
        "problem": problem,
        "new_name": form.raw("name", 200)[:100] if form else f"{project.name}-copy",
        "may_copy": allows(actor, Permission.LOOK, project),
        "may_export": project.role_of(actor.name) is not None or actor.admin,
        "jobs": await making(domain, project),
    }
    return render(request, "project/archive.html", shown, status=status)


async def making(domain: Domain, project: Project) -> list[Job]:
    """The copies and imports that made, or are making, this project."""
    jobs = await domain.jobs.of(project, 20)
    return [job for job in jobs if job.kind in (COPY, IMPORT) and job.payload.get("project") == project.id][:_SHOWN]


@again(archive_page)
async def copy(request: web.Request, form: Form) -> web.StreamResponse:
    project, _ = await request.config_dict[DOMAIN].archives.copy(
        request[ACTOR], *_where(request), form.text("name", 200)
    )
    return see_other(f"{address(project)}/archive")


async def export(request: web.Request) -> web.StreamResponse:
    name, chunks = await request.config_dict[DOMAIN].archives.export(request[ACTOR], *_where(request))
    return await send(request, name, chunks)


async def import_page(request: web.Request) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    person(request)
    shown = {
        "datacenters": domain.nodes.datacenters(),
        "most": domain.config.archives.import_megabytes << 20,
    }
    return render(request, "project/import.html", shown)


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


P = Permission
_ONE = "/{owner}/{project}"
URLS = [
    Url("GET", "/import", import_page, P.CREATE),
    Url("GET", f"{_ONE}/archive", archive_page, P.VIEW),
    Url("POST", f"{_ONE}/copy", copy, P.LOOK),
    Url("GET", f"{_ONE}/export", export, P.VIEW),
]
