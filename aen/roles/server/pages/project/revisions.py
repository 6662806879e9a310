"""Pages, revisions: what changed, committing it, history, what a revision changed, going back, remotes, the key for git."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from aen.errors import AenError, Conflict, NotFound, TimedOut, Unavailable
from aen.model import now
from aen.model.revision import Differences, GitKey, RevisionPage, RevisionStatus, readable
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, asked_text, see_other
from aen.roles.server.pages.project.views import address, context
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_LONGEST = 3000
_SHOWN_MS = 600_000  # so long the page shows what was done with a remote


async def page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """How the folder stands, the form to commit, remotes, history. When the node can't be asked, the page says so."""
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    project = await domain.projects.allowed(actor, *_where(request), Permission.LOOK)
    folder = _folder(request, form)
    shown: dict[str, Any] = {
        **context(request, project),
        "folder": folder,
        "status": RevisionStatus(),
        "history": RevisionPage(),
        "key": GitKey(),
        "job": None,
        "silent": "",
        "problem": problem,
        "form": {name: form.raw(name, 20_000) if form else "" for name in ("message", "url")},
        "chosen": set(form.all("files")) if form else None,
        "skip": _number(request),
        "path_of": asked_text(request, "path", _LONGEST),
        "readable": readable,
    }
    try:
        if project.placed:
            shown |= await _found(request, folder, shown["skip"], shown["path_of"])
    except (Unavailable, TimedOut, Conflict) as error:
        shown["silent"] = error.message
    return render(request, "project/revisions.html", shown, status=status)


async def _found(request: web.Request, folder: str, skip: int, path: str) -> dict[str, Any]:
    domain, actor, where = request.config_dict[DOMAIN], request[ACTOR], _where(request)
    _, status = await domain.revisions.status(actor, *where, folder)
    found: dict[str, Any] = {"status": status}
    if status.repository and status.head:
        found["history"] = await domain.revisions.history(actor, *where, folder, skip, path)
    job, found["key"] = await asyncio.gather(
        domain.revisions.under_way(actor, *where), domain.revisions.key(actor, *where)
    )
    if job is not None and (job.state == "running" or now() - job.ended < _SHOWN_MS):
        found["job"] = job
    return found


async def differences_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """What one revision changed, or (`now`) what is not committed."""
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    project = await domain.projects.allowed(actor, *_where(request), Permission.LOOK)
    revision, folder, path = (
        request.match_info["revision"],
        _folder(request, form),
        asked_text(request, "path", _LONGEST),
    )
    found = Differences()
    try:
        if revision == "now":
            _, found = await domain.revisions.compare(actor, *_where(request), folder, path)
        else:
            _, found = await domain.revisions.show(actor, *_where(request), revision, folder, path)
    except NotFound:
        raise
    except AenError as error:
        problem, status = problem or error.message, error.status if status == 200 else status
    shown = {
        **context(request, project),
        "folder": folder,
        "found": found,
        "revision": revision,
        "one": path,
        "problem": problem,
        "readable": readable,
    }
    return render(request, "project/revision.html", shown, status=status)


@again(page)
async def act(request: web.Request, form: Form) -> web.StreamResponse:
    """By the button that was pressed: begin, commit, remote, clone, fetch, pull, push, key."""
    revisions, actor, where = request.config_dict[DOMAIN].revisions, request[ACTOR], _where(request)
    wanted, folder = form.text("act", 20), _folder(request, form)
    if wanted == "commit":
        await revisions.commit(actor, *where, form.raw("message", 20_000), form.all("files"), folder)
    elif wanted == "begin":
        await revisions.begin_here(actor, *where, folder)
    elif wanted == "remote":
        await revisions.set_remote(actor, *where, form.text("url", 1000), folder)
    elif wanted == "key":
        await revisions.key(actor, *where, make=True)
    else:
        inside = quote(form.text("into", 500), safe="/") if wanted == "clone" else folder
        await revisions.talk(actor, *where, wanted, inside, form.text("url", 1000))
        folder = inside if wanted == "clone" else folder
    return await _back(request, folder, "committed" if wanted == "commit" else "")


@again(differences_page)
async def restore(request: web.Request, form: Form) -> web.StreamResponse:
    """The file, or all, as it was then."""
    revisions, folder = request.config_dict[DOMAIN].revisions, _folder(request, form)
    path, keep = form.text("path", _LONGEST), form.has("keep")
    await revisions.restore(request[ACTOR], *_where(request), request.match_info["revision"], path, folder, keep=keep)
    return await _back(request, folder, "restored")


async def _back(request: web.Request, folder: str, done: str = "") -> web.StreamResponse:
    project = await request.config_dict[DOMAIN].projects.get(request[ACTOR], *_where(request))
    query = f"?{urlencode({'folder': folder})}" if folder else ""
    return see_other(f"{address(project)}/revisions{query}", done)


def _folder(request: web.Request, form: Form | None) -> str:
    return form.text("folder", _LONGEST) if form and form.has("folder") else asked_text(request, "folder", _LONGEST)


def _number(request: web.Request) -> int:
    text = asked_text(request, "skip", 7)
    return int(text) if text.isdecimal() else 0


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


P = Permission
_ALL = "/{owner}/{project}/revisions"
URLS = [
    Url("GET", _ALL, page, P.LOOK),
    Url("POST", _ALL, act, P.RUN),
    Url("GET", f"{_ALL}/{{revision}}", differences_page, P.LOOK),
    Url("POST", f"{_ALL}/{{revision}}", restore, P.RUN),
]
