"""Presence: who has a page of a project open now. In memory alone; servers of one store tell each other at every beat."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aen.messages import ServerTold
from aen.model import now
from aen.model.project import Project
from aen.model.route import ANYONE
from aen.model.session import Phase, Session
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

_LINGER = 6.0  # seconds that somebody stays here after their last page closed: they may only be reloading it
_BEAT = 15.0
_AT_WORK_MS = 10 * 60_000  # so long after the last activity somebody still counts as at work
_ELSEWHERE = 2.5 * _BEAT  # so long another server's word counts


def topic(project: str) -> str:
    """What pages of the team listen to: when somebody comes and goes is no stranger's business, either."""
    return f"here:{project}"


@dataclass(frozen=True)
class Here:
    """Somebody of a team who is here now: with a page of the project open, at work in an app (its title), or both."""

    user: str
    page: bool
    app: str = ""


class Presence(Part):
    """Who is here. Told to the team's pages alone, and kept nowhere: it is no record of who looked when."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._open: Counter[tuple[str, str]] = Counter()  # pages here, of a person in a project
        self._until: dict[tuple[str, str], float] = {}

    async def begin(self, service: Service) -> None:
        """See Part."""
        self.domain.company.hear("here", self._heard)
        service.spawn(self._for_life(), "presence")

    def of(self, project: str) -> frozenset[str]:
        """Names of those who have a page of the project open."""
        clock = time.monotonic()
        return frozenset(user for (id, user), until in self._until.items() if id == project and until > clock)

    async def here(self, actor: Actor, owner: str, name: str) -> list[Here]:
        """Who of a project's team is here now. For the team and administrators; others are told of nobody. NotFound."""
        project = await self.domain.projects.get(actor, owner, name)
        return self.people(actor, project, await self.domain.sessions.of_project(actor, owner, name))

    def people(self, actor: Actor, project: Project, sessions: Sequence[Session]) -> list[Here]:
        """The same, of a project and its sessions that were read for `actor`."""
        if project.role_of(actor.name) is None and not actor.admin:
            return []
        found = {user: Here(user, True) for user in self.of(project.id) if project.role_of(user) is not None}
        for session in sessions:
            user, view = session.user, self.domain.sessions.view(session)
            at_work = session.phase is Phase.RUNNING and now() - view["activity"] < _AT_WORK_MS
            if at_work and user not in ("*", ANYONE):
                found[user] = Here(user, user in found and found[user].page, view["title"])
        return list(found.values())

    @contextlib.contextmanager
    def open(self, project: str, user: str) -> Iterator[None]:
        """A page is open, until the context ends."""
        key = (project, user)
        self._open[key] += 1
        self._mark(key, float("inf"))
        self.domain.company.tell("here", project, user)
        try:
            yield
        finally:
            self._open[key] -= 1
            if self._open[key] <= 0:
                del self._open[key]
                self._until[key] = time.monotonic() + _LINGER

    def _heard(self, told: ServerTold) -> None:
        key = (told.topic, told.kind)
        if key not in self._open:
            self._mark(key, time.monotonic() + _ELSEWHERE)

    def _mark(self, key: tuple[str, str], until: float) -> None:
        new = self._until.get(key, 0.0) <= time.monotonic()
        self._until[key] = until
        if new:
            self._tell_pages(key[0])

    def _tell_pages(self, project: str) -> None:
        self.domain.events.publish(topic(project), "here", {})

    async def _for_life(self) -> None:
        beat = time.monotonic() + _BEAT
        while True:
            await asyncio.sleep(_LINGER / 2)
            self.sweep()
            if time.monotonic() >= beat:
                beat = time.monotonic() + _BEAT
                for project, user in list(self._open):
                    self.domain.company.tell("here", project, user)

    def sweep(self) -> None:
        """Those who have gone are forgotten, and the pages of their projects hear of it."""
        clock = time.monotonic()
        gone = [key for key, until in self._until.items() if until <= clock]
        for key in gone:
            del self._until[key]
        for project in {project for project, _ in gone}:
            self._tell_pages(project)
