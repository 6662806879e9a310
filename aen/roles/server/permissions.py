"""Permissions: one table says what each kind of act needs; `check` is the only judge."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web

from aen.errors import Denied, NotFound, NotSignedIn
from aen.model import scopes
from aen.model.project import Project, Role, Visibility
from aen.model.user import Login, User

ADMIN_SCOPE, STAFF_SCOPE = "admin", "staff"

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
    def since(self) -> int:
        """When this person came, ms since 1970: what bears their name and is older is of an earlier bearer."""
        return self.user.created if self.user is not None else 0

    def owns(self, name: str, at: int) -> bool:
        """Whether what is of somebody called `name`, and of that time, is this person's."""
        return self.user is not None and self.user.id == name and at >= self.since

    @property
    def known(self) -> bool:
        """Somebody is signed in, or it is the local administrator."""
        return self.user is not None or self.local

    @property
    def admin(self) -> bool:
        """May administer: an administrator, or the local administrator. Not by a token that was narrowed to something else:
        a narrowed administrator stays narrowed in every list, too."""
        may = self.user is not None and self.user.admin
        return self.local or (may and (not self.scope or ADMIN_SCOPE in self.scope))

    @property
    def staff(self) -> bool:
        """May what staff may: staff, and administrators. Not by a token that was narrowed to something else."""
        may = self.user is not None and (self.user.staff or self.user.admin)
        return self.local or (may and (not self.scope or not self.scope.isdisjoint((ADMIN_SCOPE, STAFF_SCOPE))))

    @property
    def scope(self) -> frozenset[str]:
        """What an API token is narrowed to, as `projects:read` or `sessions:write!project=alice/genome`; empty: nothing."""
        return frozenset(self.login.scope) if self.login else frozenset()


class Permission(StrEnum):
    """What an act needs."""

    ANYBODY = "anybody"  # no login at all
    SIGNED_IN = "signed_in"  # look at what every signed-in person may
    LIST = "list"  # lists of projects and sessions, each entry by its own right
    ACCOUNT = "account"  # change one's own account
    CREATE = "create"  # make a project
    VIEW = "view"  # see a project
    LOOK = "look"  # open apps that only look at files
    WATCH = "watch"  # open a dashboard that says so of oneself
    RUN = "run"  # open apps
    CONTROL = "control"  # start, stop, reset the project; end its sessions
    EDIT = "edit"  # summary, description, tags
    TEAM = "team"  # who is in the team
    OWN = "own"  # rename, visibility, delete
    STAFF = "staff"  # the daily report, links to a new password, mail, exceptions
    ADMIN = "admin"  # administrators' pages


class Standing(StrEnum):
    """What somebody is in the whole installation; the later may all that the earlier may."""

    STAFF = "staff"
    ADMINISTRATOR = "administrator"  # AEN 4's superuser


@dataclass(frozen=True)
class Rule:
    """The least team role (None: not about a project), whether administrators may without being in the team, the least
    standing in the installation (None: any), and the scope that an API token needs if it is narrowed: `broad` for this and
    all of its kind, or `scope`. `bound`: it is about a project without a least role there: scopes of that project count."""

    broad: str
    scope: str
    role: Role | None = None
    admin: bool = True
    standing: Standing | None = None
    bound: bool = False


RULES: dict[Permission, Rule] = {
    Permission.SIGNED_IN: Rule("read", "account:read"),
    Permission.LIST: Rule("read", "projects:read"),
    Permission.ACCOUNT: Rule("write", "account:write"),
    Permission.CREATE: Rule("write", "projects:create"),
    Permission.VIEW: Rule("read", "projects:read", Role.VIEWER),
    Permission.LOOK: Rule("run", "sessions:look", Role.VIEWER, admin=False),
    # Whom a dashboard is for, it says itself (dashboards.py): its team, people who are named, or everybody signed in.
    Permission.WATCH: Rule("run", "sessions:look", bound=True),
    # Apps run as the person's own account, which only the team's permissions let into the files.
    Permission.RUN: Rule("run", "sessions:write", Role.MEMBER, admin=False),
    Permission.CONTROL: Rule("run", "sessions:write", Role.MEMBER),
    Permission.EDIT: Rule("write", "projects:write", Role.MAINTAINER),
    Permission.TEAM: Rule("write", "projects:team", Role.MAINTAINER),
    Permission.OWN: Rule("write", "projects:own", Role.OWNER),
    Permission.STAFF: Rule(ADMIN_SCOPE, STAFF_SCOPE, standing=Standing.STAFF),
    Permission.ADMIN: Rule(ADMIN_SCOPE, ADMIN_SCOPE, standing=Standing.ADMINISTRATOR),
}

#: What may be done about a project that is deleted and can still be had back.
WHILE_DELETED = frozenset({Permission.SIGNED_IN, Permission.LIST, Permission.VIEW, Permission.OWN, Permission.ADMIN})

#: What an administrator who acts as somebody (for support) may not: passwords, tokens, keys, deletion, apps.
NOT_WHILE_ACTING = frozenset(
    {
        Permission.ACCOUNT,
        Permission.OWN,
        Permission.LOOK,
        Permission.WATCH,
        Permission.RUN,
        Permission.STAFF,
        Permission.ADMIN,
    }
)

_ORDER = {role: rank for rank, role in enumerate(Role)}

#: Set by the server's middleware on every request.
ACTOR: web.RequestKey[Actor] = web.RequestKey("actor", Actor)


def may_see(actor: Actor, project: Project) -> bool:
    """Whether the project exists, as far as `actor` is concerned."""
    if actor.admin:
        return True
    if actor.user is None:
        return False
    public = project.visibility is Visibility.PUBLIC and not project.ends
    return public or project.role_of(actor.user.id) is not None


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
    check_scope(actor, permission, project)
    if rule.standing is Standing.ADMINISTRATOR and not actor.admin:
        raise Denied("Only administrators may do that. Ask one of them.")
    if rule.standing is Standing.STAFF and not actor.staff:
        raise Denied("Only staff and administrators may do that. Ask one of them.")
    if rule.role is not None and project is not None:
        _check_role(actor, rule, rule.role, project)
    if project is not None and project.ends and permission not in WHILE_DELETED:
        raise Denied(f"{project.slug} is deleted. Its owner, {project.owner}, can restore it for some days.")


def check_scope(actor: Actor, permission: Permission, project: Project | None = None) -> None:
    """Return if the actor's API token is not narrowed, or wide enough. Denied, with the scope that is missing.

    A scope that is bound to one project counts for that one. Before the project is known (`project` is None) it counts for
    what is about a project, which is checked again then; it never counts for lists and accounts.
    """
    if not actor.scope:
        return
    rule = RULES[permission]
    if not any(_grants(scope, rule, project) for scope in actor.scope):
        needed = rule.scope if rule.scope == rule.broad else f"{rule.scope} (or {rule.broad})"
        where = f" in {project.slug}" if project is not None else ""
        raise Denied(f"This API token may not do that{where}: it needs the scope {needed}. Make another one.")


def _grants(scope: str, rule: Rule, project: Project | None) -> bool:
    name, slug = scopes.parts(scope)
    if name not in (rule.broad, rule.scope) and rule.scope not in scopes.IMPLIED.get(name, ()):
        return False
    if not slug:
        return True
    return (rule.role is not None or rule.bound) and (project is None or project.slug == slug)


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
