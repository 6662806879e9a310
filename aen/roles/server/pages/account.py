"""Pages, account: coming in (set-up, login, sign-up, logout); one's own settings and people's pages are added at the end."""

from __future__ import annotations

from aiohttp import web

from aen.errors import AenError
from aen.roles.server.accounts import Profile
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages import people, settings
from aen.roles.server.pages.browser_login import sign_in
from aen.roles.server.pages.forms import Form, again, asked_text, read, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web import logins
from aen.web.redirects import safe_next
from aen.web.site import render


async def login_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    if domain.accounts.needs_setup():
        return see_other("/setup")
    there = safe_next(form.raw("next") if form else request.query.get("next"))
    if request[ACTOR].user is not None and not problem:
        return see_other(there)
    registration = await domain.accounts.registration_open()
    shown = {"problem": problem, "next": there, "registration": registration}
    return render(request, "account/login.html", {**shown, "name": _shown(form, "name", 64)}, status=status)


async def login(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    try:
        await sign_in(request, form.text("name", 200_000), form.raw("password", 200_000))
    except AenError as error:
        answer = await login_page(request, error.message, error.status, form)
        if error.retry_after:
            answer.headers["Retry-After"] = str(round(error.retry_after))
        return answer
    return see_other(safe_next(form.raw("next")))


async def logout(request: web.Request) -> web.StreamResponse:
    actor = request[ACTOR]
    if actor.login is not None:
        await request.config_dict[DOMAIN].accounts.sign_out(actor.login.id)
    await logins.forget(request)
    return see_other("/login", "signed-out")


async def logout_page(request: web.Request) -> web.StreamResponse:
    """Signing out changes something, so it takes a form; an old link leads home."""
    return see_other("/")


async def setup_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    if not request.config_dict[DOMAIN].accounts.needs_setup():
        return see_other("/login")
    shown = {name: _shown(form, name) for name in ("code", "name", "full_name")}
    if form is None:
        shown["code"] = asked_text(request, "code", 128)
    return render(request, "account/setup.html", {**shown, "problem": problem}, status=status)


@again(setup_page)
async def setup(request: web.Request, form: Form) -> web.StreamResponse:
    accounts = request.config_dict[DOMAIN].accounts
    name, password = form.text("name", 200), form.raw("password")
    profile = Profile(full_name=form.text("full_name", 200))
    await accounts.set_up(form.text("code", 128), name, password, profile, request.remote or "")
    await sign_in(request, name, password)
    return see_other("/")


async def signup_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    accounts = request.config_dict[DOMAIN].accounts
    code = form.text("code", 128) if form else asked_text(request, "code", 128)
    invitation = await accounts.invitation(code) if code else None
    if invitation is None and not await accounts.registration_open() and not problem:
        problem = "Accounts are made by invitation here, and this link holds none that is still good. Ask an administrator for a new one."
    shown = {name: _shown(form, name) for name in ("name", "full_name", "email")}
    if invitation is not None and not shown["email"]:
        shown["email"] = invitation.email
    context = {**shown, "code": code, "problem": problem, "invited": invitation is not None}
    context["invited_by"] = invitation.created_by if invitation is not None else ""
    context["joins"] = await accounts.joins(invitation)
    return render(request, "account/signup.html", context, status=status)


@again(signup_page)
async def signup(request: web.Request, form: Form) -> web.StreamResponse:
    accounts = request.config_dict[DOMAIN].accounts
    name, password = form.text("name", 200), form.raw("password")
    profile = Profile(full_name=form.text("full_name", 200), email=form.text("email", 254))
    code = form.text("code", 128)
    joins = await accounts.joins(await accounts.invitation(code)) if code else ""
    await accounts.sign_up(name, password, code, profile, request.remote or "")
    await sign_in(request, name, password)
    return see_other(f"/{joins}")


def _shown(form: Form | None, name: str, longest: int = 300) -> str:
    """What was typed, to be shown again; never a password."""
    return form.raw(name, 300_000)[:longest] if form is not None else ""


P = Permission
URLS = [
    Url("GET", "/setup", setup_page, P.ANYBODY),
    Url("POST", "/setup", setup, P.ANYBODY),
    Url("GET", "/login", login_page, P.ANYBODY),
    Url("POST", "/login", login, P.ANYBODY),
    Url("GET", "/logout", logout_page, P.ANYBODY),
    Url("POST", "/logout", logout, P.ANYBODY),
    Url("GET", "/signup", signup_page, P.ANYBODY),
    Url("POST", "/signup", signup, P.ANYBODY),
    *settings.URLS,
    *people.URLS,
]
