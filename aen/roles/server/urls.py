"""URLs: one table of everything the server answers: method, path, handler, permission."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module

from aiohttp import web
from pydantic import BaseModel

from aen.roles.server.permissions import ACTOR, Permission, check

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Modules of `pages/`, each with a list `URLS`.
PAGES = (
    "account.account",
    "search",
    "project.archives",
    "project.teamlinks",
    "project.project",
    "admin.overview",
    "admin.settings",
    "admin.doctor",
    "admin.faults",
    "admin.mail",
    "admin.work",
    "admin.reports",
    "admin.security",
    "admin.acting",
    "account.pictures",
    "account.notices",
    "api.admin",
    "api.mail",
    "api.account",
    "api.people",
    "api.projects",
    "api.search",
    "api.environments",
    "api.revisions",
    "api.schedules",
    "api.dashboards",
    "api.publications",
    "api.links",
    "api.rights",
    "api.sessions",
    "api.nodes",
    "api.system",
)


@dataclass(frozen=True)
class Url:
    """One line of the table.

    `permission` is checked before the handler as far as it is not about a project (signed in, administrator, token scope);
    the domain's verbs check the project's part. `takes`, `gives`, `status`, `query` and `summary` are for the API's description.
    """

    method: str
    path: str
    handler: Handler
    permission: Permission
    takes: type[BaseModel] | None = None
    gives: type[BaseModel] | None = None
    status: int = 200
    query: type[BaseModel] | None = None
    summary: str = ""


def table() -> list[Url]:
    """Every URL, in the order of `PAGES`."""
    urls: list[Url] = []
    for page in PAGES:
        urls.extend(import_module(f"aen.roles.server.pages.{page}").URLS)
    return urls


def add_routes(app: web.Application, urls: list[Url] | None = None) -> None:
    """Add every URL of the table to `app`, each behind its permission."""
    for url in table() if urls is None else urls:
        app.router.add_route(url.method, url.path, _guarded(url))


def _guarded(url: Url) -> Handler:
    @wraps(url.handler)
    async def handler(request: web.Request) -> web.StreamResponse:
        check(request[ACTOR], url.permission)
        return await url.handler(request)

    return handler
