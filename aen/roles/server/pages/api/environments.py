"""API, environments of a project: shown, made, changed, taken back, exported."""

from __future__ import annotations

from typing import Literal

from aiohttp import web
from pydantic import Field

from aen.environments import specification
from aen.errors import Invalid
from aen.model import Word
from aen.model.environment import Act, ChangeReport, EnvironmentChange, EnvironmentDetail, EnvironmentInfo
from aen.roles.server.pages.api.api import PREFIX, Nothing, answer, asked, body, part, query
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url


class EnvironmentView(EnvironmentInfo):
    """One environment; `active`: kernels, terminals and PATH work in it."""

    active: bool = False


class EnvironmentsView(Word):
    """All environments; `bytes` counts every inode once; `change` goes on or ended last."""

    items: list[EnvironmentView]
    bytes: int
    active: str
    change: ChangeReport | None = None


class NewEnvironment(Word):
    """A new environment. `source` copies one; `packages` is a list; none of these: the standard packages.

    `requirements` is the text of a requirements file, a lock or an environment.yml, whose `name` counts when none is given.
    """

    name: str = ""
    source: str = ""
    packages: list[str] = Field(default_factory=list)
    requirements: str = ""


class PackagesChange(Word):
    """Packages to install (or the text of a requirements file, lock or environment.yml), or to remove."""

    install: list[str] = Field(default_factory=list)
    requirements: str = ""
    remove: list[str] = Field(default_factory=list)


class Moment(Word):
    """An entry of the history."""

    number: int = Field(ge=1)


class GoingOn(Word):
    """The id of the change that goes on."""

    change: str = Field(max_length=100)


class Chosen(Word):
    """The environment that becomes active."""

    name: str


class DetailQuery(Word):
    """`number`: also how that entry of the history differs from now."""

    number: int = Field(0, ge=0)


class ExportQuery(Word):
    """requirements: pins; hashes: pins with hashes, as the package index tells them; environment: environment.yml."""

    format: Literal["requirements", "hashes", "environment"] = "requirements"


def _where(request: web.Request) -> tuple[str, str]:
    return part(request, "owner"), part(request, "name")


async def _change(request: web.Request, change: EnvironmentChange) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(await domain.environments.change(actor, *_where(request), change), 202)


async def environments(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    project, found = await domain.environments.list(actor, *_where(request))
    items = [EnvironmentView(**one.model_dump(), active=one.name == project.environment) for one in found.environments]
    return answer(EnvironmentsView(items=items, bytes=found.bytes, active=project.environment, change=found.change))


def kind_of(name: str, source: str, packages: list[str], requirements: str) -> EnvironmentChange:
    """The change that makes a new environment of what was given. Raises Invalid when two ways were given."""
    given = [bool(source), bool(packages), bool(requirements.strip())]
    if sum(given) > 1:
        raise Invalid("A new environment is a copy, or made from packages, or from a requirements file: give one.")
    name = name or specification.name_in(requirements)
    act = Act.CLONE if source else Act.CREATE if any(given) else Act.STANDARD
    return EnvironmentChange(act=act, name=name, source=source, packages=packages, requirements=requirements)


async def create(request: web.Request) -> web.StreamResponse:
    new = await body(request, NewEnvironment)
    return await _change(request, kind_of(new.name, new.source, new.packages, new.requirements))


async def environment(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    number = query(request, DetailQuery).number
    _, found = await domain.environments.read(actor, *_where(request), part(request, "environment"), number=number)
    return answer(found)


async def remove(request: web.Request) -> web.StreamResponse:
    await body(request, Nothing)
    return await _change(request, EnvironmentChange(act=Act.REMOVE, name=part(request, "environment")))


async def packages(request: web.Request) -> web.StreamResponse:
    wanted = await body(request, PackagesChange)
    if wanted.remove and (wanted.install or wanted.requirements):
        raise Invalid("Install or remove, one after the other: each is a change of its own.")
    act = Act.UNINSTALL if wanted.remove else Act.INSTALL
    named = wanted.remove or wanted.install
    name = part(request, "environment")
    change = EnvironmentChange(act=act, name=name, packages=named, requirements=wanted.requirements)
    return await _change(request, change)


async def roll_back(request: web.Request) -> web.StreamResponse:
    number = (await body(request, Moment)).number
    change = EnvironmentChange(act=Act.ROLL_BACK, name=part(request, "environment"), number=number)
    return await _change(request, change)


async def stop(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    change = (await body(request, GoingOn)).change
    return answer(await domain.environments.stop(actor, *_where(request), change))


async def activate(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    chosen = await body(request, Chosen)
    project = await domain.environments.activate(actor, *_where(request), chosen.name)
    return answer(Chosen(name=project.environment))


async def export(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted, name = query(request, ExportQuery).format, part(request, "environment")
    _, found = await domain.environments.read(actor, *_where(request), name, hashes=wanted == "hashes")
    file = "environment.yml" if wanted == "environment" else "requirements.txt"
    headers = {"Content-Disposition": f'attachment; filename="{file}"', "Cache-Control": "no-store"}
    return web.Response(text=found.yml if wanted == "environment" else found.lock, headers=headers)


P = Permission
_ALL = f"{PREFIX}/projects/{{owner}}/{{name}}/environments"
_ONE = f"{_ALL}/{{environment}}"
_ACTIVE = f"{PREFIX}/projects/{{owner}}/{{name}}/environment"
URLS = [
    Url("GET", _ALL, environments, P.VIEW, gives=EnvironmentsView, summary="Environments"),
    Url("POST", _ALL, create, P.RUN, NewEnvironment, ChangeReport, 202, summary="Make an environment"),
    Url("POST", f"{_ALL}/stop", stop, P.RUN, GoingOn, ChangeReport, summary="End a change that goes on"),
    Url("PUT", _ACTIVE, activate, P.RUN, Chosen, Chosen, summary="Choose the active environment"),
    Url("GET", _ONE, environment, P.VIEW, None, EnvironmentDetail, 200, DetailQuery, "One in full, with its history"),
    Url("DELETE", _ONE, remove, P.RUN, None, ChangeReport, 202, summary="Remove an environment"),
    Url("POST", f"{_ONE}/packages", packages, P.RUN, PackagesChange, ChangeReport, 202, summary="Install or remove"),
    Url("POST", f"{_ONE}/roll-back", roll_back, P.RUN, Moment, ChangeReport, 202, summary="Go back in its history"),
    Url("GET", f"{_ONE}/export", export, P.VIEW, None, None, 200, ExportQuery, "requirements.txt or environment.yml"),
]
