"""The bus inside one process. It encodes and decodes all the same: what works here works between machines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aen.bus import Bus, C, E, Subscription
from aen.bus.receiving import Responder, Subscriber
from aen.bus.wire import decode_reply, encode
from aen.errors import Conflict, Unavailable
from aen.messages import Command, Event
from aen.messages.unanswered import nobody, silent
from aen.model import Word


class LocalBus(Bus):
    """The in-process carrier. One object is one bus: whoever shares it can talk."""

    def __init__(self) -> None:
        self._open = False
        self._subscribers: dict[str, list[Subscriber[Any]]] = {}
        self._responders: dict[tuple[str, str], Responder[Any]] = {}
        self._all: set[Subscriber[Any] | Responder[Any]] = set()

    async def __aenter__(self) -> LocalBus:
        self._open = True
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._open = False
        for receiver in list(self._all):
            await receiver.closed()
        self._all.clear()

    async def publish(self, event: Event) -> None:
        """Tell everybody who subscribed to this kind; see the contract."""
        self._check_open()
        data = encode(event)
        for subscriber in tuple(self._subscribers.get(type(event).__name__, ())):
            subscriber.put(data)

    def subscribe(self, kind: type[E], handler: Callable[[E], Awaitable[None]]) -> Subscription:
        """Hear each event of `kind`; see the contract."""
        hearing = self._subscribers.setdefault(kind.__name__, [])

        def gone() -> None:
            self._all.discard(subscriber)
            if subscriber in hearing:
                hearing.remove(subscriber)

        subscriber = Subscriber(kind, handler, gone)
        hearing.append(subscriber)
        self._all.add(subscriber)
        return subscriber

    async def request(self, address: str, command: Command, timeout: float = 10.0) -> Any:
        """Ask whoever responds at `address`; see the contract."""
        self._check_open()
        name = type(command).__name__
        data = encode(command)
        responder = self._responders.get((address, name))
        if responder is None:
            raise nobody(address, name)
        try:
            async with asyncio.timeout(timeout):
                reply = await responder.reply(data)
        except TimeoutError:
            raise silent(address, name, timeout) from None
        return decode_reply(command.answer, reply)

    def respond(self, address: str, kind: type[C], handler: Callable[[C], Awaitable[Word]]) -> Subscription:
        """Answer commands of `kind` at `address`; see the contract. Raises Conflict when somebody does already."""
        place = (address, kind.__name__)
        if place in self._responders:
            raise Conflict(f"{kind.__name__} is already answered at {address}.")

        def gone() -> None:
            if self._responders.get(place) is responder:
                del self._responders[place]

        responder = Responder(kind, handler, gone)
        self._responders[place] = responder
        self._all.add(responder)
        return responder

    def health(self) -> dict[str, Any]:
        """How many hear and answer, and how many events were lost to slow subscribers."""
        subscribers = [one for hearing in self._subscribers.values() for one in hearing]
        return {
            "status": "ok" if self._open else "degraded",
            "carrier": "local",
            "subscribers": len(subscribers),
            "responders": len(self._responders),
            "lost": sum(one.lost for one in subscribers),
        }

    def _check_open(self) -> None:
        if not self._open:
            raise Unavailable("The bus of this node is not open (it is starting or stopping).")
