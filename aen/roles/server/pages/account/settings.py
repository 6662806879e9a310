"""Pages, settings: one's own profile, password, logins, API tokens and security log."""

from __future__ import annotations

from aiohttp import web

from aen.errors import Invalid
from aen.languages import LANGUAGES
from aen.languages import gettext as _
from aen.model import scopes
from aen.model.user import LoginKind
from aen.roles.server.account.accounts import UserPatch
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.account.browser_login import sign_in
from aen.roles.server.pages.forms import Form, again, asked_text, page_links, person, read, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web import logins as cookies
from aen.web.site import render

_PROFILE = ("full_name", "email", "company", "location", "url")
_LENGTHS = {"email": 254, "url": 500}


async def profile_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    user = person(request)
    if form is not None:
        user = user.model_copy(update={name: form.raw(name, 2000)[:500] for name in _PROFILE})
    languages = [("", _("As my browser")), *LANGUAGES.items()]
    return render(
        request, "account/profile.html", {"user": user, "problem": problem, "languages": languages}, status=status
    )


@again(profile_page)
async def profile(request: web.Request, form: Form) -> web.StreamResponse:
    given = {name: form.text(name, _LENGTHS.get(name, 200)) for name in _PROFILE}
    if given["url"] and not given["url"].startswith(("http://", "https://")):
        raise Invalid("The web site's address must begin with http:// or https://.")
    accounts = request.config_dict[DOMAIN].accounts
    await accounts.update(request[ACTOR], person(request).id, UserPatch.model_validate(given))
    return see_other("/account", "saved")


