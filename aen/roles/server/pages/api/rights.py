"""API, rights: what each person of a team may do with one file or folder of the project."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from aen.model import Word
from aen.model.rights import PathRights, RightsWish
from aen.roles.server.pages.api.api import PREFIX, answer, asked, body, part, query
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url


class PathQuery(Word):
    """A file or folder below the project, percent-encoded (names need not be UTF-8)."""

    path: str = Field(max_length=3000)


class NewRights(RightsWish):
    """What people are to have on a file or folder (`path` below the project, percent-encoded)."""

    path: str = Field(max_length=3000)


async def look(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    path = query(request, PathQuery).path
    return answer(await domain.projects.rights.look(actor, *_where(request), path))


async def set_rights(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wish = await body(request, NewRights)
    plain = RightsWish(**wish.model_dump(exclude={"path"}))
    return answer(await domain.projects.rights.set(actor, *_where(request), wish.path, plain))


def _where(request: web.Request) -> tuple[str, str]:
    return part(request, "owner"), part(request, "name")


_BASE = f"{PREFIX}/projects/{{owner}}/{{name}}/rights"
P = Permission
URLS = [
    Url("GET", _BASE, look, P.CONTROL, None, PathRights, 200, PathQuery, "What people may do with one file"),
    Url("PUT", _BASE, set_rights, P.CONTROL, NewRights, PathRights, summary="Set what people may do with one file"),
]
