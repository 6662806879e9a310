"""Background work of the server's parts: tasks that go on after the answer, and what is heard on the bus; both end with the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog

from aen.bus import Bus, Subscription
from aen.errors import AenError, TimedOut
from aen.messages import Command

log = structlog.get_logger(__name__)


async def again_and_again(what: str, work: Callable[[], Awaitable[object]], seconds: float) -> None:
    """For life: do `work`, wait, do it again. While the store or a node is away it is put off: that must not end the server."""
    while True:
        try:
            await work()
        except AenError as error:
            log.warning("put off until the next time", what=what, reason=error.message)
        await asyncio.sleep(seconds)


class Background(AbstractAsyncContextManager["Background"]):
    """Tasks that outlive the request that began them. What they leave undone is found again by a sweep, so they may be cut."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def spawn(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, unless work of the same key is under way already."""
        if key in self._tasks:
            work.close()
            return
        task = asyncio.create_task(work, name=f"server:{key}")
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._done(key, done))

    def __len__(self) -> int:
        return len(self._tasks)

    def busy(self, key: str) -> bool:
        """Whether work of that key is under way."""
        return key in self._tasks

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def __aexit__(self, *exc: object) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _done(self, key: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, AenError):
            log.warning("background work failed; it is tried again", work=key, reason=error.message)
        elif error is not None:
            log.error("background work failed", work=key, exc_info=error)


@asynccontextmanager
async def held(*subscriptions: Subscription) -> AsyncIterator[None]:
    """Keep subscriptions until the service ends."""
    try:
        yield
    finally:
        for subscription in subscriptions:
            subscription.cancel()


async def ask(bus: Bus, address: str, command: Command, timeout: float = 10.0) -> Any:
    """Request; asked again once after a time-out, since that means unknown and the receiver remembers the command's id."""
    try:
        return await bus.request(address, command, timeout)
    except TimedOut:
        return await bus.request(address, command, timeout)
