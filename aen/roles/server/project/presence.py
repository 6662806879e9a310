"""Presence: who has a page of a project open now. In memory alone; servers of one store tell each other at every beat."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aen.messages import ServerTold
from aen.roles.server.domain import Part
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

_LINGER = 6.0  # seconds that somebody stays here after their last page closed: they may only be reloading it
_BEAT = 15.0
_ELSEWHERE = 2.5 * _BEAT  # so long another server's word counts


def topic(project: str) -> str:
    """What pages of the team listen to: when somebody comes and goes is no stranger's business, either."""
    return f"here:{project}"


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
        now = time.monotonic()
        return frozenset(user for (id, user), until in self._until.items() if id == project and until > now)

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
        now = time.monotonic()
        gone = [key for key, until in self._until.items() if until <= now]
        for key in gone:
            del self._until[key]
        for project in {project for project, _ in gone}:
            self._tell_pages(project)
