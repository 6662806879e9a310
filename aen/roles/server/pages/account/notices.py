"""Pages: what one is told of by mail; and registration by a link that is mailed to one's address."""

from __future__ import annotations

from aiohttp import web

from aen.languages import gettext as _
from aen.model.mail import NOTICES, Notice
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, person, read, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_WHERE = "/account/notifications"


async def notices(request: web.Request) -> web.StreamResponse:
    user, mail = person(request), request.config_dict[DOMAIN].mail
    choices = [
        (str(notice), _(text), str(notice) not in user.mail_off)
        for notice, (text, staff) in NOTICES.items()
        if user.admin or user.staff or not staff
    ]
    return render(request, "account/notifications.html", {"choices": choices, "mail": mail.on, "email": user.email})


async def choose(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    wanted = {notice for notice in Notice if form.has(str(notice))}
    await request.config_dict[DOMAIN].notices.choose(request[ACTOR], wanted)
    return see_other(_WHERE, "saved")


async def link_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None, sent: bool = False
) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    shown = {
        "problem": problem,
        "sent": sent,
        "open": domain.mail.on and await domain.accounts.registration_open(),
        "domains": domain.settings.value("server.registration.domains"),
        "email": form.raw("email")[:254] if form is not None and not sent else "",
    }
    return render(request, "account/signup_link.html", shown, status=status)


@again(link_page)
async def send_link(request: web.Request, form: Form) -> web.StreamResponse:
    """Says the same whether the address has an account or not."""
    await request.config_dict[DOMAIN].accounts.send_link(form.text("email", 254), request.remote or "")
    return await link_page(request, sent=True)


URLS = [
    Url("GET", _WHERE, notices, Permission.SIGNED_IN),
    Url("POST", _WHERE, choose, Permission.ACCOUNT),
    Url("GET", "/signup/link", link_page, Permission.ANYBODY),
    Url("POST", "/signup/link", send_link, Permission.ANYBODY),
]
