"""Pages, admin users: finding, making, inviting, changing, locking and removing people."""

from __future__ import annotations

import secrets

from aiohttp import web
from pydantic import ValidationError

from aen.config.sizes import size_text
from aen.errors import Invalid
from aen.languages import gettext as _
from aen.model.session import Session
from aen.model.user import Allowance
from aen.roles.server.account import directory
from aen.roles.server.account.accounts import NewUser, UserPatch
from aen.roles.server.admin.overseeing import SessionFilter
from aen.roles.server.domain import DOMAIN
from aen.roles.server.pages.admin.work import rows
from aen.roles.server.pages.forms import Form, again, asked_text, page_links, person, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.project.spaces import limit_in_bytes
from aen.roles.server.urls import Url
from aen.web.site import render

_PAGE = 50
_SORTS = ("id", "created", "last_login")
_ALPHABET = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"  # nothing that looks like something else


async def users_page(request: web.Request) -> web.StreamResponse:
    sort, which = asked_text(request, "sort", 20), asked_text(request, "filter", 20)
    search = asked_text(request, "q", 200)
    sort = sort if sort in _SORTS else "id"
    which = which if which in ("admin", "staff", "locked") else ""
    descending = asked_text(request, "order", 8) == "down"
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    page = await domain.accounts.list(actor, search, sort, descending, _PAGE, asked_text(request, "cursor", 500), which)
    shown = {
        "users": page.items,
        "owned": await domain.overseeing.owned(actor, [user.id for user in page.items]),
        "total": page.total,
        "search": search,
        "sort": sort,
        "descending": descending,
        "filter": which,
        **page_links(request, page.next),
    }
    return render(request, "admin/users.html", shown)


async def new_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None
) -> web.StreamResponse:
    typed: dict[str, str | bool] = {name: _typed(form, name) for name in ("name", "full_name", "email")}
    typed |= {name: form.has(name) if form else False for name in ("admin", "staff")}
    return render(request, "admin/user_new.html", {"form": typed, "problem": problem}, status=status)


@again(new_page)
async def new(request: web.Request, form: Form) -> web.StreamResponse:
    password = _password()
    wanted = NewUser(
        name=form.text("name", 200),
        full_name=form.text("full_name", 200),
        email=form.text("email", 254),
        admin=form.has("admin"),
        staff=form.has("staff"),
        password=password,
    )
    domain = request.config_dict[DOMAIN]
    user = await domain.accounts.create(request[ACTOR], wanted)
    return await user_page(request, name=user.id, made=password, note=await domain.linux.note(user.id))


async def user_page(
    request: web.Request,
    problem: str = "",
    status: int = 200,
    form: Form | None = None,
    name: str = "",
    made: str = "",
    link: str = "",
    note: str = "",
) -> web.StreamResponse:
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    user = await domain.accounts.get(actor, name or request.match_info["name"])
    typed: dict[str, str | bool] = user.model_dump(include={"full_name", "email", "admin", "staff"})
    if form is not None and form.has("full_name"):
        typed = {"full_name": _typed(form, "full_name"), "email": _typed(form, "email")}
        typed |= {name: form.has(name) for name in ("admin", "staff")}
    entries, _next = await domain.activity.of_user(actor, user.id, 8)
    shown = {
        "user": user,
        "form": typed,
        "problem": problem,
        "made": made,
        "link": link,
        "note": note,
        "logins": await domain.accounts.logins(actor, user.id),
        "sessions": rows(domain, await _sessions(request, user.id)),
        "space": await domain.spaces.used_by(user.id),
        "space_bounds": await domain.spaces.of_user(user.id),
        "allowance": _typed_allowance(form) if form is not None and form.has("memory") else _allowance(user.allowance),
        "everybody": {name: domain.settings.value(f"people.{name}") for name in ("projects", "sessions")},
        "owned": await domain.store.count("projects", (("owner", user.id),)),
        "projects": await directory.projects_of(domain, actor, user.id, 10),
        "entries": entries,
    }
    return render(request, "admin/user.html", shown, status=status)


@again(user_page)
async def save(request: web.Request, form: Form) -> web.StreamResponse:
    name = request.match_info["name"]
    patch: dict[str, object] = {"full_name": form.text("full_name", 200), "email": form.text("email", 254)}
    if name != person(request).id:  # nobody changes their own rights: the boxes are not sent
        patch |= {"admin": form.has("admin"), "staff": form.has("staff")}
    await request.config_dict[DOMAIN].accounts.update(request[ACTOR], name, UserPatch.model_validate(patch))
    return see_other(f"/admin/users/{name}", "user-saved")


async def _sessions(request: web.Request, name: str) -> list[Session]:
    wanted = SessionFilter(phase="live", user=name)
    return (await request.config_dict[DOMAIN].overseeing.sessions(request[ACTOR], wanted, _PAGE))[0]


def _allowance(allowance: Allowance) -> dict[str, str]:
    """As the form shows it: empty for what is as for everybody."""
    shown = {name: f"{most:g}" for name in ("projects", "sessions", "cpus") if (most := getattr(allowance, name))}
    shown |= {name: size_text(most) for name in ("space", "memory") if (most := getattr(allowance, name))}
    return {name: shown.get(name, "") for name in Allowance.model_fields}


def _typed_allowance(form: Form) -> dict[str, str]:
    return {name: form.raw(name)[:40] for name in Allowance.model_fields}


