"""Service: opened once, closed once, in reverse; a task for life that ends fails it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from aen.service import Service, State


class Recorded(Service):
    """Writes down what happens; `breaks` makes `open` fail after it entered things."""

    name = "recorded"

    def __init__(self, breaks: bool = False) -> None:
        super().__init__()
        self.events: list[str] = []
        self.breaks = breaks
        self.go = asyncio.Event()

    @asynccontextmanager
    async def resource(self, name: str) -> AsyncIterator[str]:
        self.events.append(f"enter {name}")
        try:
            yield name
        finally:
            self.events.append(f"leave {name}")

    async def life(self) -> None:
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.events.append("cancelled")
            raise

    async def open(self) -> None:
        assert await self.enter(self.resource("a")) == "a"
        self.spawn(self.life(), "life")
        await self.enter(self.resource("b"))
        await asyncio.sleep(0)
        if self.breaks:
            raise ValueError("broken")


async def test_what_was_entered_is_left_last_first() -> None:
    service = Recorded()
    states = [service.state]
    async with service:
        states.append(service.state)
        assert service.health()["status"] == "ok"
    states.append(service.state)
    assert states == [State.NEW, State.RUNNING, State.STOPPED]
    assert service.events == ["enter a", "enter b", "leave b", "cancelled", "leave a"]
    await service.stop()
    assert service.events.count("leave a") == 1


async def test_a_failed_start_leaves_what_was_entered() -> None:
    service = Recorded(breaks=True)
    with pytest.raises(ValueError, match="broken"):
        await service.start()
    assert service.state is State.FAILED
    assert service.events == ["enter a", "enter b", "leave b", "cancelled", "leave a"]


async def test_stopping_what_never_started_does_nothing() -> None:
    service = Recorded()
    await service.stop()
    assert service.state is State.NEW


async def test_the_end_of_a_task_for_life_fails_the_service() -> None:
    service = Recorded()
    await service.start()
    service.go.set()
    error = await asyncio.wait_for(service.failed, 5)
    assert isinstance(error, RuntimeError)
    assert service.state is State.FAILED
    assert service.health()["status"] == "degraded"
    await service.stop()
    assert service.events[-1] == "leave a"


async def test_a_task_that_breaks_tells_how() -> None:
    service = Recorded()

    async def breaks() -> None:
        raise KeyError("x")

    await service.start()
    service.spawn(breaks(), "breaks")
    assert isinstance(await asyncio.wait_for(service.failed, 5), KeyError)
    await service.stop()
