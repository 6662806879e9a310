"""Pages, forgotten: asking for a link to a new password, and using it."""

from __future__ import annotations

from aiohttp import web

from aen.errors import AenError, NotFound
from aen.languages import said
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.account.browser_login import sign_in
from aen.roles.server.pages.account.coming_in import onward
from aen.roles.server.pages.forms import read
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url
from aen.web.site import render


async def ask_page(request: web.Request) -> web.StreamResponse:
    mail = request.config_dict[DOMAIN].mail.on
    return render(request, "account/forgotten.html", {"mail": mail, "sent": False, "problem": ""})


async def ask(request: web.Request) -> web.StreamResponse:
    """The same answer whether there is such a person or not."""
    form, domain = await read(request), request.config_dict[DOMAIN]
    shown = {"mail": domain.mail.on, "sent": True, "problem": ""}
    status = 200
    if domain.mail.on:
        try:
            domain.accounts.send_reset(form.text("name", 300), request.remote or "")
        except AenError as error:
            shown, status = {**shown, "sent": False, "problem": said(error.message)}, error.status
    return render(request, "account/forgotten.html", shown, status=status)


async def page(request: web.Request, problem: str = "", status: int = 200) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    try:
        user = await domain.accounts.reset_of(request.match_info["code"])
    except NotFound:
        await domain.refusals.note("password.link_gone", "", request.remote or "")
        raise
    answer = render(request, "account/reset.html", {"user": user, "problem": problem}, status=status)
    answer.headers["Referrer-Policy"] = "no-referrer"  # the link's secret stands in the address
    return answer


async def take(request: web.Request) -> web.StreamResponse:
    form, accounts = await read(request), request.config_dict[DOMAIN].accounts
    password = form.raw("password", 200_000)
    try:
        user = await accounts.use_reset(request.match_info["code"], password, request.remote or "")
    except NotFound:
        raise
    except AenError as error:
        return await page(request, said(error.message), error.status)
    return onward(await sign_in(request, user.id, password), "/")


P = Permission
URLS = [
    Url("GET", "/forgotten", ask_page, P.ANYBODY),
    Url("POST", "/forgotten", ask, P.ANYBODY),
    Url("GET", "/forgotten/{code}", page, P.ANYBODY),
    Url("POST", "/forgotten/{code}", take, P.ANYBODY),
]
