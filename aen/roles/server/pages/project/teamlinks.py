"""Pages and API, team links: made and withdrawn on the Team page, looked at and followed by who has one."""

from __future__ import annotations

from typing import Literal

from aiohttp import web
from pydantic import Field

from aen.errors import Invalid
from aen.model import Word
from aen.model.teamlink import TeamLink
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.api.api import PREFIX, answer, asked, body, listed, nothing, part
from aen.roles.server.pages.api.views import PageOf
from aen.roles.server.pages.forms import person, read, see_other
from aen.roles.server.pages.project.views import address, context
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render


class NewTeamLink(Word):
    """As what people join, and for how long the link is good."""

    role: Literal["viewer", "member"] = "member"
    days: float = Field(7, gt=0, le=30)


class TeamLinkView(Word):
    """An invitation by link. `url` is told once, when it is made."""

    id: str
    role: str
    created_by: str
    created: int
    expires: int
    used: int
    url: str = ""


def _view(link: TeamLink, url: str = "") -> TeamLinkView:
    told = link.model_dump(mode="json", include={"id", "role", "created_by", "created", "expires", "used"})
    return TeamLinkView(**told, url=url)


def _url(request: web.Request, code: str) -> str:
    return f"{request.config_dict[DOMAIN].config.server.url}/join/{code}"


async def links_page(request: web.Request, made: str = "") -> web.StreamResponse:
    domain, where = request.config_dict[DOMAIN], _where(request)
    links = await domain.teamlinks.open_ones(request[ACTOR], *where)
    project = await domain.projects.get(request[ACTOR], *where)
    shown = {**context(request, project), "links": links, "made": made}
    return render(request, "project/invite.html", shown)


async def make(request: web.Request) -> web.StreamResponse:
    """Make one. The link is on the answer itself: it is told once, and stands in no address."""
    form = await read(request)
    days = form.text("days", 4) or "7"
    if not days.isdecimal():
        raise Invalid("For how many days? Give a whole number.")
    role: Literal["viewer", "member"] = "viewer" if form.text("role", 20) == "viewer" else "member"
    _, code = await request.config_dict[DOMAIN].teamlinks.create(
        request[ACTOR],
        *_where(request),
        role,
        float(days),
    )
    return await links_page(request, _url(request, code))


async def withdraw(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    owner, name = _where(request)
    await request.config_dict[DOMAIN].teamlinks.withdraw(request[ACTOR], owner, name, form.text("id", 64))
    return see_other(f"/{owner}/{name}/settings/invite", "invitation-withdrawn")


async def join_page(request: web.Request) -> web.StreamResponse:
    person(request)
    code = request.match_info["code"]
    link, project = await request.config_dict[DOMAIN].teamlinks.look(request[ACTOR], code)
    return render(request, "project/join.html", {"link": link, "project": project, "code": code})


async def join(request: web.Request) -> web.StreamResponse:
    await read(request)
    project = await request.config_dict[DOMAIN].teamlinks.join(request[ACTOR], request.match_info["code"])
    return see_other(address(project))


async def api_list(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    found = await domain.teamlinks.open_ones(actor, part(request, "owner"), part(request, "name"))
    return listed([_view(link) for link in found])


async def api_make(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    new = await body(request, NewTeamLink)
    link, code = await domain.teamlinks.create(actor, part(request, "owner"), part(request, "name"), new.role, new.days)
    return answer(_view(link, _url(request, code)), 201)


async def api_withdraw(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await domain.teamlinks.withdraw(actor, part(request, "owner"), part(request, "name"), part(request, "id"))
    return nothing()


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


P = Permission
_ONE = "/{owner}/{project}/settings/invite"
_API = f"{PREFIX}/projects/{{owner}}/{{name}}/invitations"
URLS = [
    Url("GET", _ONE, links_page, P.TEAM),
    Url("POST", _ONE, make, P.TEAM),
    Url("POST", f"{_ONE}/withdraw", withdraw, P.TEAM),
    Url("GET", "/join/{code}", join_page, P.SIGNED_IN),
    Url("POST", "/join/{code}", join, P.ACCOUNT),
    Url("GET", _API, api_list, P.TEAM, gives=PageOf[TeamLinkView], summary="Invitations into the team by link"),
    Url("POST", _API, api_make, P.TEAM, NewTeamLink, TeamLinkView, 201, summary="Invite into the team by a link"),
    Url("DELETE", f"{_API}/{{id}}", api_withdraw, P.TEAM, status=204, summary="Withdraw an invitation by link"),
]
