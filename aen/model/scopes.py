"""Scopes: what an API token may be narrowed to. Words only; `permissions.py` says what needs which."""

from __future__ import annotations

from collections.abc import Iterable

from aen import names
from aen.errors import Invalid

#: Scope → what it lets a token do, as people read it.
SCOPES: dict[str, str] = {
    "read": "See everything that you may see",
    "run": "Start, use, stop apps in your projects",
    "write": "Change projects and your account",
    "admin": "Administer, if you are an administrator",
    "staff": "Daily report, password links, mail and exceptions, if you are of the staff",
    "account:read": "Your account, people, nodes, search",
    "account:write": "Change your account: profile, password, keys, tokens",
    "projects:read": "See projects, their lists and sessions",
    "projects:create": "Make projects",
    "projects:write": "Change summary, description, tags, environments",
    "projects:team": "Change who is in the team",
    "projects:own": "Rename, publish, pass on and delete",
    "sessions:look": "Open apps that only look at files",
    "sessions:write": "Start, use and stop apps",
}

#: Scope → what comes with it: whoever may change a project may see it.
IMPLIED: dict[str, frozenset[str]] = {
    "projects:write": frozenset({"projects:read"}),
    "projects:team": frozenset({"projects:read"}),
    "projects:own": frozenset({"projects:read"}),
    "sessions:look": frozenset({"projects:read"}),
    "sessions:write": frozenset({"projects:read", "sessions:look"}),
}

#: Those that may be bound to one project by `!project=owner/name`.
OF_A_PROJECT = frozenset(
    scope for scope in SCOPES if scope.startswith(("projects:", "sessions:")) and scope != "projects:create"
)

_BOUND = "!project="
_MOST = 20  # of one token


def parts(scope: str) -> tuple[str, str]:
    """The name of a scope and the project (`owner/name`) that it is bound to, empty for all."""
    name, _, slug = scope.partition(_BOUND)
    return name, slug


def checked(given: Iterable[str]) -> list[str]:
    """`given` in one form, each once. Raises Invalid, naming what there is."""
    found = dict.fromkeys(_checked(scope) for scope in given)
    if len(found) > _MOST:
        raise Invalid(f"A token has at most {_MOST} scopes.")
    return list(found)


def _checked(scope: str) -> str:
    name, slug = parts(scope.strip())
    if name not in SCOPES:
        raise Invalid(f"There is no scope {name[:40]!r}. There are: {', '.join(SCOPES)}.")
    if _BOUND not in scope:
        return name
    if name not in OF_A_PROJECT:
        raise Invalid(f"The scope {name} can't be bound to a project. These can: {', '.join(sorted(OF_A_PROJECT))}.")
    return f"{name}{_BOUND}{names.slug(*names.split_slug(slug))}"


def bound(scopes: Iterable[str], slug: str) -> list[str]:
    """The same scopes, for one project only. Raises Invalid where that can't be."""
    return checked(f"{parts(scope)[0]}{_BOUND}{slug}" for scope in scopes)


def covers(held: Iterable[str], wanted: str) -> bool:
    """Whether a token with the scopes `held` may make one with `wanted`: never more than itself, one project stays one."""
    name, slug = parts(wanted)
    mine = [parts(scope) for scope in held]
    return any(name == own and (not bound_to or bound_to == slug) for own, bound_to in mine)


def may_run(scopes: Iterable[str]) -> frozenset[str] | None:
    """The projects (`owner/name`) whose apps a token with these scopes may use; None: all that the person may."""
    if not scopes:
        return None
    return _projects(scopes, "run", "sessions:write")


def may_look(scopes: Iterable[str]) -> frozenset[str] | None:
    """The same for what only looks: dashboards, the Viewer."""
    if not scopes:
        return None
    return _projects(scopes, "run", "sessions:write", "sessions:look")


def _projects(scopes: Iterable[str], *names: str) -> frozenset[str] | None:
    found = [parts(scope)[1] for scope in scopes if parts(scope)[0] in names]
    return None if "" in found else frozenset(found)
