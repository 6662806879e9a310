"""API, people: who I am, users, passwords, API tokens, logins, invitations, registration."""

from __future__ import annotations

from typing import Annotated, Literal

from aiohttp import web
from pydantic import Field

from aen.errors import Denied
from aen.model import Word
from aen.model.user import PublicKey
from aen.roles.server.account.accounts import NewUser, UserPatch
from aen.roles.server.account.leaving import Removal
from aen.roles.server.pages.api import safety
from aen.roles.server.pages.api.api import PREFIX, Nothing, Paging, answer, asked, body, listed, nothing, part, query
from aen.roles.server.pages.api.views import (
    ActivityView,
    InvitationView,
    JobView,
    LoginView,
    MeView,
    NewUserView,
    PageOf,
    PageOfUsers,
    StatusView,
    TokenView,
    UserView,
    activity_view,
    invitation_view,
    job_view,
    login_view,
    me_view,
    user_view,
)
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url


class UserQuery(Paging):
    """Which users: `search` looks at names and e-mail; `filter` is admin, staff or locked."""

    search: str = Field("", max_length=200)
    sort: Literal["id", "created", "last_login"] = "id"
    descending: bool = False
    filter: Literal["", "admin", "staff", "locked"] = ""


class NewToken(Word):
    """A token to make: good for `days`, for `scope` only (docs/rights.md; none: all that the person may)."""

    title: str = Field("", max_length=100)
    days: float = Field(90, gt=0, le=3660)
    scope: list[Annotated[str, Field(max_length=200)]] = Field(default_factory=list, max_length=20)


class NewPassword(Word):
    """A new password; `old` where one changes one's own."""

    new: str = Field(max_length=2048)
    old: str = Field("", max_length=2048)


class NewKey(Word):
    """An SSH public key, as it stands in a file that ends in .pub."""

    key: str = Field(max_length=10_000)
    title: str = Field("", max_length=100)


class GoneKey(Word):
    """The fingerprint (`SHA256:…`) of a key to take away."""

    fingerprint: str = Field(max_length=100)


class NewInvitation(Word):
    """An invitation to make; `project` (`owner/name`) is joined at sign-up."""

    email: str = Field("", max_length=254)
    admin: bool = False
    project: str = Field("", max_length=200)
    role: Literal["viewer", "member", "maintainer"] = "member"
    days: float = Field(7, gt=0, le=90)


class Registration(Word):
    """Whether anybody may sign up."""

    open: bool


