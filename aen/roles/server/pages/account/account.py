"""Pages, account: coming in (set-up, login, sign-up, logout); one's own settings and people's pages are added at the end."""

from __future__ import annotations

from aiohttp import web

from aen.errors import AenError
from aen.languages import N_
from aen.roles.server.account.accounts import Profile
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.account import coming_in, forgotten, people, second_factor, settings
from aen.roles.server.pages.account.browser_login import sign_in
from aen.roles.server.pages.account.coming_in import onward, show_login
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
    if request[ACTOR].user is not None and not problem:
        return see_other(safe_next(form.raw("next") if form else request.query.get("next")))
    return await show_login(request, problem, status, form)


async def login(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    try:
        whole = await sign_in(request, form.text("name", 200_000), form.raw("password", 200_000))
    except AenError as error:
        answer = await login_page(request, error.message, error.status, form)
        if error.retry_after:
            answer.headers["Retry-After"] = str(round(error.retry_after))
        return answer
    return onward(whole, safe_next(form.raw("next")))


async def logout(request: web.Request) -> web.StreamResponse:
    login, accounts = request[ACTOR].login, request.config_dict[DOMAIN].accounts
    if login is not None:
        await accounts.sign_out(login.id)
    await logins.forget(request)
    backend = accounts.visit(login.backend) if login is not None else None
    back = f"{request.config_dict[DOMAIN].config.server.url}/login?done=signed-out"
    there = await backend.leave(back) if backend is not None else ""
    if there:
        return web.Response(status=303, headers={"Location": there, "Cache-Control": "no-store"})
    return see_other("/login", "signed-out")


async def logout_page(request: web.Request) -> web.StreamResponse:
    """Signing out changes something, so it takes a form; an old link leads home."""
    return see_other("/")


async def setup_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    if not domain.accounts.needs_setup():
        return see_other("/login")
    shown = {name: _shown(form, name) for name in ("code", "name", "full_name")}
    if form is None:
        shown["code"] = asked_text(request, "code", 128)
    shown |= {"problem": problem, "data_dir": str(domain.config.data_dir), "code_file": str(domain.accounts.code_file)}
    return render(request, "account/setup.html", shown, status=status)


@again(setup_page)
async def setup(request: web.Request, form: Form) -> web.StreamResponse:
    accounts = request.config_dict[DOMAIN].accounts
    name, password = form.text("name", 200), form.raw("password")
    profile = Profile(full_name=form.text("full_name", 200))
    await accounts.set_up(form.text("code", 128), name, password, profile, request.remote or "")
    return onward(await sign_in(request, name, password), "/")


async def signup_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    accounts = request.config_dict[DOMAIN].accounts
    code = form.text("code", 128) if form else asked_text(request, "code", 128)
    invitation = await accounts.invitation(code) if code else None
    if invitation is None and not await accounts.registration_open() and not problem:
        problem = N_(
            "Accounts are made by invitation here, and this link holds none that is still good. Ask an administrator for a new one."
        )
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
    return onward(await sign_in(request, name, password), f"/{joins}")


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
    *coming_in.URLS,
    *second_factor.URLS,
    *forgotten.URLS,
    *settings.URLS,
    *people.URLS,
]
