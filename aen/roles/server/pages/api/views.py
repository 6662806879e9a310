"""API views: what answers look like. A document of the store is never sent as it is."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import Field

from aen.model import Word
from aen.model.activity import Activity
from aen.model.job import Job
from aen.model.project import Member, Project
from aen.model.session import Idle, Step, Use
from aen.model.space import Space
from aen.model.user import Allowance, Invitation, Login, User
from aen.roles.server.permissions import Actor, Permission, allows

T = TypeVar("T")


class PageOf(Word, Generic[T]):
    """One page of a list; `next` is the cursor of the following one, empty at the end."""

    items: list[T]
    next: str = ""


class UserView(Word):
    """A person, for themselves and administrators."""

    name: str
    full_name: str
    email: str
    company: str
    location: str
    url: str
    language: str
    theme: str
    admin: bool
    staff: bool
    locked: bool
    picture: bool = False  # whether there is one: GET /api/v1/users/<name>/picture
    allowance: Allowance
    created: int
    last_login: int


class NewUserView(UserView):
    """A person who was just made. `note`: what is in the way of their Linux account, or was not looked at; mostly empty."""

    note: str = ""


class PageOfUsers(PageOf[UserView]):
    """One page of the users; `total`: how many there are in all that fit."""

    total: int


class MeView(Word):
    """Who is asking. `csrf` goes into X-CSRF-Token where the login cookie is used; `scope` is that of an API token."""

    name: str
    user: UserView | None
    admin: bool
    staff: bool
    csrf: str
    scope: list[str]
    expires: int


class StatusView(Word):
    """What anybody may know: whether they are signed in, and how one comes in."""

    signed_in: bool
    user: str
    needs_setup: bool
    registration_open: bool


class LoginView(Word):
    """A browser login or API token. `current`: the one that asks."""

    id: str
    kind: str
    title: str
    scope: list[str]
    created: int
    last_seen: int
    expires: int
    address: str
    agent: str
    current: bool


class TokenView(Word):
    """A new API token: `token` is shown only now."""

    id: str
    token: str
    title: str
    scope: list[str]
    expires: int


class InvitationView(Word):
    """An invitation that is open. `code` and `url` are shown once, when it is made."""

    id: str
    email: str
    admin: bool
    role: str
    created_by: str
    expires: int
    code: str = ""
    url: str = ""


class MemberView(Word):
    """One person of a team."""

    user: str
    role: str
    added: int


class ProjectView(Word):
    """A project. `role` is the asker's ("" when not in the team); `may` names what they may do here."""

    id: str
    owner: str
    name: str
    slug: str
    summary: str
    description: str
    visibility: str
    tags: list[str]
    stars: int
    starred: bool
    team: list[MemberView]
    datacenter: str
    node: str
    environment: str
    space: Space | None  # what it takes on its node's disk, measured now and then
    space_limit: int  # bytes that an administrator gave it; 0: what the configuration says
    ends: int  # deleted, and can be restored until then (ms since 1970); 0: not deleted
    state: str
    reason: str
    log_tail: str
    since: int
    created: int
    updated: int
    role: str
    may: list[str]
    url: str


class SessionViewOfApi(Word):
    """A session. `url` is the app server's base address and ends in `/`; `open_url` is the page to land on."""

    id: str
    app: str
    app_server: str
    project: str
    user: str
    started_by: str = ""
    phase: str
    reason: str = ""
    log_tail: str = ""
    steps: list[Step] = Field(default_factory=list)
    url: str
    open_url: str
    activity: int = 0
    activity_source: str = ""
    use: Use | None = None
    idle: Idle | None = None


class AppView(Word):
    """Something one can start."""

    name: str
    title: str
    description: str
    icon: str
    app_server: str


class JobView(Word):
    """A piece of work that goes on by itself."""

    id: str
    kind: str
    subject: str
    state: str
    progress: float
    message: str
    attempts: int
    created_by: str
    created: int
    updated: int


class ActivityView(Word):
    """One act."""

    at: int
    who: str
    actor: str
    act: str
    object: str
    detail: str
    address: str


def fields(document: Any, view: type[Word], **more: Any) -> dict[str, Any]:
    """The fields that a document and its view have in common, and more."""
    values = {name: getattr(document, name) for name in view.model_fields if hasattr(document, name)}
    return {**values, **more}


def user_view(user: User) -> UserView:
    """A person without what is secret."""
    return UserView(**fields(user, UserView, name=user.id, picture=bool(user.picture)))


def me_view(actor: Actor) -> MeView:
    """Who asks."""
    login = actor.login
    return MeView(
        name=actor.name,
        user=user_view(actor.user) if actor.user else None,
        admin=actor.admin,
        staff=actor.staff,
        csrf=login.csrf if login else "",
        scope=login.scope if login else [],
        expires=login.expires if login else 0,
    )


def login_view(login: Login, actor: Actor) -> LoginView:
    """A login or token without its secrets."""
    current = actor.login is not None and actor.login.id == login.id
    return LoginView(**fields(login, LoginView, current=current))


def invitation_view(invitation: Invitation, code: str = "", url: str = "") -> InvitationView:
    """An invitation."""
    return InvitationView(**fields(invitation, InvitationView, code=code, url=url))


def member_view(member: Member) -> MemberView:
    """A person of a team."""
    return MemberView(user=member.user, role=member.role, added=member.added)


_SHOWN = (Permission.RUN, Permission.CONTROL, Permission.EDIT, Permission.TEAM, Permission.OWN)


def project_view(project: Project, actor: Actor, server_url: str) -> ProjectView:
    """A project as `actor` sees it: the log's tail is for those who may run things in it."""
    may = [str(permission) for permission in _SHOWN if allows(actor, permission, project)]
    more = {
        "team": [member_view(member) for member in project.team],
        "role": project.role_of(actor.name) or "",
        "may": may,
        "starred": actor.user is not None and project.id in actor.user.starred,
        "log_tail": project.log_tail if Permission.CONTROL in may else "",
        "url": f"{server_url}/{project.owner}/{project.name}",
    }
    return ProjectView(**fields(project, ProjectView, **more))


def job_view(job: Job) -> JobView:
    """A job, without its payload."""
    return JobView(**fields(job, JobView))


def activity_view(entry: Activity, *, address: bool = True) -> ActivityView:
    """An act; where it came from is for the person and administrators only."""
    more = {} if address else {"address": ""}
    return ActivityView(**fields(entry, ActivityView, **more))
