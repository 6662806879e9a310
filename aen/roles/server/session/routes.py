"""Routes: which sessions gateways can lead people to. Kept in memory, made again from heartbeats after a restart."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from aen.errors import Unavailable
from aen.messages import ReadRoutes, RouteAdded, RouteRemoved, Routes, SessionReport
from aen.model.project import Project
from aen.model.route import ANYONE, Route
from aen.model.session import Session
from aen.roles.server.domain import Part
from aen.roles.server.session.route_history import History

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

_WARM_SECONDS = 20.0  # so long after a start the nodes may take to be heard
_LONGEST_WARM = 300.0  # and what those that are heard say, to be taken in


class RouteTable(Part):
    """The routes of all data centers. A route holds a secret: it goes to gateways only, never into a log or the API."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._routes: dict[str, tuple[str, Route]] = {}  # session → data center, route
        self._ended: dict[str, int] = {}  # session → generation that must not come back
        self._revs: dict[str, int] = {}  # project → newest revision seen: an older team must not come back
        self._histories: dict[str, History] = {}  # of each data center
        self._awaited: set[str] = set()  # nodes that have yet to say what they have, since this server started
        self._began = time.monotonic()
        self._events: set[asyncio.Task[None]] = set()

    def wait_for(self, nodes: set[str]) -> None:
        """This server has just started: these nodes have sessions, and their routes are known once they are heard."""
        self._awaited = set(nodes)
        self._began = time.monotonic()

    def heard(self, node: str) -> None:
        """The node has told all it has."""
        self._awaited.discard(node)

    def __len__(self) -> int:
        return len(self._routes)

    def get(self, session: str) -> Route | None:
        """The route to a session, or None."""
        found = self._routes.get(session)
        return found[1] if found else None

    def put(self, session: Session, report: SessionReport, project: Project) -> None:
        """The session runs at its upstream: lead people there."""
        if report.generation <= self._ended.get(session.id, 0) or project.rev < self._revs.get(project.id, 0):
            return
        self._revs[project.id] = project.rev
        users = self.domain.admitting.users(session.user, session.app_server, project)
        if not users:
            return
        route = Route(
            session=session.id,
            generation=report.generation,
            owner=project.owner,
            project=project.name,
            project_id=project.id,
            app_server=session.app_server,
            user=session.user,
            users=users,
            node=session.node,
            upstream=report.upstream,
            uid=report.uid,
            secret=report.secret,
            strip=self.domain.admitting.strips(session.app_server),
        )
        self._set(session.datacenter, route)

    def drop(self, session: str, generation: int, datacenter: str, *, final: bool = True) -> None:
        """Lead nobody to this generation any more; `final`: nor later (a lost session may be found again)."""
        if final:
            self._ended[session] = max(generation, self._ended.get(session, 0))
        found = self._routes.get(session)
        if found is None or found[1].generation > generation:
            return
        del self._routes[session]
        self._take_out(found[0], session, generation)

    def refresh(self, project: Project) -> None:
        """The team changed: who may go through follows."""
        if project.rev < self._revs.get(project.id, 0):
            return
        self._revs[project.id] = project.rev
        for datacenter, route in [entry for entry in self._routes.values() if entry[1].project_id == project.id]:
            users = self.domain.admitting.users(route.user, route.app_server, project)
            if users:
                self._set(datacenter, route.model_copy(update={"users": users}))
            else:
                self.drop(route.session, route.generation, datacenter)

    def open_to_anyone(self) -> list[str]:
        """The sessions that people without a login are led to."""
        return [session for session, (_, route) in self._routes.items() if ANYONE in route.users]

    def projects_with(self, prefix: str) -> set[str]:
        """The projects that have such app servers at work."""
        return {route.project_id for _, route in self._routes.values() if route.app_server.startswith(prefix)}

    async def read(self, command: ReadRoutes) -> Routes:
        """The answer to a gateway. Unavailable while this server does not yet know all of them: it keeps what it has."""
        if self._is_warming():
            raise Unavailable("The server has just started and is waiting for its compute nodes.", retry_after=2)
        return self._history(command.datacenter).answer(command)

    def _is_warming(self) -> bool:
        """Whether a node that has sessions has yet to be heard, or what it says has yet to be taken in."""
        seconds = time.monotonic() - self._began
        if not self._awaited or seconds > _LONGEST_WARM:
            return False
        return seconds < _WARM_SECONDS or any(self.domain.nodes.up(node) for node in self._awaited)

    def _history(self, datacenter: str) -> History:
        return self._histories.setdefault(datacenter, History())

    def _set(self, datacenter: str, route: Route) -> None:
        before = self._routes.get(route.session)
        if before == (datacenter, route):
            return
        if before is not None and before[0] != datacenter:
            self._take_out(before[0], route.session, before[1].generation)
        self._routes[route.session] = (datacenter, route)
        history = self._history(datacenter)
        number = history.put(route)
        self._publish(RouteAdded(datacenter=datacenter, route=route, history=history.id, number=number))

    def _take_out(self, datacenter: str, session: str, generation: int) -> None:
        history = self._history(datacenter)
        number = history.end(session, generation)
        event = RouteRemoved(
            datacenter=datacenter, session=session, generation=generation, history=history.id, number=number
        )
        self._publish(event)

    def _publish(self, event: RouteAdded | RouteRemoved) -> None:
        # Tasks start in the order in which they are made, so that the events keep theirs.
        task = asyncio.create_task(self.bus.publish(event), name="route event")
        self._events.add(task)
        task.add_done_callback(self._published)

    def _published(self, task: asyncio.Task[None]) -> None:
        self._events.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("a route event was not sent; gateways find out by asking", reason=str(task.exception()))
