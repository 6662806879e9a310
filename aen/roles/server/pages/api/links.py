"""API, links: what of a project people without an account may look at: made, listed, ended."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from aen.model import Word
from aen.model.share import Share
from aen.roles.server.pages.api.api import PREFIX, Nothing, answer, asked, body, listed, part
from aen.roles.server.pages.api.views import PageOf
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url


class NewLink(Word):
    """What the link is to: a file or folder of the project, percent-encoded; and how many days it lives."""

    path: str = Field(max_length=3000)
    days: float = 7


class LinkView(Word):
    """A link. Times in ms since 1970; `opened` 0: not yet. `url` stands in the answer to its making alone."""

    id: str
    name: str
    user: str
    created: int
    expires: int
    opened: int
    url: str = ""


async def links(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return listed([_view(one) for one in await domain.shares.of_project(actor, *_where(request))])


async def make(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, NewLink)
    made, url = await domain.shares.create(actor, *_where(request), wanted.path, wanted.days)
    return answer(_view(made, url), 201)


async def end(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    await domain.shares.revoke(actor, *_where(request), part(request, "id"))
    return web.Response(status=204)


def _view(share: Share, url: str = "") -> LinkView:
    return LinkView(**share.model_dump(include=set(LinkView.model_fields)), url=url)


def _where(request: web.Request) -> tuple[str, str]:
    return part(request, "owner"), part(request, "name")


P = Permission
_LINKS = f"{PREFIX}/projects/{{owner}}/{{name}}/links"
URLS = [
    Url("GET", _LINKS, links, P.RUN, gives=PageOf[LinkView], summary="Links for people without an account"),
    Url("POST", _LINKS, make, P.RUN, NewLink, LinkView, 201, summary="Share a file or folder by a link"),
    Url("DELETE", f"{_LINKS}/{{id}}", end, P.CONTROL, status=204, summary="End a link"),
]
