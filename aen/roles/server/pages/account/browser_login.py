"""Browser login: makes a login for a person who proved who they are, and gives this browser its cookie."""

from __future__ import annotations

from aiohttp import web

from aen.model.user import Login, LoginKind
from aen.roles.server.domain import DOMAIN
from aen.roles.server.permissions import ACTOR
from aen.web import logins


async def sign_in(request: web.Request, name: str, password: str) -> bool:
    """Make a login and set its cookie; the one that this browser had ends. False: a code is asked for next.

    Raises as `accounts.sign_in` does.
    """
    accounts = request.config_dict[DOMAIN].accounts
    agent = request.headers.get("User-Agent", "")
    return await keep(request, await accounts.sign_in(name, password, request.remote or "", agent))


async def keep(request: web.Request, login: Login) -> bool:
    """Give this browser the cookie of a login; the one that it had ends. False: the login is half, a code is asked for next."""
    old = request[ACTOR].login
    if old is not None:
        await request.config_dict[DOMAIN].accounts.sign_out(old.id)
    await logins.remember(request, login.id)
    return login.kind is LoginKind.BROWSER
