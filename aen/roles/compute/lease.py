"""Lease: a node on shared storage may run projects only while the server says so, again and again; else its apps end.

Time is counted from before the question, by a clock that nobody sets: whoever gave the lease sees it end later than we do.
"""

from __future__ import annotations

import asyncio

import structlog

from aen import names
from aen.bus import Bus
from aen.errors import AenError, Conflict, Unavailable
from aen.launchers import Launcher
from aen.launchers.fence import clock
from aen.messages import RenewLease, StopSession
from aen.model.session import LIVE
from aen.roles.compute.sessions import Sessions

log = structlog.get_logger(__name__)

_PARTS = 6  # a lease is renewed so often in its time


class NodeLease:
    """`seconds` 0: this node needs none, and holds its projects for ever."""

    def __init__(self, node: str, seconds: float, bus: Bus, launcher: Launcher, sessions: Sessions) -> None:
        self._node, self.seconds = node, seconds
        self._bus, self._launcher = bus, launcher
        self._sessions = sessions
        self._until = 0.0

    @property
    def held(self) -> bool:
        """Whether projects may run here now."""
        return not self.seconds or clock() < self._until

    def need(self) -> None:
        """Raise Unavailable, with what to do, unless projects may run here."""
        if not self.held:
            raise Unavailable(
                f"{self._node} has no touch with the server: its projects are on shared storage, and another node may "
                "run them. Try again in a moment.",
                retry_after=5,
            )

    async def keep_for_life(self) -> None:
        """Renew; when that was not possible for too long, end all apps and begin anew."""
        while True:
            await self.renew()
            await asyncio.sleep(self.seconds / _PARTS if self.held else 1.0)

    async def renew(self) -> None:
        """Once. What goes wrong is logged: the time that is left decides."""
        asked = clock()
        fresh = not self.held and not self._living()
        command = RenewLease(node=self._node, seconds=self.seconds, fresh=fresh)
        try:
            await self._bus.request(names.address("server"), command, self.seconds / _PARTS)
            await self._launcher.hold(asked + self.seconds)
            self._until = asked + self.seconds
        except Conflict as error:
            await self._ended(error.message)
        except AenError as error:
            log.warning(
                "the lease could not be renewed", reason=error.message, left=round(max(self._until - clock(), 0), 1)
            )
            if not self.held:
                await self._ended("the server could not be heard")

    async def _ended(self, why: str) -> None:
        self._until = 0.0
        if living := self._living():
            log.error(
                "the lease has ended: apps are ended, another node may run their projects", apps=len(living), why=why
            )
            reason = "This node lost touch with the server, and its projects are on shared storage."
            stops = (StopSession(session=session, reason=reason) for session in living)
            await asyncio.gather(*(self._sessions.stop(command) for command in stops))

    def _living(self) -> list[str]:
        return [report.session for report in self._sessions.reports() if report.phase in LIVE]
