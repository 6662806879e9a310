"""Histories: how far this gateway has taken in each server's numbered changes of routes, in whatever order it hears of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from aen.messages import ReadRoutes, RouteAdded, RouteRemoved, Routes
from aen.model.route import Route
from aen.proxy.routes import RouteTable

_MOST = 8  # histories that are remembered: of the servers there are, and of those before their restarts
_MOST_BEYOND = 20_000  # changes heard of beyond a gap; more, and that server is asked for all it has
_MOST_AGAIN = 500


@dataclass
class _Place:
    """How far one history is taken in."""

    number: int = 0  # every change up to this one; 0: nothing was read yet
    beyond: set[int] = field(default_factory=set)  # the changes that were heard of besides
    ahead: dict[str, int] = field(default_factory=dict)  # session → the newest of those
    said: set[str] | None = None  # while all routes are read: the sessions that somebody said are there

    def hear(self, number: int, session: str) -> bool:
        """Take note of an event; whether it tells anything new."""
        if number <= self.number:
            return False
        newer = number > self.ahead.get(session, 0)
        if newer:
            self.ahead[session] = number
        self.beyond.add(number)
        self.reach(self.number)
        return newer

    def reach(self, number: int) -> None:
        """Everything up to `number` is taken in, and so is what follows it without a gap (while all is read, that is read, too)."""
        while self.said is None and number + 1 in self.beyond:
            number += 1
        if number != self.number:
            self.number = number
            self.beyond = {one for one in self.beyond if one > number}
            self.ahead = {session: one for session, one in self.ahead.items() if one > number}


class Histories:
    """Makes the table say what the servers say. `forget` is told each route that ended."""

    def __init__(self, table: RouteTable, forget: Callable[[Route], None]) -> None:
        self._table, self._forget = table, forget
        self._places: dict[str, _Place] = {}  # heard of last at the end
        self._lately: set[str] = set()  # sessions that events said are there, since we asked last
        self._again: set[str] = set()  # those that were doubtful when we began to read, and have yet to be told of

    @property
    def behind(self) -> bool:
        """Whether something was missed of a server whose routes were read."""
        return any(place.number and place.beyond for place in self._places.values())

    def begin(self) -> None:
        """From now on pages are asked for until there are no more."""
        self._again = set(islice(self._table.doubtful, _MOST_AGAIN))

    def asking(self, datacenter: str) -> ReadRoutes:
        """What to ask next."""
        self._lately = set()
        known = {history: place.number for history, place in self._places.items() if place.number}
        return ReadRoutes(datacenter=datacenter, known=known, again=sorted(self._again))

    def hear(self, event: RouteAdded | RouteRemoved) -> None:
        """Take in an event, unless what it says is known."""
        session = event.route.session if isinstance(event, RouteAdded) else event.session
        if event.history:
            place = self._place(event.history)
            if len(place.beyond) >= _MOST_BEYOND:
                place = self._places[event.history] = _Place()
            if not place.hear(event.number, session):
                return
        others = len(self._places) > (1 if event.history else 0)
        if isinstance(event, RouteAdded):
            self._add(event.route, others)
        else:
            self._end(event.session, event.generation, others)

    def take(self, answer: Routes) -> bool:
        """Take in a page; whether to ask for another one."""
        place = self._place(answer.history)
        if not answer.since:
            place.said, place.number = set(self._lately), 0
        if answer.since > place.number:
            return True  # it was begun anew since we asked
        if answer.number >= place.number:  # else events were faster
            self._settle(answer)
            self._take_in(place, answer)
        if not answer.more:
            self._end_others(place)
        return answer.more

    def _settle(self, answer: Routes) -> None:
        """What was doubtful, and is told of in this answer, is so no more."""
        told = {route.session for route in answer.routes} | {gone.session for gone in answer.ended}
        settled = self._again & told if answer.more else self._again
        self._table.doubtful -= settled
        self._again = self._again - settled

    def _take_in(self, place: _Place, answer: Routes) -> None:
        others = len(self._places) > 1
        for route in answer.routes:
            if place.ahead.get(route.session, 0) <= answer.number:
                if place.said is not None:
                    self._table.readmit(route)
                self._add(route, others)
        for gone in answer.ended:
            if place.ahead.get(gone.session, 0) <= answer.number:
                self._end(gone.session, gone.generation, others)
        place.reach(answer.number)

    # Where others than the one who tells it may know better (a server that was slow to hear of a change, and then died),
    # whoever answers next is asked again about what was changed.

    def _add(self, route: Route, others: bool) -> None:
        before = self._table.version
        self._table.add(route)
        if others and self._table.version != before:
            self._table.doubtful.add(route.session)
        self._lately.add(route.session)
        for place in self._places.values():
            if place.said is not None:
                place.said.add(route.session)

    def _end(self, session: str, generation: int, others: bool) -> None:
        entry = self._table.remove(session, generation)
        if entry is None:
            return
        if others:
            self._table.doubtful.add(session)
        self._forget(entry.route)

    def _end_others(self, place: _Place) -> None:
        """All has been read: what nobody said is there has ended while we did not listen."""
        if place.said is None:
            return
        for entry in self._table.keep_only(place.said):
            self._forget(entry.route)
        place.said = None
        place.reach(place.number)

    def _place(self, history: str) -> _Place:
        place = self._places.pop(history, None) or _Place()
        self._places[history] = place
        if len(self._places) > _MOST:
            del self._places[next(iter(self._places))]
        return place
