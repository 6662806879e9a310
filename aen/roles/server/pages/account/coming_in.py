"""Pages, coming in by more than a password: buttons of providers, and the code of a second factor."""

from __future__ import annotations

import hashlib
from typing import Any

from aiohttp import web

from aen.errors import AenError, Denied, NotFound, NotSignedIn
from aen.languages import gettext as _
from aen.languages import said
from aen.logins import Visit, VisitBackend
from aen.model import now
from aen.model.user import Login, Proof
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.account.browser_login import keep
from aen.roles.server.pages.forms import Form, read, see_other
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url
from aen.store import Duplicate
from aen.web import logins
from aen.web.redirects import safe_next
from aen.web.site import render

_MINUTES = 15  # that a person may take at the provider
_LONGEST_NEXT = 600  # it stands in a cookie


def onward(whole: bool, there: str) -> web.Response:
    """Where a browser goes after a proof: on, or to the page that asks for a code."""
    return see_other(there) if whole else see_other("/login/code", next=there if there != "/" else "")


async def visit(request: web.Request) -> web.StreamResponse:
    """Send the browser to a provider."""
    domain = request.config_dict[DOMAIN]
    domain.accounts.attempts.check("", request.remote or "")
    backend = _backend(request)
    going: Visit = await backend.begin(_back(request, backend))
    there = safe_next(request.query.get("next"))
    about = {"backend": backend.name, "next": there if len(there) <= _LONGEST_NEXT else "/"}
    await logins.set_aside(request, {**going.kept, **about, "until": str(now() + _MINUTES * 60_000)})
    return web.Response(status=303, headers={"Location": going.url, "Cache-Control": "no-store"})


async def came_back(request: web.Request) -> web.StreamResponse:
    """The provider sent the browser back: whatever it brings counts once, in the browser that began."""
    backend = _backend(request)
    kept = await logins.taken(request)
    try:
        login = await _enter(request, backend, kept)
    except NotFound:
        raise
    except AenError as error:
        return await _refused(request, backend, error)
    return onward(await keep(request, login), safe_next(kept.get("next")))


async def _enter(request: web.Request, backend: VisitBackend, kept: dict[str, str]) -> Login:
    accounts, address = request.config_dict[DOMAIN].accounts, request.remote or ""
    await accounts.may_try("", address)
    given = {name: value for name, value in request.query.items() if len(value) <= 4096}
    late = int(kept.get("until", "0")) < now()
    if kept.get("backend") != backend.name or late or len(request.query.getall("state", [])) != 1:
        raise Denied("This sign-in was not begun in this browser, or is too old. Begin again on the login page.")
    await _once(request, kept["state"])
    identity = await backend.finish(_back(request, backend), given, kept)
    agent = request.headers.get("User-Agent", "")
    return await accounts.enter(identity, backend.name, address=address, agent=agent)


async def _once(request: web.Request, state: str) -> None:
    """Raise Denied when this answer was taken already, at whichever server: a cookie can be sent twice."""
    digest = hashlib.sha256(state.encode()).hexdigest()
    proof = Proof(id=f"visit:{digest}", expires=now() + 2 * _MINUTES * 60_000)
    try:
        await request.config_dict[DOMAIN].store.insert("proofs", proof.model_dump(mode="json"))
    except Duplicate:
        raise Denied("This answer of your sign-in provider was used already. Begin again on the login page.") from None


async def _refused(request: web.Request, backend: VisitBackend, error: AenError) -> web.StreamResponse:
    accounts, address = request.config_dict[DOMAIN].accounts, request.remote or ""
    if isinstance(error, Denied):
        accounts.attempts.failed("", address)
        await accounts.visit_failed(backend.name, address, error.message)
    return await show_login(request, said(error.message), error.status)


async def show_login(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """The login page."""
    accounts = request.config_dict[DOMAIN].accounts
    there = safe_next(form.raw("next") if form else request.query.get("next"))
    shown: dict[str, Any] = {
        "problem": problem,
        "next": there,
        "registration": await accounts.registration_open(),
        "visits": accounts.visits(),
        "passwords": accounts.takes_passwords(),
        "name": form.raw("name", 300_000)[:64] if form is not None else "",
    }
    return render(request, "account/login.html", shown, status=status)


async def code_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    """Asks for a code; who must have a second factor and has none sets it up here."""
    accounts = request.config_dict[DOMAIN].accounts
    found = await accounts.half(await logins.login_of(request))
    if found is None:
        return see_other("/login")
    _login, user = found
    there = safe_next(form.raw("next") if form else request.query.get("next"))
    shown: dict[str, Any] = {"problem": problem, "next": there, "enrolment": None, "user": user}
    if user.second_factor is None:
        shown["enrolment"] = accounts.enrolment(user, form.text("secret", 64) if form else "")
    return render(request, "account/code.html", shown, status=status)


async def code(request: web.Request) -> web.StreamResponse:
    form = await read(request)
    accounts, address = request.config_dict[DOMAIN].accounts, request.remote or ""
    agent, half = request.headers.get("User-Agent", ""), await logins.login_of(request)
    there = safe_next(form.raw("next"))
    try:
        if form.has("secret"):
            given = (form.text("secret", 64), form.text("code", 64))
            login, codes = await accounts.enrol_and_complete(half, *given, address, agent)
            await keep(request, login)
            return render(request, "account/recovery.html", {"codes": codes, "next": there})
        login = await accounts.complete(half, form.text("code", 64), address, agent)
    except NotSignedIn as error:
        await logins.forget(request)
        return await show_login(request, said(error.message), error.status, form)
    except AenError as error:
        answer = await code_page(request, said(error.message), error.status, form)
        if error.retry_after:
            answer.headers["Retry-After"] = str(round(error.retry_after))
        return answer
    return onward(await keep(request, login), there)


def _backend(request: web.Request) -> VisitBackend:
    backend = request.config_dict[DOMAIN].accounts.visit(request.match_info["backend"])
    if backend is None:
        raise NotFound(_("Nobody signs in that way here."))
    return backend


def _back(request: web.Request, backend: VisitBackend) -> str:
    return f"{request.config_dict[DOMAIN].config.server.url}/login/{backend.name}/callback"


P = Permission
URLS = [
    Url("GET", "/login/code", code_page, P.ANYBODY),
    Url("POST", "/login/code", code, P.ANYBODY),
    Url("GET", "/login/{backend}", visit, P.ANYBODY),
    Url("GET", "/login/{backend}/callback", came_back, P.ANYBODY),
]
