"""API, what people see of each other: pictures, and who of a team is here now."""

from __future__ import annotations

import base64

from aiohttp import web
from pydantic import Field

from aen.errors import Invalid
from aen.model import Word
from aen.roles.server.account.png import LARGEST
from aen.roles.server.pages.account.pictures import picture_answer
from aen.roles.server.pages.api.api import PREFIX, asked, body, listed, nothing, part
from aen.roles.server.pages.api.views import PageOf
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url


class NewPicture(Word):
    """A picture to show oneself by: a PNG of at most 512 by 512 pixels and 400 KB, in Base64. Only its pixels are kept."""

    png: str = Field(min_length=1, max_length=LARGEST * 2)


class HereView(Word):
    """Somebody of a team who is here now: `page`: with a page of the project open; `app`: at work in it (its title)."""

    user: str
    page: bool
    app: str = ""


async def picture(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return picture_answer(await domain.pictures.get(actor, part(request, "user")), lasting=False)


async def choose(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, NewPicture)
    try:
        data = base64.b64decode(wanted.png, validate=True)
    except ValueError:
        raise Invalid("`png` is not Base64.") from None
    await domain.pictures.set(actor, data)
    return nothing()


async def remove(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await domain.pictures.remove(actor)
    return nothing()


async def here(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    found = await domain.presence.here(actor, part(request, "owner"), part(request, "name"))
    return listed([HereView(**vars(one)) for one in found])


P = Permission
_HERE = f"{PREFIX}/projects/{{owner}}/{{name}}/here"
URLS = [
    Url("GET", f"{PREFIX}/users/{{user}}/picture", picture, P.SIGNED_IN, summary="Somebody's picture (PNG)"),
    Url("PUT", f"{PREFIX}/me/picture", choose, P.ACCOUNT, NewPicture, status=204, summary="Show oneself by a picture"),
    Url("DELETE", f"{PREFIX}/me/picture", remove, P.ACCOUNT, status=204, summary="Show oneself by initials again"),
    Url("GET", _HERE, here, P.VIEW, gives=PageOf[HereView], summary="Who of the team is here now"),
]
