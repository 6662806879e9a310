"""Pages, environments of a project: the list with what goes on, one with its packages and history, the forms that change them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from aiohttp import web

from aen.errors import AenError, Conflict, Invalid, NotFound, TimedOut, Unavailable
from aen.languages import N_, gettext, size
from aen.model import now
from aen.model.environment import LARGEST_FILE, Act, EnvironmentChange, EnvironmentList
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.api.environments import kind_of
from aen.roles.server.pages.forms import Form, again, asked_text, see_other
from aen.roles.server.pages.project.views import context
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_WORDS = {
    Act.STANDARD: N_("Making {name} with the standard packages"),
    Act.CREATE: N_("Making {name}"),
    Act.CLONE: N_("Copying to {name}"),
    Act.REMOVE: N_("Removing {name}"),
    Act.INSTALL: N_("Installing in {name}"),
    Act.UNINSTALL: N_("Removing packages from {name}"),
    Act.ROLL_BACK: N_("Taking {name} back"),
}
_WAYS = ("standard", "packages", "file", "copy")
_SHOWN_MS = 3_600_000  # so long the page shows a change that has ended
_LARGEST = LARGEST_FILE


async def list_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """All environments; when the node can't be asked, the page says so."""
    domain = request.config_dict[DOMAIN]
    project = await domain.projects.get(request[ACTOR], *_where(request))
    found, silent = EnvironmentList(), ""
    try:
        project, found = await domain.environments.list(request[ACTOR], *_where(request))
    except (Unavailable, TimedOut, Conflict) as error:
        silent = error.message
    fields = ("way", "name", "packages", "requirements", "source")
    shown = {
        **context(request, project),
        "environments": found.environments,
        "bytes": found.bytes,
        "silent": silent,
        "problem": problem,
        "form": {name: form.raw(name, _LARGEST)[:_LARGEST] if form else "" for name in fields},
        "change": _change(found),
    }
    return render(request, "project/environments.html", shown, status=status)


def _change(found: EnvironmentList) -> dict[str, Any] | None:
    if found.change is None or (found.change.state != "running" and now() - found.change.ended > _SHOWN_MS):
        return None
    title = gettext(_WORDS[found.change.act], name=found.change.name)
    return {**found.change.model_dump(), "title": title}


@again(list_page)
async def create(request: web.Request, form: Form) -> web.StreamResponse:
    way, name = form.text("way", 20) or "standard", form.text("name", 200)
    if way not in _WAYS:
        raise Invalid("Choose how the environment is made.")
    packages = split(form.text("packages", 20_000)) if way == "packages" else []
    requirements = await _file(request, form) if way == "file" else ""
    change = kind_of(name, form.text("source", 100) if way == "copy" else "", packages, requirements)
    if way == "packages":
        change.act = Act.CREATE  # no packages: Python, pip and ipykernel
    return await _begun(request, change)


@again(list_page)
async def activate(request: web.Request, form: Form) -> web.StreamResponse:
    await request.config_dict[DOMAIN].environments.activate(request[ACTOR], *_where(request), form.text("name", 100))
    return see_other(_list(request), "environment-active")


@again(list_page)
async def stop(request: web.Request, form: Form) -> web.StreamResponse:
    await request.config_dict[DOMAIN].environments.stop(request[ACTOR], *_where(request), form.text("id", 100))
    return see_other(_list(request))


@again(list_page)
async def change(request: web.Request, form: Form) -> web.StreamResponse:
    """Install, remove packages, remove, go back, add the kernel: by the button that was pressed."""
    name, act = request.match_info["environment"], form.text("act", 20)
    if act == "kernel":
        return await _begun(request, EnvironmentChange(act=Act.INSTALL, name=name, packages=["ipykernel"]))
    if act not in (Act.INSTALL, Act.UNINSTALL, Act.REMOVE, Act.ROLL_BACK):
        raise Invalid("There is nothing of that kind to do with an environment.")
    wanted = EnvironmentChange(act=Act(act), name=name, number=form.number("number", 0))
    wanted.packages = split(form.text("packages", 20_000))
    return await _begun(request, wanted)


