"""Tracker: how far the steps of one start are, with times, told live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from aen.errors import AenError
from aen.model.session import Step, StepState

Note = Callable[[str], None]  # what a step says of itself while it runs


class Tracker:
    """The steps as the page shows them. `tell` publishes them."""

    def __init__(self, names: Iterable[str], tell: Callable[[], Awaitable[None]], soon: Callable[[], None]) -> None:
        self.steps = [Step(name=name) for name in names]
        self._tell = tell
        self._soon = soon  # for what is said between: it may be thinned out

    @asynccontextmanager
    async def step(self, name: str) -> AsyncIterator[Note]:
        """Run the step `name`: running, then done or failed, with its seconds."""
        step = next(step for step in self.steps if step.name == name)
        began = time.monotonic()
        step.state, step.seconds, step.detail = StepState.RUNNING, None, ""
        await self._tell()

        def note(text: str) -> None:
            if text != step.detail:
                step.detail = text
                self._soon()

        try:
            yield note
        except BaseException as error:
            step.state = StepState.FAILED
            step.detail = error.message if isinstance(error, AenError) else type(error).__name__
            step.seconds = round(time.monotonic() - began, 3)
            raise
        step.state, step.seconds = StepState.DONE, round(time.monotonic() - began, 3)
        await self._tell()


def thinned(tell: Callable[[], object], seconds: float = 0.25) -> Callable[[], None]:
    """A function that calls `tell` soon, however often it is called itself."""
    pending: set[asyncio.Task[None]] = set()

    async def later() -> None:
        await asyncio.sleep(seconds)
        await tell()  # type: ignore[misc]

    def soon() -> None:
        if not pending:
            task = asyncio.create_task(later(), name="compute:report")
            pending.add(task)
            task.add_done_callback(pending.discard)

    return soon
