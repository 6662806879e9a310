"""Rights: docs/rights.md, made from the table of permissions: `python -m aen.roles.server.rights > docs/rights.md`."""

from __future__ import annotations

import sys

from aen.model import scopes
from aen.roles.server.permissions import RULES, Permission

#: Permission → what it lets one do, as the documentation says it.
MEANING: dict[Permission, str] = {
    Permission.ANYBODY: "What needs no login: signing in, what is open to anyone",
    Permission.SIGNED_IN: "See one's own account, people, nodes, search",
    Permission.LIST: "See lists of projects and sessions (each entry by its own right)",
    Permission.ACCOUNT: "Change one's own account",
    Permission.CREATE: "Make a project",
    Permission.VIEW: "See a project",
    Permission.LOOK: "Open apps that only look at files",
    Permission.WATCH: "Open a dashboard, if it is for the team, for oneself by name, or for everybody who is signed in",
    Permission.RUN: "Open apps: code runs as the person",
    Permission.CONTROL: "Start, stop and reset the project; end its sessions",
    Permission.EDIT: "Change summary, description, tags",
    Permission.TEAM: "Change who is in the team",
    Permission.OWN: "Rename, publish, pass on, delete",
    Permission.STAFF: "Daily report, links to a new password (not for staff and administrators), mail, exceptions",
    Permission.ADMIN: "Administrators' pages",
}

_HEAD = """\
# Rights

Made by `python -m aen.roles.server.rights` from the one table that AEN itself goes by (`aen/roles/server/permissions.py`); a test
holds this page to it.

A person has a role in each project (viewer, member, maintainer, owner; each may what those before it may) and may be of the
staff or an administrator (AEN 4: superuser) of the installation. Staff see no project that they are not in the team of, and can't
come by an administrator's rights: nobody but administrators gives rights, nor a new password to staff and administrators.
What somebody may not see is answered as if it were not there (404).

## What needs which role

| permission | lets one | in the team as | administrators without being in the team | in the installation as | scopes of an API token, one of |
|---|---|---|---|---|---|
"""

_SCOPES = """
## Scopes of API tokens

A token without scopes may do all that its person may, and never more: scopes only take away. A token of an administrator that was
narrowed without `admin` is no administrator's in lists, either. `!project=owner/name` behind a scope binds it to one project; such a
scope counts for no list and no account. At the gateway (notebooks, terminals, files) a narrowed token needs `run` or
`sessions:write`; for dashboards and the Viewer `sessions:look` is enough. Bound to a project they count there, too, for that project alone:
with `sessions:look!project=alice/genome` a script opens the dashboards of alice/genome, and nothing else.

| scope | lets a token | brings along | may be bound to a project |
|---|---|---|---|
"""


def markdown() -> str:
    """The page."""
    return (
        _HEAD + "\n".join(_rule(permission) for permission in Permission) + "\n" + _SCOPES + "\n".join(_scopes()) + "\n"
    )


def _rule(permission: Permission) -> str:
    rule = RULES.get(permission)
    if rule is None:
        return f"| {permission} | {MEANING[permission]} | | | | |"
    role = f"{rule.role}" if rule.role is not None else ""
    if permission is Permission.VIEW:
        role += ", or the project is public"
    admins = "yes" if rule.admin and rule.role is not None else "no" if rule.role is not None else ""
    with_it = sorted(scope for scope, implied in scopes.IMPLIED.items() if rule.scope in implied)
    needed = ", ".join(f"`{scope}`" for scope in dict.fromkeys([rule.broad, rule.scope, *with_it]))
    standing = rule.standing or ""
    return f"| {permission} | {MEANING[permission]} | {role} | {admins} | {standing} | {needed} |"


def _scopes() -> list[str]:
    found = []
    for scope, about in scopes.SCOPES.items():
        along = ", ".join(f"`{other}`" for other in sorted(scopes.IMPLIED.get(scope, ())))
        found.append(f"| `{scope}` | {about} | {along} | {'yes' if scope in scopes.OF_A_PROJECT else ''} |")
    return found


if __name__ == "__main__":
    sys.stdout.write(markdown())
