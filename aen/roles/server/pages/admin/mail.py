"""Pages, admin: mail: whether it works (a test with the server's answer) and what waits in the outbox."""

from __future__ import annotations

from aiohttp import web

from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.forms import Form, again, asked_text, page_links, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_PAGE = 50
_WHERE = "/admin/mail"


async def mail(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None, said: str = "", to: str = ""
) -> web.StreamResponse:
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    found, cursor = await domain.mail.waiting(actor, _PAGE, asked_text(request, "cursor", 500))
    own = actor.user.email if actor.user is not None else ""
    shown = {
        "options": domain.config.mail,
        "on": domain.mail.on,
        "letters": found,
        "problem": problem,
        "answer": said,
        "to": to or (form.raw("to")[:254] if form is not None else own),
        **page_links(request, cursor),
    }
    return render(request, "admin/mail.html", shown, status=status)


@again(mail)
async def test(request: web.Request, form: Form) -> web.StreamResponse:
    """The mail server's own words stand on the page."""
    to = form.text("to", 254)
    answer = await request.config_dict[DOMAIN].mail.test(request[ACTOR], to)
    return await mail(request, said=answer or "OK", to=to)


@again(mail)
async def send_again(request: web.Request, form: Form) -> web.StreamResponse:
    await request.config_dict[DOMAIN].mail.again(request[ACTOR], form.text("id", 64))
    return see_other(_WHERE, "mail-again")


S = Permission.STAFF
URLS = [
    Url("GET", _WHERE, mail, S),
    Url("POST", f"{_WHERE}/test", test, S),
    Url("POST", f"{_WHERE}/again", send_again, S),
]
