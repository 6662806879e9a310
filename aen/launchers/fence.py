"""Fence: the apps of a node on shared storage end at a time that is set anew again and again, whatever becomes of AEN itself.

Their projects may be started on another node then, and must never run on two. The clock is CLOCK_BOOTTIME: it goes on
while the machine sleeps, and nobody can set it.
"""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from pathlib import Path

from aen.errors import Conflict, Invalid
from aen.launchers.loop import Asked, Loop
from aen.launchers.running import Apps

_LOOK_SECONDS = 0.25
_MOST_SECONDS = 3600.0


def clock() -> float:
    """Seconds that count for leases: since the machine was started, its sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """The launcher's side. `until` is 0 where nothing is leased: apps live on for themselves then, as everywhere else."""

    def __init__(self, apps: Apps, loop: Loop, state_dir: str) -> None:
        self._apps, self._loop = apps, loop
        self._mine = secrets.token_hex(8)
        self._holder = Path(state_dir, "holder")
        self._holder.write_text(self._mine)  # an earlier launcher that waits for the end of the lease goes now
        self.until = 0.0

    def hold(self, until: float, asked: Asked) -> None:
        """The apps may run until then (seconds of `clock`). Raises Invalid, or Conflict when that has passed."""
        if not 0 < until < clock() + _MOST_SECONDS:
            raise Invalid("A lease ends within an hour.")
        if until <= clock():
            raise Conflict("That lease has ended already.")
        begun, self.until = self.until == 0, until
        if begun:
            self._look()
        asked.answer(None)

    def check(self) -> None:
        """Raise Conflict while the lease is over: nothing may start."""
        if self.until and clock() >= self.until:
            raise Conflict("This node has lost touch with the server: nothing starts here until it is back.")

    def outlive(self) -> None:
        """After AEN has ended: wait for the next launcher or the end of the lease, and end the apps then."""
        while self.until and self._holds():
            if clock() >= self.until and not self._apps.kill_all():
                return
            time.sleep(_LOOK_SECONDS)

    def _look(self) -> None:
        if clock() >= self.until:
            self._apps.kill_all()
        self._loop.later(_LOOK_SECONDS, self._look)

    def _holds(self) -> bool:
        with suppress(OSError):
            return self._holder.read_text() == self._mine
        return False
