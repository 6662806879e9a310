"""Route history: the routes of one data center with the number of each one's last change, so that gateways ask for what is new."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain

from aen.messages import ReadRoutes, RouteEnded, Routes
from aen.model.route import Route

PAGE_BYTES = 384 * 1024  # of routes in one answer; the bus carries 512 KiB
MOST_ENDED = 10_000  # ends that are remembered; who has missed more of them reads all routes anew
_END_BYTES = 120  # of an end in an answer, at the most
_Changes = OrderedDict[str, tuple[int, Route]] | OrderedDict[str, tuple[int, int]]  # session → number, what


class History:
    """Numbers each change. Of each session only the last one is kept, so reading from 0 is reading all there is.

    What changes while somebody reads moves behind what they have yet to read: they never begin anew for it.
    """

    def __init__(self, page_bytes: int = PAGE_BYTES, most_ended: int = MOST_ENDED) -> None:
        self.id = secrets.token_hex(
            8
        )  # another one after a restart: numbers of two histories mean nothing to each other
        self.number = 1  # of the newest change; 0 is "nothing read yet"
        self._page_bytes, self._most_ended = page_bytes, most_ended
        self._routes: OrderedDict[str, tuple[int, Route]] = OrderedDict()  # session → its last change, oldest first
        self._ended: OrderedDict[str, tuple[int, int]] = OrderedDict()  # session → its end, generation; oldest first
        self._hash = 0, ""  # of all routes, at that number
        self._forgotten = 0  # ends up to this number are remembered no more

    def put(self, route: Route) -> int:
        """A route is there, or another one than before. The number of this change."""
        self.number += 1
        self._ended.pop(route.session, None)
        self._routes[route.session] = self.number, route
        self._routes.move_to_end(route.session)
        return self.number

    def end(self, session: str, generation: int) -> int:
        """A route is there no more. The number of this change."""
        self.number += 1
        self._routes.pop(session, None)
        self._ended[session] = self.number, generation
        self._ended.move_to_end(session)
        if len(self._ended) > self._most_ended:
            self._forgotten = self._ended.popitem(last=False)[1][0]
        return self.number

    def answer(self, command: ReadRoutes) -> Routes:
        """What a gateway asks for."""
        return self._whole(command) if command.known is None else self._news(command, command.known.get(self.id, 0))

    def _whole(self, command: ReadRoutes) -> Routes:
        """A page for a gateway of the version before, which reads no numbers. Two servers say the same version of the same."""
        mine = sorted((route for _, route in self._routes.values()), key=lambda route: route.session)
        if self._hash[0] != self.number:
            self._hash = self.number, _hash(mine)
        page = Routes(version=self._hash[1], unchanged=command.have == self._hash[1] and not command.after)
        rest = [route.session for route in mine if route.session > command.after and not page.unchanged]
        size = 0
        for session in rest:
            if size > self._page_bytes:
                page.more = True
                break
            size += self._say(page, session)
        return page

    def _news(self, command: ReadRoutes, since: int) -> Routes:
        """What changed since the gateway asked last, in order; all there is, if it does not know this history (any more)."""
        if not self._forgotten <= since <= self.number:
            since = 0
        page = Routes(version="", history=self.id, since=since, number=since)
        size = 0
        again = ((since, one) for one in command.again if one in self._routes or one in self._ended)
        for number, session in chain(again, self._changes(since)):
            if size > self._page_bytes:
                page.more = True
                return page
            page.number = number
            size += self._say(page, session)
        page.number = self.number
        return page

    def _say(self, page: Routes, session: str) -> int:
        """Put in how the session is now. How many bytes that takes."""
        if session not in self._routes:
            page.ended.append(RouteEnded(session=session, generation=self._ended[session][1]))
            return _END_BYTES
        route = self._routes[session][1]
        page.routes.append(route)
        return len(route.model_dump_json()) + 1

    def _changes(self, since: int) -> list[tuple[int, str]]:
        """Number and session of each change after `since`, oldest first."""
        return sorted([*_newer(self._routes, since), *_newer(self._ended, since)])


def _newer(changes: _Changes, since: int) -> Iterator[tuple[int, str]]:
    for session in reversed(changes):
        number = changes[session][0]
        if number <= since:
            return
        yield number, session


def _hash(routes: list[Route]) -> str:
    digest = hashlib.sha256()
    for route in routes:
        digest.update(route.model_dump_json().encode())
    return digest.hexdigest()[:32]