@again(user_page)
async def allow(request: web.Request, form: Form) -> web.StreamResponse:
    """How much the person may take."""
    name = request.match_info["name"]
    given: dict[str, object] = {name: form.text(name, 40) or 0 for name in ("projects", "sessions", "cpus")}
    given |= {name: limit_in_bytes(form.text(name, 40)) for name in ("space", "memory")}
    try:
        wanted = Allowance.model_validate(given)
    except ValidationError as error:
        raise Invalid(
            _("{field}: give a number that makes sense, or leave it empty.", field=error.errors()[0]["loc"][0])
        ) from None
    await request.config_dict[DOMAIN].allowances.set(request[ACTOR], name, wanted)
    return see_other(f"/admin/users/{name}", "user-saved")


@again(user_page)
async def end_login(request: web.Request, form: Form) -> web.StreamResponse:
    await request.config_dict[DOMAIN].accounts.end_login(request[ACTOR], form.text("id", 100))
    return see_other(f"/admin/users/{request.match_info['name']}", "login-ended")


@again(user_page)
async def new_password(request: web.Request, form: Form) -> web.StreamResponse:
    name, made = request.match_info["name"], _password()
    if name == person(request).id:
        raise Invalid("Change your own password on the page of your account.")
    await request.config_dict[DOMAIN].accounts.set_password(request[ACTOR], name, made)
    return await user_page(request, made=made)


@again(user_page)
async def reset_link(request: web.Request, form: Form) -> web.StreamResponse:
    """The link is shown in this very answer and nowhere else."""
    domain = request.config_dict[DOMAIN]
    code = await domain.accounts.reset_link(request[ACTOR], request.match_info["name"])
    return await user_page(request, link=f"{domain.config.server.url}/forgotten/{code}")


@again(user_page)
async def no_second_factor(request: web.Request, form: Form) -> web.StreamResponse:
    name = request.match_info["name"]
    await request.config_dict[DOMAIN].accounts.remove_second_factor(request[ACTOR], name)
    return see_other(f"/admin/users/{name}", "user-saved")


@again(user_page)
async def sign_out(request: web.Request, form: Form) -> web.StreamResponse:
    name = request.match_info["name"]
    await request.config_dict[DOMAIN].accounts.sign_out_everywhere(request[ACTOR], name)
    return see_other(f"/admin/users/{name}", "user-saved")


@again(user_page)
async def lock(request: web.Request, form: Form) -> web.StreamResponse:
    user = await request.config_dict[DOMAIN].accounts.lock(request[ACTOR], request.match_info["name"])
    return see_other(f"/admin/users/{user.id}", "user-locked")


@again(user_page)
async def unlock(request: web.Request, form: Form) -> web.StreamResponse:
    user = await request.config_dict[DOMAIN].accounts.unlock(request[ACTOR], request.match_info["name"])
    return see_other(f"/admin/users/{user.id}", "user-unlocked")


@again(user_page)
async def remove(request: web.Request, form: Form) -> web.StreamResponse:
    name = request.match_info["name"]
    if form.text("typed", 100) != name:
        raise Invalid(f"Nothing was removed: type {name} to confirm.")
    await request.config_dict[DOMAIN].accounts.remove(request[ACTOR], name)
    return see_other("/admin/users", "user-removed")


async def invitations_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None, made: str = ""
) -> web.StreamResponse:
    accounts = request.config_dict[DOMAIN].accounts
    found, cursor = await accounts.invitations(request[ACTOR], _PAGE, asked_text(request, "cursor", 500))
    shown_form = form if problem else None
    typed = {"email": _typed(shown_form, "email"), "project": _typed(shown_form, "project")}
    shown = {
        "invitations": [(each, await accounts.joins(each)) for each in found],
        "form": {**typed, "admin": shown_form is not None and shown_form.has("admin")},
        "problem": problem,
        "made": made,
        **page_links(request, cursor),
    }
    return render(request, "admin/invitations.html", shown, status=status)


@again(invitations_page)
async def invite(request: web.Request, form: Form) -> web.StreamResponse:
    """The link is shown in this very answer and nowhere else."""
    domain = request.config_dict[DOMAIN]
    code = await domain.accounts.invite(
        request[ACTOR],
        email=form.text("email", 254),
        admin=form.has("admin"),
        project=form.text("project", 120),
        days=form.number("days", 7),
    )
    return await invitations_page(request, made=f"{domain.config.server.url.rstrip('/')}/signup?code={code}")


@again(invitations_page)
async def withdraw(request: web.Request, form: Form) -> web.StreamResponse:
    await request.config_dict[DOMAIN].accounts.withdraw_invitation(request[ACTOR], form.text("id", 100))
    return see_other("/admin/invitations", "invitation-withdrawn")


def _typed(form: Form | None, name: str) -> str:
    return form.raw(name)[:300] if form is not None else ""


def _password() -> str:
    """A password to be given to somebody: 16 characters, 93 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))


A = Permission.ADMIN
_ONE = "/admin/users/{name}"
URLS = [
    Url("GET", "/admin/users", users_page, A),
    Url("GET", "/admin/users/new", new_page, A),
    Url("POST", "/admin/users/new", new, A),
    Url("GET", "/admin/invitations", invitations_page, A),
    Url("POST", "/admin/invitations", invite, A),
    Url("POST", "/admin/invitations/withdraw", withdraw, A),
    Url("GET", _ONE, user_page, A),
    Url("POST", _ONE, save, A),
    Url("POST", f"{_ONE}/password", new_password, A),
    Url("POST", f"{_ONE}/reset", reset_link, A),
    Url("POST", f"{_ONE}/second-factor", no_second_factor, A),
    Url("POST", f"{_ONE}/sign-out", sign_out, A),
    Url("POST", f"{_ONE}/logins/end", end_login, A),
    Url("POST", f"{_ONE}/allowance", allow, A),
    Url("POST", f"{_ONE}/lock", lock, A),
    Url("POST", f"{_ONE}/unlock", unlock, A),
    Url("POST", f"{_ONE}/remove", remove, A),
]
