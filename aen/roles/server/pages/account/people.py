"""Pages, people: the directory, one person's public page, and suggestions for fields that take a name."""

from __future__ import annotations

from aiohttp import web

from aen.roles.server.account import directory
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import asked_text, page_links
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_PAGE = 50


async def people_page(request: web.Request) -> web.StreamResponse:
    domain, search = request.config_dict[DOMAIN], asked_text(request, "q", 100)
    found, cursor = await directory.people(domain, request[ACTOR], search, _PAGE, asked_text(request, "cursor", 500))
    return render(request, "account/people.html", {"people": found, "search": search, **page_links(request, cursor)})


async def person_page(request: web.Request) -> web.StreamResponse:
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    person = await directory.person(domain, actor, request.match_info["name"])
    projects = await directory.projects_of(domain, actor, person.id)
    published = await domain.publications.of_person(actor, person.id, person.created)
    return render(request, "account/person.html", {"person": person, "projects": projects, "publications": published})


async def suggest(request: web.Request) -> web.StreamResponse:
    """The first people whose names fit what is being typed."""
    found, _ = await directory.people(
        request.config_dict[DOMAIN], request[ACTOR], asked_text(request, "q", 64) or "", 8
    )
    items = [{"name": person.id, "full_name": person.full_name} for person in found]
    return web.json_response({"items": items}, headers={"Cache-Control": "no-store"})


P = Permission
URLS = [
    Url("GET", "/people", people_page, P.SIGNED_IN),
    Url("GET", "/people/suggest", suggest, P.SIGNED_IN),
    Url("GET", "/people/{name}", person_page, P.SIGNED_IN),
]
