"""Live events: a hub of topics in memory, and their stream to a page (Server-Sent Events).

Topics: `project:<id>`, `session:<id>`, `user:<name>`, `nodes`, `jobs`. Nothing is kept: who was away reads the state anew.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from aen.roles.server.domain import Part
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

WAITING = 200  # events that may wait for one subscriber
HEARTBEAT = 4.0  # seconds between looks whether the stream may go on, and comments that keep proxies from closing it
RETRY = 2_000  # ms after which a browser comes back
RESYNC = "resync"
_HEARD_BY_ALL = frozenset({"node", "examined"})  # every server hears them from the nodes themselves
LOGIN_ENDED = "login.ended"  # on `user:<name>`: whoever streams looks at once whether it was their login
_LOOK = frozenset({LOGIN_ENDED, "project"})  # before these are told: a project that changed may be somebody's no more

Allowed = Callable[[], Awaitable[bool]]
Shown = Callable[["Happened"], bool]


@dataclass(frozen=True)
class Happened:
    """One live event. `resync` (no topic) says that events were lost: read the state anew."""

    number: int
    topic: str
    kind: str
    data: dict[str, Any]


class Subscription:
    """One subscriber's bounded queue. Iterate over it; it ends when the server drains, or after a `resync`."""

    def __init__(self, hub: Events, topics: frozenset[str]) -> None:
        self.topics = topics
        self._hub = hub
        self._queue: asyncio.Queue[Happened | None] = asyncio.Queue()
        self._dropped = False

    def __aiter__(self) -> AsyncIterator[Happened]:
        return self

    async def __anext__(self) -> Happened:
        event = await self._queue.get()
        if event is None:
            self._queue.put_nowait(None)  # so that asking again ends again
            raise StopAsyncIteration
        return event

    def close(self) -> None:
        """Hear no more. Safe to call twice."""
        self._hub.forget(self)
        self._end()

    def put(self, event: Happened) -> None:
        """Take an event; one who is too slow gets a `resync` in place of what waited, and the end."""
        if self._queue.qsize() < WAITING:
            self._queue.put_nowait(event)
            return
        self._hub.forget(self)
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(Happened(event.number, "", RESYNC, {}))
        self._end()

    def _end(self) -> None:
        self._queue.put_nowait(None)


