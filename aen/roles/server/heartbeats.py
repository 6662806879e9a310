"""Heartbeats: handed on by who hears them, each node's newest; and whether one tells of a session what the last one told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from aen.messages import NodeReported, SessionReport
from aen.model.session import Phase

log = structlog.get_logger(__name__)

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
        """One after the other."""
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                node = next(iter(self._waiting))
                try:
                    await self._handler(self._waiting.pop(node))
                except Exception as error:  # what is wrong with one must not keep the others from being heard
                    log.error("handling a heartbeat failed", node=node, exc_info=error)


def same(told: SessionReport, before: SessionReport) -> bool:
    """Whether a report says nothing that is to be recorded and was not told before."""
    if told.steps and told.steps != before.steps:
        return False
    return all(getattr(told, field) == getattr(before, field) for field in _KEPT) and noted(told) == noted(before)


def noted(report: SessionReport) -> tuple[int, int]:
    """What is recorded of why a session lives on: until when it is kept, and when it stops if people are warned."""
    idle = report.idle
    if idle is None or report.phase is not Phase.RUNNING:
        return 0, 0
    return idle.keep_until, idle.stops_at if idle.warned else 0
