"""Ending: what an entry of the revocation log does to a data plane: from now on it counts, also for what is open."""

from __future__ import annotations

from aen.model.route import Revocation, RevocationKind
from aen.proxy.plane import Plane
from aen.proxy.routes import RouteTable
from aen.proxy.tunnel import POLICY
from aen.roles.gateway.admission import Doorman


def take_in(entry: Revocation, doorman: Doorman, routes: RouteTable) -> None:
    """Let nobody through from now on whom the entry keeps out."""
    doorman.revoked.take(entry)
    if entry.kind is RevocationKind.MEMBER:
        routes.expel(*_member(entry))
    else:
        doorman.end_revoked()


def cut_off(entry: Revocation, doorman: Doorman, plane: Plane) -> int:
    """Close the open WebSockets of whom the entry keeps out; how many those were."""
    plane.logins_changed()
    if entry.kind is RevocationKind.MEMBER:
        project, user = _member(entry)
        return plane.close_sockets(
            lambda visitor, route: visitor.user == user and route.project_id == project,
            POLICY,
            "You are no longer in this project's team.",
        )
    return plane.close_sockets(lambda visitor, _: not doorman.revoked.allows(visitor), POLICY, "Your login has ended.")


def _member(entry: Revocation) -> tuple[str, str]:
    """Project and user."""
    project, _, user = entry.subject.partition(" ")
    return project, user
