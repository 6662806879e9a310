"""Pages, links: files and folders of a project that people without an account may look at: made, listed, ended."""

from __future__ import annotations

from urllib.parse import quote, unquote

from aiohttp import web

from aen.errors import Invalid
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, asked_text, see_other
from aen.roles.server.pages.project.views import address, context
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_DAYS = (1, 7, 30, 90, 365)
_LONGEST = 3000


async def links_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None, made: str = ""
) -> web.StreamResponse:
    """The links there are. `made`: the address of a new one, which is shown this once."""
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    project = await domain.projects.allowed(actor, *_where(request), Permission.RUN)
    options = domain.config.sharing
    shown = {
        **context(request, project),
        "problem": problem,
        "made": made,
        "links": await domain.shares.of_project(actor, *_where(request)),
        "on": options.links,
        "days": [days for days in _DAYS if days <= options.link_days] or [options.link_days],
        "file": form.raw("path", _LONGEST) if form and not made else unquote(asked_text(request, "file", _LONGEST)),
    }
    return render(request, "project/links.html", shown, status=status)


@again(links_page)
async def make(request: web.Request, form: Form) -> web.StreamResponse:
    days = form.text("days", 10)
    if not days.isdecimal():
        raise Invalid("For how many days? Give a number.")
    path = quote(form.text("path", _LONGEST))  # as somebody typed it: a percent sign is one
    _, made = await request.config_dict[DOMAIN].shares.create(request[ACTOR], *_where(request), path, float(days))
    return await links_page(request, form=form, made=made)


@again(links_page)
async def end(request: web.Request, form: Form) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    await domain.shares.revoke(request[ACTOR], *_where(request), form.text("id", 100))
    project = await domain.projects.get(request[ACTOR], *_where(request))
    return see_other(f"{address(project)}/settings/links", "link-ended")


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


P = Permission
_BASE = "/{owner}/{project}/settings/links"
URLS = [
    Url("GET", _BASE, links_page, P.RUN),
    Url("POST", _BASE, make, P.RUN),
    Url("POST", f"{_BASE}/end", end, P.CONTROL),
]