class Events(Part):
    """The hub. `publish` is cheap and never waits."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._subscribers: dict[str, set[Subscription]] = {}
        self._numbers = itertools.count(1)
        self._draining = False

    async def begin(self, service: Service) -> None:
        """Streams end when the service stops, if `drain` wasn't called before."""
        self.domain.company.hear("page", lambda told: self._tell(told.topic, told.kind, told.data))
        self.domain.company.hear("changed", lambda told: None if told.topic else self.read_anew())
        await service.enter(_Ending(self))

    def publish(self, topic: str, kind: str, data: dict[str, Any]) -> None:
        """Tell everybody who hears `topic`, here and at other servers. `data` must be JSON; it isn't copied."""
        self._tell(topic, kind, data)
        if kind not in _HEARD_BY_ALL:
            self.domain.company.tell("page", topic, kind, data)

    def read_anew(self) -> None:
        """Every page reads its state anew: something may have been missed."""
        everybody: set[Subscription] = set().union(*self._subscribers.values()) if self._subscribers else set()
        for subscriber in everybody:
            subscriber.put(Happened(next(self._numbers), "", RESYNC, {}))

    def _tell(self, topic: str, kind: str, data: dict[str, Any]) -> None:
        hearing = self._subscribers.get(topic)
        if not hearing:
            return
        event = Happened(next(self._numbers), topic, kind, data)
        for subscriber in tuple(hearing):
            subscriber.put(event)

    def subscribe(self, topics: Iterable[str]) -> Subscription:
        """Hear these topics from now on (before the first `await`, nothing is missed). Close it in the end."""
        subscription = Subscription(self, frozenset(topics))
        if self._draining:
            subscription.close()
            return subscription
        for topic in subscription.topics:
            self._subscribers.setdefault(topic, set()).add(subscription)
        return subscription

    def forget(self, subscription: Subscription) -> None:
        """Publish to this subscription no more."""
        for topic in subscription.topics:
            hearing = self._subscribers.get(topic)
            if hearing is None:
                continue
            hearing.discard(subscription)
            if not hearing:
                del self._subscribers[topic]

    def drain(self) -> None:
        """End all streams and refuse new ones: browsers come back to whoever serves then."""
        self._draining = True
        for hearing in list(self._subscribers.values()):
            for subscription in tuple(hearing):
                subscription.close()

    async def stream(
        self,
        request: web.Request,
        topics: Iterable[str],
        still_allowed: Allowed | None = None,
        first: Iterable[tuple[str, dict[str, Any]]] = (),
        shown: Shown = lambda event: True,
    ) -> web.StreamResponse:
        """Answer with a stream of these topics until the client goes, the server drains or the login ends.

        `still_allowed` is asked at each heartbeat, at most HEARTBEAT seconds apart, and when a project has changed. `first`: kind and data of events
        that only this stream gets, at its beginning (the state as it is). `shown`: which events are told. A browser that comes back after a break
        (`Last-Event-ID`) gets a `resync` first, since nothing is kept.
        """
        subscription = self.subscribe(topics)
        response = web.StreamResponse(headers=_HEADERS)
        try:
            await response.prepare(request)
            await response.write(f"retry: {RETRY}\n\n".encode())
            if "Last-Event-ID" in request.headers:
                await response.write(_frame(Happened(0, "", RESYNC, {})))
            for kind, data in first:
                await response.write(_frame(Happened(0, "", kind, data)))
            await _pump(subscription, response, still_allowed, shown)
        except (ConnectionError, ConnectionResetError):
            return response  # the client has gone
        finally:
            subscription.close()
        with suppress(ConnectionError):
            await response.write_eof()
        return response

    def health(self) -> dict[str, Any]:
        """How many hear how many topics."""
        hearing = set().union(*self._subscribers.values()) if self._subscribers else set()
        return {"status": "ok", "topics": len(self._subscribers), "subscribers": len(hearing)}


_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


class _Ending:
    """Drains the hub when its service stops."""

    def __init__(self, hub: Events) -> None:
        self._hub = hub

    async def __aenter__(self) -> Events:
        return self._hub

    async def __aexit__(self, *exc: object) -> None:
        self._hub.drain()


async def _pump(
    subscription: Subscription, response: web.StreamResponse, still_allowed: Allowed | None, shown: Shown
) -> None:
    """Write events until the subscription or the login ends. A busy stream is checked as often as a quiet one."""
    clock = asyncio.get_running_loop().time
    checked = clock()
    while True:
        event = await _next(subscription, checked + HEARTBEAT - clock())
        look = isinstance(event, Happened) and event.kind in _LOOK
        if look or clock() >= checked + HEARTBEAT:
            checked = clock()
            if still_allowed is not None and not await still_allowed():
                await response.write(_ENDED)
                return
            await response.write(b": still here\n\n")
        if event is _END:
            return
        if isinstance(event, Happened) and (not event.topic or shown(event)):
            await response.write(_frame(event))


_END = object()
_ENDED = b"event: ended\ndata: {}\n\n"  # not to be confused with an end that a browser comes back after


async def _next(subscription: Subscription, seconds: float) -> object:
    """The next event, `_END`, or None when none came in time."""
    try:
        async with asyncio.timeout(max(seconds, 0)):
            return await anext(subscription)
    except TimeoutError:
        return None
    except StopAsyncIteration:
        return _END


def _frame(event: Happened) -> bytes:
    data = json.dumps({**event.data, "topic": event.topic} if event.topic else event.data, separators=(",", ":"))
    number = f"id: {event.number}\n" if event.number else ""
    return f"{number}event: {event.kind}\ndata: {data}\n\n".encode()
