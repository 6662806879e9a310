"""Pages, publications: of a project, made, renewed, withdrawn; and what is published, shown where it can do nothing."""

from __future__ import annotations

from urllib.parse import quote, unquote

from aiohttp import web

from aen.errors import Invalid, NotFound
from aen.model.publication import Audience, Publication, Version
from aen.model.revision import readable
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, asked_text, see_other
from aen.roles.server.pages.frame import called
from aen.roles.server.pages.project.views import address, context
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_LONGEST = 3000
#: No script, no form, nothing from elsewhere, and an origin of its own: nothing in it can act or read with anybody's login.
_POLICY = (
    "sandbox allow-popups allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)


async def list_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """What is published from a project, and the form for more."""
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    project, found = await domain.publications.of_project(actor, *_where(request))
    shown = {
        **context(request, project),
        **await called(request, (one.user for one in found)),
        "problem": problem,
        "publications": found,
        "form": {name: form.raw(name, _LONGEST) if form else "" for name in ("title", "description", "audience")},
        "file": form.raw("path", _LONGEST) if form else unquote(asked_text(request, "file", _LONGEST)),
        "open_to_anyone": domain.config.sharing.links,
        "server_url": domain.config.server.url,
        "readable": readable,
    }
    return render(request, "project/publications.html", shown, status=status)


@again(list_page)
async def publish(request: web.Request, form: Form) -> web.StreamResponse:
    """A new one."""
    domain = request.config_dict[DOMAIN]
    path = quote(form.text("path", _LONGEST), safe="/")
    await domain.publications.publish(
        request[ACTOR], *_where(request), path, form.text("title"), form.text("description", 5000), _audience(form)
    )
    return await _back(request)


@again(list_page)
async def act(request: web.Request, form: Form) -> web.StreamResponse:
    """By the button that was pressed: a new version, other words or readers, withdrawn."""
    publications, where = request.config_dict[DOMAIN].publications, _where(request)
    id, wanted = request.match_info["id"], form.text("act", 20)
    if wanted == "again":
        await publications.again(request[ACTOR], *where, id)
    elif wanted == "describe":
        await publications.describe(
            request[ACTOR], *where, id, form.text("title"), form.text("description", 5000), _audience(form)
        )
    elif wanted == "withdraw":
        await publications.withdraw(request[ACTOR], *where, id)
    else:
        raise Invalid("There is nothing of that kind to do with a publication.")
    return await _back(request)


def _audience(form: Form) -> Audience:
    try:
        return Audience(form.text("audience", 20) or Audience.TEAM)
    except ValueError:
        raise Invalid("Choose who may look at it.") from None


async def _back(request: web.Request) -> web.StreamResponse:
    project = await request.config_dict[DOMAIN].projects.get(request[ACTOR], *_where(request))
    return see_other(f"{address(project)}/published")


# ── what is published ───────────────────────────────────────────────────────────────────────────────


async def shown_page(request: web.Request) -> web.StreamResponse:
    """The newest version, or the one that is named; a file of it in a frame that can do nothing."""
    publications, actor = request.config_dict[DOMAIN].publications, request[ACTOR]
    publication, project = await publications.get(actor, request.match_info["id"])
    version = _version(publication, request.match_info.get("number", ""))
    path = request.match_info.get("path", "")
    wire = quote(path, safe="/")
    files = [file.path for file in version.files] if version else []
    if version is not None and wire not in files:
        if path:
            raise NotFound("There is no such page in this publication.")
        wire = _first(files)
    publications.seen(publication.id)
    shown = {
        **await called(request, (publication.user,) if actor.known else ()),
        "publication": publication,
        "project": project,
        "edition": version,
        "files": files,
        "file": wire,
        "readable": readable,
        "may_see": actor.known,
    }
    return render(request, "project/published.html", shown)


async def content(request: web.Request) -> web.StreamResponse:
    """The page itself. Only into our frame: when somebody opens it by a link, they are led to the page around it."""
    id, number, path = (request.match_info[name] for name in ("id", "number", "path"))
    if request.headers.get("Sec-Fetch-Dest") == "document":
        return see_other(f"/published/{id}/v/{number}/{quote(path, safe='/')}")
    publications = request.config_dict[DOMAIN].publications
    numbered = int(number) if number.isdecimal() and len(number) < 10 else -1
    text = await publications.page(request[ACTOR], id, numbered, quote(path, safe="/"))
    headers = {
        "Content-Security-Policy": _POLICY,
        "X-Frame-Options": "SAMEORIGIN",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "private, no-store",
    }
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=headers)


def _version(publication: Publication, number: str) -> Version | None:
    """The version that is asked for. NotFound."""
    if not number:
        return publication.version
    found = next((one for one in publication.versions if str(one.number) == number), None)
    if found is None:
        raise NotFound("There is no such version (any more).")
    return found


def _first(files: list[str]) -> str:
    """What a folder begins with."""
    for name in ("index.html", "README.md", "index.md", "index.ipynb"):
        if name in files:
            return name
    return files[0] if files else ""


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


P = Permission
_ALL = "/{owner}/{project}/published"
_SHOWN = "/published/{id}"
_NUMBER = "{number}"
URLS = [
    Url("GET", _SHOWN, shown_page, P.ANYBODY),
    Url("GET", f"{_SHOWN}/v/{_NUMBER}/content/{{path:.+}}", content, P.ANYBODY),
    Url("GET", f"{_SHOWN}/v/{_NUMBER}", shown_page, P.ANYBODY),
    Url("GET", f"{_SHOWN}/v/{_NUMBER}/{{path:.*}}", shown_page, P.ANYBODY),
    Url("GET", _ALL, list_page, P.VIEW),
    Url("POST", _ALL, publish, P.RUN),
    Url("POST", f"{_ALL}/{{id}}", act, P.RUN),
]
