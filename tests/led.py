"""Led: a table of routes that a gateway's Following keeps true, with nobody who is led by it."""

from __future__ import annotations

from aen.model.route import Revocation, Route
from aen.proxy.routes import RouteTable
from aen.roles.gateway import ending
from aen.roles.gateway.admission import Doorman


class Table:
    """See following.Led: a table, and nobody who looks at it."""

    def __init__(self, doorman: Doorman) -> None:
        self.routes, self.doorman = RouteTable(), doorman
        self.forgotten: list[Route] = []

    def keys_changed(self) -> None:
        """See Led."""

    def forget(self, route: Route) -> None:
        """See Led."""
        self.forgotten.append(route)

    def begin_anew(self) -> None:
        """See Led."""

    def chose(self, user: str, at: int) -> None:
        """See Led."""

    def revoke(self, entry: Revocation) -> int:
        """See Led."""
        ending.take_in(entry, self.doorman, self.routes)
        return 0