async def status(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(
        StatusView(
            signed_in=actor.known,
            user=actor.name,
            needs_setup=domain.accounts.needs_setup(),
            registration_open=await domain.accounts.registration_open(),
        )
    )


async def me(request: web.Request) -> web.StreamResponse:
    _, actor = asked(request)
    return answer(me_view(actor))


async def users(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, UserQuery)
    page = await domain.accounts.list(actor, q.search, q.sort, q.descending, q.most, q.cursor, q.filter)
    return listed([user_view(user) for user in page.items], page.next, total=page.total)


async def add_user(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    user = await domain.accounts.create(actor, await body(request, NewUser))
    note = await domain.linux.note(user.id)
    return answer(NewUserView(**user_view(user).model_dump(), note=note), 201)


async def user(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(user_view(await domain.accounts.get(actor, part(request, "user"))))


async def change_user(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    patch = await body(request, UserPatch)
    return answer(user_view(await domain.accounts.update(actor, part(request, "user"), patch)))


async def remove_user(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    return answer(job_view(await domain.accounts.remove(actor, part(request, "user"))), 202)


async def removal(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return answer(await domain.leaving.plan(actor, part(request, "user")))


async def keys(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return listed(await domain.keys.list(actor, part(request, "user")))


async def add_key(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    new = await body(request, NewKey)
    if part(request, "user") != actor.name:
        raise Denied("Everybody adds their own keys.")
    return answer(await domain.keys.add(actor, new.key, new.title), 201)


async def remove_key(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    gone = await body(request, GoneKey)
    await domain.keys.remove(actor, part(request, "user"), gone.fingerprint)
    return nothing()


async def set_password(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    given = await body(request, NewPassword)
    await domain.accounts.set_password(actor, part(request, "user"), given.new, given.old)
    return nothing()


async def add_token(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    new = await body(request, NewToken)
    login, token = await domain.accounts.new_token(actor, part(request, "user"), new.title, new.days, new.scope)
    view = TokenView(id=login.id, token=token, title=login.title, scope=login.scope, expires=login.expires)
    return answer(view, 201)


async def logins(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    found = await domain.accounts.logins(actor, part(request, "user"))
    return listed([login_view(login, actor) for login in found])


async def end_login(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await domain.accounts.end_login(actor, part(request, "id"))
    return nothing()


async def sign_out(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    await domain.accounts.sign_out_everywhere(actor, part(request, "user"))
    return nothing()


async def user_activity(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, Paging)
    entries, next = await domain.activity.of_user(actor, part(request, "user"), q.most, q.cursor)
    return listed([activity_view(entry) for entry in entries], next)


async def security(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, Paging)
    entries, next = await domain.activity.security(actor, q.most, q.cursor)
    return listed([activity_view(entry) for entry in entries], next)


async def invitations(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    q = query(request, Paging)
    found, next = await domain.accounts.invitations(actor, q.most, q.cursor)
    return listed([invitation_view(invitation) for invitation in found], next)


async def invite(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    new = await body(request, NewInvitation)
    code = await domain.accounts.invite(actor, **new.model_dump())
    invitation = await domain.accounts.invitation(code)
    assert invitation is not None  # made a moment ago
    return answer(invitation_view(invitation, code, f"{domain.config.server.url}/signup?code={code}"), 201)


async def withdraw_invitation(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await domain.accounts.withdraw_invitation(actor, part(request, "id"))
    return nothing()


async def registration(request: web.Request) -> web.StreamResponse:
    domain, _ = asked(request)
    return answer(Registration(open=await domain.accounts.registration_open()))


async def set_registration(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wanted = await body(request, Registration)
    await domain.accounts.set_registration(actor, wanted.open)
    return answer(wanted)


P = Permission
_USER = f"{PREFIX}/users/{{user}}"
URLS = [
    Url("GET", f"{PREFIX}/status", status, P.ANYBODY, gives=StatusView, summary="Whether I am signed in"),
    Url("GET", f"{PREFIX}/me", me, P.SIGNED_IN, gives=MeView, summary="Who I am"),
    Url("GET", f"{PREFIX}/users", users, P.ADMIN, gives=PageOfUsers, query=UserQuery, summary="Users"),
    Url("POST", f"{PREFIX}/users", add_user, P.ADMIN, NewUser, NewUserView, 201, summary="Make a user"),
    Url("GET", _USER, user, P.SIGNED_IN, gives=UserView, summary="A user"),
    Url("PATCH", _USER, change_user, P.ACCOUNT, UserPatch, UserView, summary="Change a user"),
    Url("DELETE", _USER, remove_user, P.ADMIN, None, JobView, 202, summary="Remove a user"),
    Url("GET", f"{_USER}/removal", removal, P.ADMIN, gives=Removal, summary="What removing a user does"),
    Url("GET", f"{_USER}/keys", keys, P.SIGNED_IN, gives=PageOf[PublicKey], summary="SSH keys"),
    Url("POST", f"{_USER}/keys", add_key, P.ACCOUNT, NewKey, PublicKey, 201, summary="Add an SSH key"),
    Url("DELETE", f"{_USER}/keys", remove_key, P.ACCOUNT, GoneKey, status=204, summary="Take an SSH key away"),
    Url("PUT", f"{_USER}/password", set_password, P.ACCOUNT, NewPassword, status=204, summary="Set a password"),
    Url("POST", f"{_USER}/tokens", add_token, P.ACCOUNT, NewToken, TokenView, 201, summary="Make an API token"),
    *safety.URLS,
    Url("GET", f"{_USER}/logins", logins, P.SIGNED_IN, gives=PageOf[LoginView], summary="Logins and API tokens"),
    Url("POST", f"{_USER}/sign-out", sign_out, P.ACCOUNT, status=204, summary="End all browser logins"),
    Url(
        "GET",
        f"{_USER}/activity",
        user_activity,
        P.SIGNED_IN,
        gives=PageOf[ActivityView],
        query=Paging,
        summary="What was done by and to a user",
    ),
    Url("DELETE", f"{PREFIX}/logins/{{id}}", end_login, P.ACCOUNT, status=204, summary="End a login or API token"),
    Url("GET", f"{PREFIX}/security", security, P.ADMIN, None, PageOf[ActivityView], 200, Paging, "The security log"),
    Url("GET", f"{PREFIX}/invitations", invitations, P.ADMIN, None, PageOf[InvitationView], 200, Paging, "Invitations"),
    Url("POST", f"{PREFIX}/invitations", invite, P.ADMIN, NewInvitation, InvitationView, 201, summary="Invite"),
    Url("DELETE", f"{PREFIX}/invitations/{{id}}", withdraw_invitation, P.ADMIN, status=204, summary="Take back"),
    Url("GET", f"{PREFIX}/settings/registration", registration, P.ANYBODY, gives=Registration, summary="Registration"),
    Url(
        "PUT",
        f"{PREFIX}/settings/registration",
        set_registration,
        P.ADMIN,
        Registration,
        Registration,
        summary="Open or close",
    ),
]
