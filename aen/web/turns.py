"""Turns: in each turn of the event loop a few requests begin, the others wait in the order in which they came.

A loop looks for new requests only between its turns. With 50 of them begun in one, whose next request just missed that look waited
for two such turns, again and again, while others were answered twice: with 1 ms for a page, one in fifty took 100 ms instead of 50.
"""

from __future__ import annotations

import asyncio
from collections import deque

_EACH = 4  # begin in a turn


class Turns:
    """`await turns.take()` before any work for a request. Nothing is held: whoever waits for something else is in nobody's way."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._begun = 0  # in this turn
        self._counting = False

    async def take(self) -> None:
        """Come back when it is one's turn: at once where few come."""
        loop = asyncio.get_running_loop()
        if not self._counting:
            self._counting = True
            loop.call_soon(self._next, loop)
        if self._begun < _EACH and not self._waiting:
            self._begun += 1
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """A turn is over."""
        self._begun = 0
        while self._waiting and self._begun < _EACH:
            turn = self._waiting.popleft()
            if not turn.done():  # else who waited has gone away
                turn.set_result(None)
                self._begun += 1
        self._counting = self._begun > 0
        if self._counting:
            loop.call_soon(self._next, loop)
