"""Preparing: a project made ready without an app, told of as it goes."""

from __future__ import annotations

import asyncio

from aen.bus import Bus
from aen.messages import ProjectReported, ProjectSpec
from aen.model.project import ProjectState
from aen.roles.compute.steps import STEPS
from aen.roles.compute.tracker import Tracker, thinned


class Preparation:
    """One project being prepared without an app, told by ProjectReported."""

    def __init__(self, node: str, bus: Bus, spec: ProjectSpec) -> None:
        self.spec = spec
        self.task: asyncio.Task[None] | None = None
        self._node, self._bus = node, bus
        self._state, self._reason = ProjectState.STARTING, ""
        self.tracker = Tracker([name for name, _ in STEPS], self.tell, thinned(self._tell_while_it_lasts))

    async def tell(self) -> None:
        """Say how far it is."""
        event = ProjectReported(
            node=self._node,
            project=self.spec.id,
            state=self._state,
            reason=self._reason,
            steps=[step.model_copy() for step in self.tracker.steps],
        )
        await self._bus.publish(event)

    async def _tell_while_it_lasts(self) -> None:
        """What was noted just before the end is told with the end; later it could follow what the next preparation says."""
        if self._state is ProjectState.STARTING:
            await self.tell()

    async def end(self, state: ProjectState, reason: str) -> None:
        """Say how it ended."""
        self._state, self._reason = state, reason
        await self.tell()
