"""Names: what users, projects and environments may be called, and where a name goes.

The one place that maps a name into path, URL, bus address, host label and account; each mapping is injective.
"""

from __future__ import annotations

import base64
import hashlib
import re

from aen.errors import Invalid

_USER = re.compile(r"[a-z][a-z0-9_-]{0,30}[a-z0-9]|[a-z]")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9._-]{0,61}[a-z0-9]|[a-z0-9]")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,61}[A-Za-z0-9]|[A-Za-z0-9]")
_NODE = _PROJECT

# Words of our own addresses and names that would mislead people; accounts of the system are refused by uid on the node.
RESERVED_USERS = frozenset(
    """root aen wakari anonymous nobody public system daemon bin sys www-data
    api acting admin account forgotten login logout signup setup static gateway project projects user users team me new about help
    people session sessions search events health metrics app apps job jobs node nodes invite avatar import join published
    dashboards""".split()
)
RESERVED_PROJECTS = frozenset({"new", "settings"})


def user(name: str) -> str:
    """`name`, if a person may be called that. Raises Invalid with what is allowed.

    A user's name is also the name of the Linux account, the first folder below the project root
    and the first part of the address at the gateway.
    """
    if not _USER.fullmatch(name):
        raise Invalid(
            f"{_shown(name)} can't be a user name: use 1 to 32 lower-case letters, digits, - or _, "
            "starting with a letter and ending with a letter or digit."
        )
    if name in RESERVED_USERS:
        raise Invalid(f"The user name {_shown(name)} is reserved. Choose another.")
    return name


def typed(text: str) -> tuple[str, str]:
    """Name and domain (empty: none) of what somebody typed to sign in: `Name`, `DOMAIN\\name`, `name@domain`.

    Both in lower case and at most 64 characters long. The one place where names from outside are made comparable.
    """
    plain = text.strip().lower()
    if "\\" in plain:
        domain, _, name = plain.rpartition("\\")
    else:
        name, _, domain = plain.partition("@")
    return name.strip()[:64], domain.strip()[:64]


def canonical(text: str) -> str:
    """The user name for what a directory or provider calls a person: lower case, dots as `-`. Raises Invalid.

    Two people can come out as one name (`a.b` and `a-b`): whoever makes accounts of it must tell them apart by their subject.
    """
    return user(text.strip().lower().replace(".", "-"))


def project(name: str) -> str:
    """`name`, if a project may be called that. Raises Invalid with what is allowed."""
    if not _PROJECT.fullmatch(name) or ".." in name:
        raise Invalid(
            f"{_shown(name)} can't be a project name: use 1 to 63 lower-case letters, digits, '.', - or _, "
            "starting and ending with a letter or digit."
        )
    if name in RESERVED_PROJECTS:
        raise Invalid(f"The project name {_shown(name)} is reserved. Choose another.")
    return name


def environment(name: str) -> str:
    """`name`, if an environment may be called that. Raises Invalid with what is allowed."""
    if not _ENVIRONMENT.fullmatch(name) or ".." in name:
        raise Invalid(
            f"{_shown(name)} can't be an environment name: use 1 to 63 letters, digits, '.', - or _, "
            "starting and ending with a letter or digit."
        )
    return name


def node(name: str) -> str:
    """`name`, if a node or data center may be called that. Raises Invalid with what is allowed."""
    if not _NODE.fullmatch(name):
        raise Invalid(f"{_shown(name)} can't name a node or data center: use lower-case letters, digits, '.', - or _.")
    return name


def slug(owner: str, name: str) -> str:
    """A project's full name, `owner/name`."""
    return f"{owner}/{name}"


def split_slug(text: str) -> tuple[str, str]:
    """Owner and name of a full project name. Raises Invalid."""
    owner, _, name = text.partition("/")
    return user(owner), project(name)


def address(role: str, part: str = "") -> str:
    """A bus address, as `compute.n7`: dots inside the part are encoded, so that parts can't run together."""
    return f"{role}.{token(part)}" if part else role


def token(part: str) -> str:
    """One part of a bus address or subject: without dots."""
    return part.replace("%", "%25").replace(".", "%2E")


def plain(token: str) -> str:
    """What `token` was made of."""
    return token.replace("%2E", ".").replace("%25", "%")


def session_id(project_id: str, user_name: str, app_server: str) -> str:
    """The id of the one session that a person (or `*`: everybody) has of an app server in a project."""
    digest = hashlib.sha256("\0".join((project_id, user_name, app_server)).encode()).digest()
    return base64.b32encode(digest[:10]).decode().lower()


def host_label(owner: str, name: str) -> str:
    """A DNS label for a project, at most 63 characters, injective.

    Plain names give `owner--name`, with one `--`; all others give `short--h--hash`, with two.
    """
    plain = f"{owner}--{name}"
    safe = re.fullmatch(r"[a-z0-9-]+", plain) and plain.count("--") == 1 and "---" not in plain
    if safe and len(plain) <= 63:
        return plain
    digest = base64.b32encode(hashlib.sha256(slug(owner, name).encode()).digest()[:16]).decode().lower().rstrip("=")
    short = re.sub(r"[^a-z0-9]+", "-", f"{owner}-{name}")[:24].strip("-")
    return f"{short}--h--{digest}"


def suggestion(text: str) -> str:
    """A project name near to what somebody typed, or an empty string."""
    near = re.sub(r"[^a-z0-9._-]+", "-", text.strip().lower())
    near = re.sub(r"[-._]*([-._])[-._]*", r"\1", near).strip("-._")[:63].strip("-._")
    return near if _PROJECT.fullmatch(near) else ""


def _shown(name: str) -> str:
    """A name as an error message may show it: short, no control characters."""
    cut = name if len(name) <= 40 else name[:40] + "…"
    return repr(cut)
