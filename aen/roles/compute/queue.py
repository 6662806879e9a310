"""Queue: so many at the same time, the others in the order in which they came, each told its place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Tell = Callable[[int], None]  # the place of one who waits: 1 is next


class Queue:
    """Lets `most` in."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: dict[asyncio.Future[None], Tell] = {}

    @asynccontextmanager
    async def turn(self, tell: Tell) -> AsyncIterator[None]:
        """Wait for one's turn and hold it. `tell` hears one's place, and each better one."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(tell)
        try:
            yield
        finally:
            self._next()

    async def _wait(self, tell: Tell) -> None:
        mine = asyncio.get_running_loop().create_future()
        self._waiting[mine] = tell
        tell(len(self._waiting))
        try:
            await mine
        except asyncio.CancelledError:
            if self._waiting.pop(mine, None) is not None:
                self._tell_all()
            elif not mine.cancelled():
                self._next()  # it was our turn already
            raise

    def _next(self) -> None:
        """One is done: the first that waits goes on in its place."""
        while self._waiting:
            first = next(iter(self._waiting))
            del self._waiting[first]
            if not first.cancelled():
                first.set_result(None)
                self._tell_all()
                return
        self._free += 1

    def _tell_all(self) -> None:
        for place, tell in enumerate(self._waiting.values(), 1):
            tell(place)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
