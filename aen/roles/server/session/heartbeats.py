"""Heartbeats: handed on by who hears them, each node's newest; and what they say of a session that is to be recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import structlog

from aen.messages import NodeReported, SessionReport
from aen.model.session import Phase

log = structlog.get_logger(__name__)

_AT_ONCE = 8  # nodes whose heartbeats are handled together

#: What stands in the record of a session. What is measured again and again (activity, use) is taken from the latest report.
_KEPT = ("generation", "phase", "reason", "log_tail", "upstream", "uid", "secret")


class Heartbeats:
    """Each heartbeat is read once, and by those who may be slow, later: a node whose word waits is heard all the same."""

    def __init__(self, handler: Callable[[NodeReported], Awaitable[None]]) -> None:
        self._handler = handler
        self._waiting: dict[str, NodeReported] = {}
        self._came = asyncio.Event()

    def put(self, event: NodeReported) -> None:
        """Hand one on; never waits. An older one of the same node that still waits is left out: this one tells all."""
        self._waiting[event.node] = event
        self._came.set()

    async def handle_for_life(self) -> None:
        """Some nodes' at a time: after a start all have much to say, and the store answers many readers as fast as one."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                some = [self._waiting.pop(node) for node in list(islice(self._waiting, _AT_ONCE))]
                await asyncio.gather(*map(self._handle, some))

    async def _handle(self, event: NodeReported) -> None:
        try:
            await self._handler(event)
        except Exception as error:  # what is wrong with one must not keep the others from being heard
            log.error("handling a heartbeat failed", node=event.node, exc_info=error)


@dataclass(frozen=True)
class Said:
    """What a report says that is to be recorded, in little memory: a server has many thousands of them."""

    node: str
    kept: tuple[Any, ...]
    noted: tuple[int, int]
    steps: int  # 0: none

    @classmethod
    def of(cls, node: str, report: SessionReport) -> Said:
        """What this report of a node says."""
        steps = hash(tuple((step.name, step.state, step.seconds, step.detail) for step in report.steps))
        kept = tuple(getattr(report, field) for field in _KEPT)
        return cls(node, kept, noted(report), steps if report.steps else 0)

    def nothing_after(self, before: Said | None) -> bool:
        """Whether it says nothing that was not said before."""
        if before is None or (self.node, self.kept, self.noted) != (before.node, before.kept, before.noted):
            return False
        return self.steps in (0, before.steps)


def noted(report: SessionReport) -> tuple[int, int]:
    """What is recorded of why a session lives on: until when it is kept, and when it stops if people are warned."""
    idle = report.idle
    if idle is None or report.phase is not Phase.RUNNING:
        return 0, 0
    return idle.keep_until, idle.stops_at if idle.warned else 0
