"""Pages, safety of one's account: the second factor and its recovery codes; deleting the account."""

from __future__ import annotations

from aiohttp import web

from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, person, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web import logins
from aen.web.site import render


async def page(
    request: web.Request,
    problem: str = "",
    status: int = 200,
    form: Form | None = None,
    codes: list[str] | None = None,
) -> web.StreamResponse:
    accounts = request.config_dict[DOMAIN].accounts
    user = await accounts.get(request[ACTOR], person(request).id)
    enrolment = None
    if user.second_factor is None:
        enrolment = accounts.enrolment(user, form.text("secret", 64) if form else "")
    shown = {
        "problem": problem,
        "user": user,
        "enrolment": enrolment,
        "codes": codes,
        "must": accounts.must_have_code(user),
    }
    return render(request, "account/second_factor.html", shown, status=status)


@again(page)
async def set_up(request: web.Request, form: Form) -> web.StreamResponse:
    """The recovery codes are shown in this very answer and nowhere else."""
    accounts = request.config_dict[DOMAIN].accounts
    given = (form.text("secret", 64), form.text("code", 64), form.raw("password", 200_000))
    return await page(request, codes=await accounts.set_second_factor(request[ACTOR], *given))


@again(page)
async def new_codes(request: web.Request, form: Form) -> web.StreamResponse:
    accounts = request.config_dict[DOMAIN].accounts
    return await page(request, codes=await accounts.new_recovery_codes(request[ACTOR], form.raw("password", 200_000)))


@again(page)
async def remove(request: web.Request, form: Form) -> web.StreamResponse:
    accounts = request.config_dict[DOMAIN].accounts
    await accounts.remove_second_factor(request[ACTOR], person(request).id, form.raw("password", 200_000))
    return see_other("/account/second-factor", "saved")


async def delete_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    domain, user = request.config_dict[DOMAIN], person(request)
    plan = await domain.leaving.plan(request[ACTOR], user.id)
    owned = [project.slug for project in await domain.leaving.projects(user.id) if project.owner == user.id]
    return render(request, "account/delete.html", {"problem": problem, "plan": plan, "owned": owned}, status=status)


@again(delete_page)
async def delete(request: web.Request, form: Form) -> web.StreamResponse:
    accounts = request.config_dict[DOMAIN].accounts
    await accounts.delete_own(request[ACTOR], form.raw("password", 200_000), form.text("typed", 100))
    await logins.forget(request)
    return see_other("/login", "account-deleted")


P = Permission
URLS = [
    Url("GET", "/account/second-factor", page, P.SIGNED_IN),
    Url("POST", "/account/second-factor", set_up, P.ACCOUNT),
    Url("POST", "/account/second-factor/codes", new_codes, P.ACCOUNT),
    Url("POST", "/account/second-factor/remove", remove, P.ACCOUNT),
    Url("GET", "/account/delete", delete_page, P.ACCOUNT),
    Url("POST", "/account/delete", delete, P.ACCOUNT),
]
