"""API, care of accounts: links to a new password, taking away a second factor, how much somebody may take."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from aen.model import Word
from aen.model.user import Allowance
from aen.roles.server.pages.api.api import PREFIX, Nothing, answer, asked, body, nothing, part
from aen.roles.server.pages.api.views import UserView, user_view
from aen.roles.server.permissions import Permission, check
from aen.roles.server.urls import Url


class NewReset(Word):
    """A link to make by which a person chooses a new password; good for so many hours."""

    hours: float = Field(24, gt=0, le=168)


class ResetView(Word):
    """The link, shown only now."""

    url: str
    hours: float


async def reset_link(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, NewReset)
    code = await domain.accounts.reset_link(actor, part(request, "user"), wanted.hours)
    return answer(ResetView(url=f"{domain.config.server.url}/forgotten/{code}", hours=wanted.hours), 201)


async def no_second_factor(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    check(actor, Permission.ADMIN)
    await domain.accounts.remove_second_factor(actor, part(request, "user"))
    return nothing()


async def allow(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, Allowance)
    return answer(user_view(await domain.allowances.set(actor, part(request, "user"), wanted)))


P = Permission
_USER = f"{PREFIX}/users/{{user}}"
URLS = [
    Url("POST", f"{_USER}/reset-link", reset_link, P.STAFF, NewReset, ResetView, 201, summary="Make a password link"),
    Url("PUT", f"{_USER}/allowance", allow, P.ADMIN, Allowance, UserView, summary="Say how much a user may take"),
    Url("DELETE", f"{_USER}/second-factor", no_second_factor, P.ADMIN, status=204, summary="Take it away"),
]
