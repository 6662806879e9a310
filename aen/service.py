"""Service: something that is opened once and closed once, with what it entered and spawned."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from enum import StrEnum
from typing import Any, TypeVar

import structlog

T = TypeVar("T")
log = structlog.get_logger(__name__)


class State(StrEnum):
    """Where a service is in its life."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Service:
    """A part of a node. A subclass writes `open()` only; stopping is never written by hand.

    Use it as an async context manager, or by `start()` and `stop()`.
    `failed` is set when a task for life ends: the node then stops with exit code 1.
    """

    name: str = "service"

    def __init__(self) -> None:
        self.state = State.NEW
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Enter what this service needs (`enter`) and spawn its tasks for life (`spawn`)."""

    def health(self) -> dict[str, Any]:
        """This service's health in its own words; at least `{"status": "ok" | "degraded"}`."""
        return {"status": "ok" if self.state is State.RUNNING else "degraded", "state": self.state}

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Enter a resource; it is left when the service stops, last first."""
        return await self._stack.enter_async_context(resource)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` for life. Its failure, or its end before the service stops, fails the service."""
        task = asyncio.create_task(work, name=f"{self.name}:{name}")
        task.add_done_callback(self._task_done)
        self._stack.push_async_callback(_cancelled, task)
        return task

    async def start(self) -> None:
        """Open the service; when that fails, what was entered is left again and the error is raised."""
        self.state = State.STARTING
        try:
            await self.open()
        except BaseException:
            self.state = State.FAILED
            await self._stack.aclose()
            raise
        self.state = State.RUNNING

    async def stop(self) -> None:
        """Leave everything that was entered, last first. Safe to call twice."""
        if self.state in (State.STOPPING, State.STOPPED, State.NEW):
            return
        self.state = State.STOPPING
        await self._stack.aclose()
        self.state = State.STOPPED

    async def __aenter__(self) -> Service:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if self.state in (State.STOPPING, State.STOPPED) or task.cancelled():
            return
        error = task.exception() or RuntimeError("ended before its service did")
        log.error("task for life failed", service=self.name, task=task.get_name(), exc_info=error)
        self.state = State.FAILED
        if not self.failed.done():
            self.failed.set_result(error)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