async def _file(request: web.Request, form: Form) -> str:
    """The file that was chosen, else what was pasted. Raises Invalid."""
    chosen = (await request.post()).get("file")
    if not isinstance(chosen, web.FileField) or not chosen.filename:
        if not (pasted := form.raw("requirements", _LARGEST)).strip():
            raise Invalid("Choose a file, or paste what stands in it.")
        return pasted
    data = chosen.file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise Invalid(f"{chosen.filename[:80]} is too large: {size(_LARGEST)} are the most.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Invalid(f"{chosen.filename[:80]} is not a text file in UTF-8.") from None
    if not text.strip():
        raise Invalid(f"{chosen.filename[:80]} is empty.")
    return text


async def _begun(request: web.Request, change: EnvironmentChange) -> web.StreamResponse:
    await request.config_dict[DOMAIN].environments.change(request[ACTOR], *_where(request), change)
    return see_other(_list(request))


async def one_page(request: web.Request) -> web.StreamResponse:
    """Packages, history, exports; with `?number=`, how that moment differs from now."""
    domain = request.config_dict[DOMAIN]
    name = request.match_info["environment"]
    number = asked_text(request, "number", 6)
    try:
        project, found = await domain.environments.read(
            request[ACTOR], *_where(request), name, number=int(number) if number.isdecimal() else 0
        )
    except Conflict as error:  # it was never started, or there is no such environment (any more)
        return await list_page(request, problem=error.message, status=error.status)
    shown = {
        **context(request, project),
        "environment": found.environment,
        "packages": found.packages,
        "history": found.history,
        "number": int(number) if number.isdecimal() else 0,
        "differences": found.differences,
    }
    return render(request, "project/environment.html", shown)


async def export(request: web.Request) -> web.StreamResponse:
    """The file, under the name that installers look for."""
    domain, name = request.config_dict[DOMAIN], request.match_info["environment"]
    wanted = asked_text(request, "format", 20)
    try:
        _, found = await domain.environments.read(request[ACTOR], *_where(request), name, hashes=wanted == "hashes")
    except (NotFound, Invalid):
        raise
    except AenError as error:
        return await list_page(request, problem=error.message, status=error.status)
    file = "environment.yml" if wanted == "environment" else "requirements.txt"
    headers = {"Content-Disposition": f'attachment; filename="{file}"', "Cache-Control": "no-store"}
    return web.Response(text=found.yml if wanted == "environment" else found.lock, headers=headers)


def split(text: str) -> list[str]:
    """Packages as people write them: by lines, commas or blanks; `pandas >=2, <3` and `a[b, c]` stay together."""
    joined = re.sub(r"\s*(==|>=|<=|!=|~=|<|>|@)\s*", r"\1", text)
    joined = re.sub(r"\[[^\]]*\]", lambda found: re.sub(r"\s+", "", found[0]), joined)
    parts = re.split(r"\s*[\n;]+\s*|\s+|,(?![<>=!~]|[^\[]*\])", joined)
    return [part.strip(",") for part in parts if part.strip(",")]


def _list(request: web.Request) -> str:
    return "/" + "/".join(quote(part, safe="") for part in _where(request)) + "/environments"


def _where(request: web.Request) -> tuple[str, str]:
    return request.match_info["owner"], request.match_info["project"]


P = Permission
_ALL = "/{owner}/{project}/environments"
_ONE = f"{_ALL}/{{environment}}"
URLS = [
    Url("GET", _ALL, list_page, P.VIEW),
    Url("POST", _ALL, create, P.RUN),
    Url("POST", "/{owner}/{project}/environment", activate, P.RUN),
    Url("POST", "/{owner}/{project}/environment/stop", stop, P.RUN),
    Url("GET", _ONE, one_page, P.VIEW),
    Url("POST", _ONE, change, P.RUN),
    Url("GET", f"{_ONE}/export", export, P.VIEW),
]