async def theme(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    wanted = form.text("theme", 20)
    if wanted not in ("system", "light", "dark"):
        raise Invalid("A theme is system, light or dark.")
    patch = UserPatch.model_validate({"theme": wanted})
    await request.config_dict[DOMAIN].accounts.update(request[ACTOR], person(request).id, patch)
    return see_other("/account", "saved")


async def language(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    wanted = form.text("language", 16)
    if wanted and wanted not in LANGUAGES:
        raise Invalid("AEN does not speak that language.")
    patch = UserPatch.model_validate({"language": wanted})
    await request.config_dict[DOMAIN].accounts.update(request[ACTOR], person(request).id, patch)
    return see_other("/account", "saved")


async def password_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    person(request)
    return render(request, "account/password.html", {"problem": problem}, status=status)


@again(password_page)
async def password(request: web.Request, form: Form) -> web.StreamResponse:
    user, new = person(request), form.raw("new")
    await request.config_dict[DOMAIN].accounts.set_password(request[ACTOR], user.id, new, form.raw("old"))
    if not await sign_in(request, user.id, new):
        return see_other("/login/code", next="/account/password?done=password")
    return see_other("/account/password", "password")


async def logins_page(request: web.Request) -> web.StreamResponse:
    user, actor = person(request), request[ACTOR]
    found = await request.config_dict[DOMAIN].accounts.logins(actor, user.id)
    shown = [login for login in found if login.kind is LoginKind.BROWSER]
    return render(request, "account/logins.html", {"logins": shown, "current": actor.login.id if actor.login else ""})


async def end_login(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    await request.config_dict[DOMAIN].accounts.end_login(request[ACTOR], form.text("id", 64))
    return see_other("/account/logins", "login-ended")


async def end_all_logins(request: web.Request) -> web.StreamResponse:
    await request.config_dict[DOMAIN].accounts.sign_out_everywhere(request[ACTOR], person(request).id)
    await cookies.forget(request)
    return see_other("/login", "signed-out-everywhere")


async def tokens_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None, made: str = ""
) -> web.StreamResponse:
    found = await request.config_dict[DOMAIN].accounts.logins(request[ACTOR], person(request).id)
    shown = [login for login in found if login.kind is LoginKind.TOKEN]
    context = {"tokens": shown, "problem": problem, "made": made, "scopes": scopes.SCOPES, "form": form}
    return render(request, "account/tokens.html", context, status=status)


@again(tokens_page)
async def make_token(request: web.Request, form: Form) -> web.StreamResponse:
    """The token is shown in this very answer and nowhere else: it never stands in an address."""
    user = person(request)
    _, token = await request.config_dict[DOMAIN].accounts.new_token(
        request[ACTOR], user.id, form.text("title", 100), form.number("days", 90), _scope(form)
    )
    return await tokens_page(request, made=token)


def _scope(form: Form) -> list[str]:
    """What the form asks for: one of the ready-made sets, or the boxes that were checked, for one project or all."""
    chosen = [scope for scope in scopes.SCOPES if form.has(f"scope-{scope}")]
    project = form.text("project", 200)
    if form.text("scope", 100) != "own" and not chosen and not project:  # details count, whatever set stayed chosen
        return form.text("scope", 100).split()
    if not chosen:
        raise Invalid("Check at least one box of what the token may do.")
    return scopes.bound(chosen, project) if project else chosen


async def end_token(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    await request.config_dict[DOMAIN].accounts.end_login(request[ACTOR], form.text("id", 64))
    return see_other("/account/tokens", "token-ended")


async def keys_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    found = await request.config_dict[DOMAIN].keys.list(request[ACTOR], person(request).id)
    typed = {name: form.raw(name, 20_000) if form else "" for name in ("key", "title")}
    return render(request, "account/keys.html", {"keys": found, "problem": problem, "form": typed}, status=status)


@again(keys_page)
async def add_key(request: web.Request, form: Form) -> web.StreamResponse:
    await request.config_dict[DOMAIN].keys.add(request[ACTOR], form.raw("key", 10_000), form.text("title", 100))
    return see_other("/account/keys", "saved")


@again(keys_page)
async def remove_key(request: web.Request, form: Form) -> web.StreamResponse:
    domain = request.config_dict[DOMAIN]
    await domain.keys.remove(request[ACTOR], person(request).id, form.text("fingerprint", 100))
    return see_other("/account/keys", "saved")


async def security_page(request: web.Request) -> web.StreamResponse:
    user = person(request)
    entries, cursor = await request.config_dict[DOMAIN].activity.of_user(
        request[ACTOR], user.id, 50, asked_text(request, "cursor", 500)
    )
    return render(request, "account/security.html", {"entries": entries, **page_links(request, cursor)})


async def markdown(request: web.Request) -> web.StreamResponse:
    """A preview of what somebody is writing."""
    form = await read(request)
    html = await request.config_dict[DOMAIN].descriptions.html(form.raw("text"))
    return web.Response(text=html, content_type="text/html")


P = Permission
URLS = [
    Url("GET", "/account", profile_page, P.SIGNED_IN),
    Url("POST", "/account", profile, P.ACCOUNT),
    Url("POST", "/account/theme", theme, P.ACCOUNT),
    Url("POST", "/account/language", language, P.ACCOUNT),
    Url("GET", "/account/password", password_page, P.SIGNED_IN),
    Url("POST", "/account/password", password, P.ACCOUNT),
    Url("GET", "/account/logins", logins_page, P.SIGNED_IN),
    Url("POST", "/account/logins/end", end_login, P.ACCOUNT),
    Url("POST", "/account/logins/end-all", end_all_logins, P.ACCOUNT),
    Url("GET", "/account/tokens", tokens_page, P.SIGNED_IN),
    Url("POST", "/account/tokens", make_token, P.ACCOUNT),
    Url("POST", "/account/tokens/end", end_token, P.ACCOUNT),
    Url("GET", "/account/keys", keys_page, P.SIGNED_IN),
    Url("POST", "/account/keys", add_key, P.ACCOUNT),
    Url("POST", "/account/keys/remove", remove_key, P.ACCOUNT),
    Url("GET", "/account/security", security_page, P.SIGNED_IN),
    Url("POST", "/account/markdown", markdown, P.SIGNED_IN),
]
