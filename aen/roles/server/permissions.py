"""Permissions: one table says what each kind of act needs; `check` is the only judge."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web

from aen.errors import Denied, NotFound, NotSignedIn
from aen.model.project import Project, Role, Visibility
from aen.model.user import Login, User

#: How the local administrator (admin socket) is named in records. No user can have this name.
LOCAL = "(local)"


@dataclass(frozen=True)
class Actor:
    """Who asks. `Actor()` is nobody in particular; `local` is the machine's administrator, through the admin socket."""

    user: User | None = None
    login: Login | None = None
    local: bool = False

    @property
    def name(self) -> str:
        """The user's name; `(local)` for the local administrator; empty for nobody in particular."""
        if self.user is not None:
            return self.user.id
        return LOCAL if self.local else ""

    @property
    def known(self) -> bool:
        """Somebody is signed in, or it is the local administrator."""
        return self.user is not None or self.local

    @property
    def admin(self) -> bool:
        """May administer: an administrator, or the local administrator."""
        return self.local or (self.user is not None and self.user.admin)

    @property
    def scope(self) -> frozenset[str]:
        """What an API token is narrowed to (`read`, `run`, `write`, `admin`); empty: all that the person may."""
        return frozenset(self.login.scope) if self.login else frozenset()


class Permission(StrEnum):
    """What an act needs."""

    ANYBODY = "anybody"  # no login at all
    SIGNED_IN = "signed_in"  # look at what every signed-in person may
    ACCOUNT = "account"  # change one's own account
    CREATE = "create"  # make a project
    VIEW = "view"  # see a project
    LOOK = "look"  # open apps that only look at files
    RUN = "run"  # open apps
    CONTROL = "control"  # start, stop, reset the project; end its sessions
    EDIT = "edit"  # summary, description, tags
    TEAM = "team"  # who is in the team
    OWN = "own"  # rename, visibility, delete
    ADMIN = "admin"  # administrators' pages


@dataclass(frozen=True)
class Rule:
    """The least team role (None: not about a project), whether administrators may without being in the team, the token scope."""

    scope: str
    role: Role | None = None
    admin: bool = True


RULES: dict[Permission, Rule] = {
    Permission.SIGNED_IN: Rule("read"),
    Permission.ACCOUNT: Rule("write"),
    Permission.CREATE: Rule("write"),
    Permission.VIEW: Rule("read", Role.VIEWER),
    Permission.LOOK: Rule("run", Role.VIEWER, admin=False),
    # Apps run as the person's own account, which only the team's permissions let into the files.
    Permission.RUN: Rule("run", Role.MEMBER, admin=False),
    Permission.CONTROL: Rule("run", Role.MEMBER),
    Permission.EDIT: Rule("write", Role.MAINTAINER),
    Permission.TEAM: Rule("write", Role.MAINTAINER),
    Permission.OWN: Rule("write", Role.OWNER),
    Permission.ADMIN: Rule("admin"),
}

#: What an administrator who acts as somebody (for support) may not: passwords, tokens, keys, deletion, apps.
NOT_WHILE_ACTING = frozenset({Permission.ACCOUNT, Permission.OWN, Permission.LOOK, Permission.RUN, Permission.ADMIN})

_ORDER = {role: rank for rank, role in enumerate(Role)}

#: Set by the server's middleware on every request.
ACTOR: web.RequestKey[Actor] = web.RequestKey("actor", Actor)


def may_see(actor: Actor, project: Project) -> bool:
    """Whether the project exists, as far as `actor` is concerned."""
    if actor.admin:
        return True
    if actor.user is None:
        return False
    return project.visibility is Visibility.PUBLIC or project.role_of(actor.user.id) is not None


def check(actor: Actor, permission: Permission, project: Project | None = None) -> None:
    """Return if `actor` may; `project` is needed where the rule has a role.

    Raises NotSignedIn, NotFound (may not even see the project) or Denied (with what is missing).
    """
    if permission is Permission.ANYBODY:
        return
    if not actor.known:
        raise NotSignedIn("Sign in first.")
    if actor.login is not None and actor.login.acting and permission in NOT_WHILE_ACTING:
        raise Denied("While you act as somebody else you can't do that: not what stays, nor what runs as them.")
    rule = RULES[permission]
    if actor.scope and rule.scope not in actor.scope:
        raise Denied(f"This API token may not do that: it needs the scope {rule.scope!r}. Make another one.")
    if permission is Permission.ADMIN and not actor.admin:
        raise Denied("Only administrators may do that. Ask one of them.")
    if rule.role is not None and project is not None:
        _check_role(actor, rule, rule.role, project)


def allows(actor: Actor, permission: Permission, project: Project | None = None) -> bool:
    """Whether `check` would pass: for showing or hiding a button."""
    try:
        check(actor, permission, project)
    except (NotSignedIn, NotFound, Denied):
        return False
    return True


def _check_role(actor: Actor, rule: Rule, least: Role, project: Project) -> None:
    if not may_see(actor, project):
        raise NotFound("There is no such project, or you may not see it.")
    if rule.admin and actor.admin:
        return
    if least is Role.VIEWER and rule.admin:
        return  # whoever sees it may look
    role = project.role_of(actor.user.id) if actor.user else None
    if role is None or _ORDER[role] < _ORDER[least]:
        now = f"you are a {role}" if role else "you are not in its team"
        raise Denied(f"That needs the role {least} in {project.slug}; {now}. Ask its owner, {project.owner}.")
