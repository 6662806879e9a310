"""Pages, search: what is suggested while one types, the results, kept searches, and the way to a file that was found."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from aen.errors import Conflict, Invalid
from aen.languages import gettext as _
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import asked_text, page_links, read, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.search import LONGEST, Hit, Results
from aen.roles.server.urls import Url
from aen.web.site import render

_PAGE = 20


async def suggest(request: web.Request) -> web.StreamResponse:
    """The best few of each kind, for the box in the bar."""
    text = asked_text(request, "q", LONGEST)
    hits = await request.config_dict[DOMAIN].search.suggest(request[ACTOR], text)
    items = [{"kind": hit.kind, "title": hit.title, "detail": _detail(hit), "url": hit.address} for hit in hits]
    return web.json_response({"items": items}, headers={"Cache-Control": "no-store"})


def _detail(hit: Hit) -> str:
    if hit.kind == "tags":
        return _("{n} projects", n=hit.number) if hit.number != 1 else _("1 project")
    return hit.detail


async def results(request: web.Request) -> web.StreamResponse:
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    text, kind = asked_text(request, "q", LONGEST), asked_text(request, "kind", 20)
    found = Results(kind or "projects", [], {})
    if text:
        found = await domain.search.find(actor, text, kind, _PAGE, asked_text(request, "cursor", 10))
    shown = {
        "text": text,
        "found": found,
        "kind": kind,
        "saved": await domain.search.saved(actor),
        "tags": await domain.tags.counts(actor, limit=20) if not text else [],
        "files_on": domain.indexing.on,
        **page_links(request, found.next),
    }
    return render(request, "search/results.html", shown)


async def save(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    text, kind = form.text("q", LONGEST), form.text("kind", 20)
    await request.config_dict[DOMAIN].search.save(request[ACTOR], text, kind)
    return see_other(f"/search?q={quote(text)}&kind={quote(kind)}")


async def forget(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    await request.config_dict[DOMAIN].search.forget(request[ACTOR], form.text("id", 64))
    return see_other("/search" if form.text("back", 10) == "search" else "/")


async def file(request: web.Request) -> web.StreamResponse:
    """To a file that was found, as the Viewer shows it: the gateway starts that if need be."""
    domain = request.config_dict[DOMAIN]
    owner, name = request.match_info["owner"], request.match_info["project"]
    project = await domain.projects.allowed(request[ACTOR], owner, name, Permission.LOOK)
    path = request.query.get("path", "")
    if not path or path.startswith("/") or ".." in path.split("/") or "\0" in path or len(path) > 4096:
        raise Invalid("That is no path in a project.")
    gateway = next((one.gateway_url for one in domain.nodes.datacenters() if one.id == project.datacenter), "")
    if not gateway:
        raise Conflict("The gateway of this project's data center is not known yet: nothing can be opened there.")
    return see_other(f"{gateway}/{quote(project.slug)}/viewer/{quote(path)}")


P = Permission
URLS = [
    Url("GET", "/search", results, P.SIGNED_IN),
    Url("GET", "/search/suggest", suggest, P.SIGNED_IN),
    Url("POST", "/search/saved", save, P.ACCOUNT),
    Url("POST", "/search/saved/remove", forget, P.ACCOUNT),
    Url("GET", "/{owner}/{project}/file", file, P.VIEW),
]
