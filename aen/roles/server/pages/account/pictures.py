"""Pages, pictures: one's own, chosen and taken away; and everybody's, as PNG."""

from __future__ import annotations

from aiohttp import web

from aen.errors import Invalid
from aen.roles.server.account.png import LARGEST
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.account.settings import profile_page
from aen.roles.server.pages.forms import Form, again, read, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url


@again(profile_page)
async def choose(request: web.Request, form: Form) -> web.StreamResponse:
    chosen = (await request.post()).get("picture")
    if not isinstance(chosen, web.FileField) or not chosen.filename:
        raise Invalid("Choose a picture first.")
    await request.config_dict[DOMAIN].pictures.set(request[ACTOR], chosen.file.read(LARGEST + 1))
    return see_other("/account", "saved")


async def remove(request: web.Request) -> web.StreamResponse:
    await read(request)
    await request.config_dict[DOMAIN].pictures.remove(request[ACTOR])
    return see_other("/account", "saved")


async def picture(request: web.Request) -> web.StreamResponse:
    """A PNG and nothing else, whatever it holds: it is never a page."""
    data = await request.config_dict[DOMAIN].pictures.get(request[ACTOR], request.match_info["name"])
    return picture_answer(data, lasting=bool(request.query.get("v")))


def picture_answer(data: bytes, *, lasting: bool) -> web.Response:
    """A picture; `lasting`: its address is another one when it changes."""
    headers = {
        "Cache-Control": "private, max-age=604800, immutable" if lasting else "private, no-cache",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return web.Response(body=data, content_type="image/png", headers=headers)


P = Permission
URLS = [
    Url("POST", "/account/picture", choose, P.ACCOUNT),
    Url("POST", "/account/picture/remove", remove, P.ACCOUNT),
    Url("GET", "/avatar/{name}", picture, P.SIGNED_IN),
]
