"""API, publications: notebooks, files and folders of a project as fixed pages at a stable address."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from aen.model import Word
from aen.model.publication import Audience, Publication
from aen.roles.server.pages.api.api import PREFIX, Nothing, answer, asked, body, listed, nothing, part
from aen.roles.server.pages.api.views import PageOf
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url


class About(Word):
    """What it is called, and whom it is for: team, signed_in or public."""

    title: str = Field("", max_length=200)
    description: str = Field("", max_length=2000)
    audience: Audience = Audience.TEAM


class NewPublication(About):
    """What is published: a notebook, Markdown or HTML file, or a folder; percent-encoded."""

    path: str = Field(max_length=3000)


class PublicationView(Word):
    """A publication. Times in ms since 1970; `version` 0: none is ready yet; `url` never changes."""

    id: str
    user: str
    path: str
    title: str
    description: str
    audience: Audience
    state: str
    reason: str
    views: int
    created: int
    version: int
    versions: list[int]
    url: str


def _where(request: web.Request) -> tuple[str, str]:
    return part(request, "owner"), part(request, "name")


def _view(request: web.Request, found: Publication) -> PublicationView:
    domain, _ = asked(request)
    names = set(PublicationView.model_fields) - {"version", "versions", "url"}
    numbers = [one.number for one in found.versions]
    return PublicationView(
        **found.model_dump(include=names),
        version=numbers[-1] if numbers else 0,
        versions=numbers,
        url=f"{domain.config.server.url}/published/{found.id}",
    )


async def publications(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    _, found = await domain.publications.of_project(actor, *_where(request))
    return listed([_view(request, one) for one in found])


async def publish(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    new = await body(request, NewPublication)
    made = await domain.publications.publish(
        actor, *_where(request), new.path, new.title, new.description, new.audience
    )
    return answer(_view(request, made), 202)


async def again(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return answer(_view(request, await domain.publications.again(actor, *_where(request), part(request, "id"))), 202)


async def describe(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    new = await body(request, About)
    changed = await domain.publications.describe(
        actor, *_where(request), part(request, "id"), new.title, new.description, new.audience
    )
    return answer(_view(request, changed))


async def withdraw(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    await domain.publications.withdraw(actor, *_where(request), part(request, "id"))
    return nothing()


P = Permission
_ALL = f"{PREFIX}/projects/{{owner}}/{{name}}/publications"
_ONE = f"{_ALL}/{{id}}"
URLS = [
    Url("GET", _ALL, publications, P.VIEW, gives=PageOf[PublicationView], summary="What is published from a project"),
    Url("POST", _ALL, publish, P.RUN, NewPublication, PublicationView, 202, summary="Publish a file or folder"),
    Url("POST", f"{_ONE}/versions", again, P.RUN, Nothing, PublicationView, 202, summary="Publish a new version"),
    Url("PUT", _ONE, describe, P.RUN, About, PublicationView, summary="Change its words, and whom it is for"),
    Url("DELETE", _ONE, withdraw, P.RUN, status=204, summary="Withdraw it"),
]
