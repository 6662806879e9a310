"""Patience: a wish whose node can't be reached right now, as after a restart of the bus, is tried again for a moment."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog

from aen.errors import AenError, Unavailable
from aen.model.session import Step
from aen.roles.server.domain import Part

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

#: As for a node that gives no answer: restarts of the bus take few, of a node on a busy machine many more.
SECONDS = 60.0
_PAUSE = (0.25, 0.75)  # seconds between two tries: not all at the same moment


class Patience(Part):
    """Which wishes are put off, and since when. A wish must be safe to say twice; what is wished stands in the store."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._since: dict[str, float] = {}  # wish → its first refusal (monotonic)

    def __contains__(self, wish: str) -> bool:
        return wish in self._since

    def bears(self, wish: str, error: AenError) -> bool:
        """Whether the wish is put off for this refusal: waiting may help, and has not been tried for too long."""
        if not isinstance(error, Unavailable) or error.retry_after is None:
            return False
        return time.monotonic() - self._since.setdefault(wish, time.monotonic()) < SECONDS

    def forget(self, wish: str) -> None:
        """It is fulfilled, refused for good, or nobody's any more."""
        self._since.pop(wish, None)

    def again(self, wish: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do `work` again and again, in the background, for as long as the wish is put off."""

        async def go_on() -> None:
            while wish in self._since:
                await asyncio.sleep(random.uniform(*_PAUSE))  # noqa: S311
                await work()

        self.domain.projects.background.spawn(f"again:{wish}", go_on())


def waiting_step(name: str, node: str) -> Step:
    """What the page shows meanwhile as the first step; the node's own steps come when it is heard."""
    return Step(name=name, detail=f"waiting for the compute node {node}")
