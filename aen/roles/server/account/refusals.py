"""Refusals: what was tried and not let in stands in the security log, at a rate that no attacker can fill a disk by."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from aen.roles.server.account.limits import network
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

EVERY = 60.0  # seconds in which the same thing from the same address is one record
_MOST = 300  # records in so many seconds, whoever tries what
_MOST_OF_ONE = 30  # of these from one address: it can't hide what others try by using all of it up
_KEYS = 10_000


class Refusals(Part):
    """Failures that cost who tries nothing (a wrong password costs a hash; each of those is a record of its own)."""

    def __init__(self, domain: Domain, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(domain)
        self._clock = clock
        self._noted: OrderedDict[tuple[str, str, str], tuple[float, int]] = OrderedDict()  # when, and how many since
        self._began = 0.0
        self._counts: Counter[str] = Counter()  # since then, by address

    async def note(self, act: str, who: str = "", address: str = "", detail: str = "") -> None:
        """Keep that `act` was refused to `who` (as they called themselves) from `address`; what repeats is counted."""
        key, moment = (act, who[:64], network(address)), self._clock()
        at, left_out = self._noted.pop(key, (0.0, 0))
        if (at and moment - at < EVERY) or not self._room(moment, key[2]):
            self._remember(key, at or moment, left_out + 1)
            return
        self._remember(key, moment, 0)
        told = f"{detail} (and {left_out} times before)".strip() if left_out else detail
        await self.domain.activity.record(
            Actor(), act, who[:64], who=who[:64], address=address, detail=told, security=True
        )

    def _remember(self, key: tuple[str, str, str], at: float, left_out: int) -> None:
        self._noted[key] = (at, left_out)
        while len(self._noted) > _KEYS:
            self._noted.popitem(last=False)

    def _room(self, moment: float, address: str) -> bool:
        if moment - self._began >= EVERY:
            self._began = moment
            self._counts.clear()
        if self._counts[address] >= _MOST_OF_ONE or self._counts.total() >= _MOST:
            return False
        self._counts[address] += 1
        return True
