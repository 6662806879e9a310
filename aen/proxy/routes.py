"""Routes: which session an address and a person lead to. Pure; asked on every request, so one look-up."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from aen.model.route import ANYONE, SIGNED_IN, Route

if TYPE_CHECKING:
    from aen.proxy.doors import Door


_MOST_REMOVED = 20_000  # ends that are remembered, so that what was said before them comes too late


class Entry:
    """A route as the data plane uses it: with the header lines its app gets."""

    __slots__ = ("changed", "door", "everybody", "lines", "open", "route", "strip", "users")

    def __init__(self, route: Route, changed: int) -> None:
        self.route, self.changed = route, changed
        self.users = frozenset(route.users)
        self.open = route.user == ANYONE and ANYONE in self.users  # whoever comes, without a login: only to look
        self.everybody = SIGNED_IN in self.users  # whoever is signed in, as themselves
        self.door: Door | None = None  # kept here by the data plane
        prefix = f"/{route.owner}/{route.project}/{route.app_server}"
        self.strip = len(prefix) if route.strip else 0  # so many bytes of a path the app doesn't see
        self.lines = (
            f"X-AEN-Project: {route.owner}/{route.project}\r\n"
            f"X-AEN-App-Token: {route.secret}\r\nX-Forwarded-Prefix: {prefix}\r\n"
        ).encode("latin-1")


def key_of(route: Route) -> bytes:
    """How a route is looked up: the first three segments of the path, as they stand in a request line."""
    return f"{route.owner}/{route.project}/{route.app_server}".encode()


class RouteTable:
    """All routes of a data center. `changes` grows with every change: what `replace` compares with."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, dict[str, Entry]] = {}
        self._by_session: dict[str, Entry] = {}
        self._removed: dict[str, tuple[int, int]] = {}  # session → generation, when; oldest first
        self.doubtful: set[str] = set()  # sessions of which a server should be asked again; whoever asks takes them out
        self.changes = 0
        self.version = 0  # differs as soon as a look-up may give something else

    def __len__(self) -> int:
        return len(self._by_session)

    def find(self, key: bytes, user: str) -> Entry | None:
        """The session of `user` (empty: nobody known) at this address: their own, else the team's, else one open to anyone."""
        here = self._by_key.get(key)
        if here is None:
            return None
        entry = here.get(user) or here.get("*")
        if entry is not None and (user in entry.users or (entry.everybody and user)):
            return entry
        entry = here.get(ANYONE)
        return entry if entry is not None and entry.open else None

    def routes(self) -> list[Route]:
        """All of them, with the people who may go through now (for the snapshot)."""
        return [entry.route for entry in self._by_session.values()]

    def add(self, route: Route) -> bool:
        """Take a route in; False when it is older than what is known of its session."""
        known = self._by_session.get(route.session)
        gone = self._removed.get(route.session)
        if (known and route.generation < known.route.generation) or (gone and route.generation < gone[0]):
            return False
        if known and known.route == route:
            return True
        self.changes += 1
        self._put(route)
        return True

    def remove(self, session: str, generation: int) -> Entry | None:
        """Forget a session of this generation or older; the route that was removed."""
        known = self._by_session.get(session)
        if known and known.route.generation > generation:
            return None
        self.changes += 1
        self._removed.pop(session, None)
        self._removed[session] = (generation, self.changes)
        if len(self._removed) > _MOST_REMOVED:
            del self._removed[next(iter(self._removed))]
        return self._drop(session)

    def expel(self, project_id: str, user: str) -> None:
        """Let `user` through to no session of this project until a new route says so."""
        for entry in list(self._by_session.values()):
            if entry.route.project_id == project_id and user in entry.users:
                self.changes += 1
                users = [name for name in entry.route.users if name != user]
                self._put(entry.route.model_copy(update={"users": users}))
                self.doubtful.add(entry.route.session)

    def replace(self, routes: Iterable[Route], since: int) -> list[Entry]:
        """Make the table say what `routes` says, as read when `changes` was `since`; the routes that ended.

        What changed after `since` stays: it is newer than what was read.
        """
        wanted = {route.session: route for route in routes}
        ended = self.keep_only(wanted, since)
        for session, route in wanted.items():
            known = self._by_session.get(session)
            if known and known.changed > since:
                continue
            if self._removed.get(session, (0, -1))[1] > since:
                continue
            self._removed.pop(session, None)
            self.add(route)
        return ended

    def readmit(self, route: Route) -> None:
        """A server that was asked for all it has leads there, whatever was heard to have ended before."""
        self._removed.pop(route.session, None)

    def keep_only(self, sessions: Container[str], since: int | None = None) -> list[Entry]:
        """Drop all others (that did not change after `since`); the routes that ended."""
        others = [entry for session, entry in self._by_session.items() if session not in sessions]
        ended = [entry for entry in others if since is None or entry.changed <= since]
        for entry in ended:
            self._drop(entry.route.session)
        return ended

    def _put(self, route: Route) -> None:
        self.version += 1
        self._drop(route.session)
        entry = Entry(route, self.changes)
        self._by_session[route.session] = entry
        self._by_key.setdefault(key_of(route), {})[route.user] = entry

    def _drop(self, session: str) -> Entry | None:
        entry = self._by_session.pop(session, None)
        if entry is None:
            return None
        self.version += 1
        key = key_of(entry.route)
        here = self._by_key[key]
        if here.get(entry.route.user) is entry:
            del here[entry.route.user]
        if not here:
            del self._by_key[key]
        return entry
