"""Pages, admin: exceptions: what went wrong inside AEN, grouped, until it is read."""

from __future__ import annotations

from aiohttp import web

from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import asked_text, page_links, read, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_PAGE = 50
_WHERE = "/admin/exceptions"


async def faults(request: web.Request) -> web.StreamResponse:
    unread, text = asked_text(request, "show", 10) == "unread", asked_text(request, "q", 100)
    found, cursor = await request.config_dict[DOMAIN].faults.list(
        request[ACTOR], _PAGE, asked_text(request, "cursor", 500), unread, text
    )
    return render(
        request,
        "admin/exceptions.html",
        {"faults": found, "only_unread": unread, "search": text, **page_links(request, cursor)},
    )


async def mark_read(request: web.Request) -> web.StreamResponse:
    id = (await read(request)).text("id", 16)
    await request.config_dict[DOMAIN].faults.mark_read(request[ACTOR], id)
    return see_other(_WHERE, "faults-read")


S = Permission.STAFF
URLS = [Url("GET", _WHERE, faults, S), Url("POST", f"{_WHERE}/read", mark_read, S)]
