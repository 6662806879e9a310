"""Browser login: makes a login for a person who proved who they are, and gives this browser its cookie."""

from __future__ import annotations

from aiohttp import web

from aen.roles.server.domain import DOMAIN
from aen.roles.server.permissions import ACTOR
from aen.web import logins


async def sign_in(request: web.Request, name: str, password: str) -> None:
    """Make a login and set its cookie; the one that this browser had ends. Raises as `accounts.sign_in` does."""
    accounts = request.config_dict[DOMAIN].accounts
    agent = request.headers.get("User-Agent", "")
    login = await accounts.sign_in(name, password, request.remote or "", agent)
    old = request[ACTOR].login
    if old is not None:
        await accounts.sign_out(old.id)
    await logins.remember(request, login.id)
