"""Pages, acting: an administrator begins to act as somebody else, and ends it."""

from __future__ import annotations

from aiohttp import web

from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.admin import users
from aen.roles.server.pages.forms import Form, again, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web import logins


@again(users.user_page)
async def begin(request: web.Request, form: Form) -> web.StreamResponse:
    """The browser's cookie becomes that of the login as the other; one's own login stays behind it."""
    agent = request.headers.get("User-Agent", "")
    acting = request.config_dict[DOMAIN].acting
    name, reason = request.match_info["name"], form.text("reason", 400)
    login = await acting.begin_as(request[ACTOR], name, reason, request.remote or "", agent)
    await logins.remember(request, login.id)
    return see_other("/")


async def end(request: web.Request) -> web.StreamResponse:
    actor = request[ACTOR]
    back = await request.config_dict[DOMAIN].acting.end(actor)
    if not back:
        await logins.forget(request)
        return see_other("/login")
    await logins.remember(request, back)
    return see_other(f"/admin/users/{actor.name}", "acting-ended")


URLS = [
    Url("POST", "/admin/users/{name}/act", begin, Permission.ADMIN),
    Url("POST", "/acting/end", end, Permission.SIGNED_IN),
]
