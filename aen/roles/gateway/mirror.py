"""Mirror: the table of routes of a gateway with workers, and its likeness in each of them."""

from __future__ import annotations

from collections.abc import Callable

from aen.model.route import Route
from aen.proxy.routes import Entry, RouteTable

Tell = Callable[[str, Route | None], None]


class Source(RouteTable):
    """Tells each change as it was decided here: a session and its route, or None when it has none any more."""

    def __init__(self, tell: Tell) -> None:
        super().__init__()
        self._tell, self._within = tell, False

    def _put(self, route: Route) -> None:
        self._within = True  # what it replaces is no news
        super()._put(route)
        self._within = False
        self._tell(route.session, route)

    def _drop(self, session: str) -> Entry | None:
        entry = super()._drop(session)
        if entry is not None and not self._within:
            self._tell(session, None)
        return entry


class Mirror(RouteTable):
    """Takes such changes as they come: what is older or newer was decided where they come from."""

    def put(self, route: Route) -> None:
        """This session is there now."""
        self.changes += 1
        self._put(route)

    def drop(self, session: str) -> Entry | None:
        """This session is nowhere; where it was."""
        self.changes += 1
        return self._drop(session)
