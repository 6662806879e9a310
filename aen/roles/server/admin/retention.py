"""Retention: how long records of the log are kept, and the daily job that takes the old ones out."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from aen.model import now
from aen.model.job import Job
from aen.roles.server.background import again_and_again
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.job.leases import Progress
from aen.roles.server.permissions import Actor, Permission, check
from aen.roles.server.several import alone
from aen.service import Service
from aen.store import Doc, Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

PRUNE = "records.prune"
#: Which records, and the setting that says for how many days they are kept.
LOGS = {"security": "records.security_days", "activity": "records.activity_days"}
_LOOK_SECONDS = 600.0
_EVERY_MS, _HOUR_MS = 20 * 3_600_000, 3_600_000  # between two jobs: each day one, whenever AEN is started
_BATCH = 100  # records that go in one commit of the store
_PAUSE_SECONDS = 0.05  # after each: what people write comes in between


@dataclass(frozen=True)
class Kept:
    """What is kept of one log: for how many days (0: for ever), and since when there are records (0: none)."""

    log: str
    days: int
    oldest: int


class Retention(Part):
    """Takes old records out of the log, a few at a time, and says so in it before."""

    def __init__(self, domain: Domain, pause: float = _PAUSE_SECONDS) -> None:
        super().__init__(domain)
        self._pause = pause

    async def begin(self, service: Service) -> None:
        """See Part."""
        self.domain.jobs.handle(PRUNE, self._prune)
        service.spawn(self._for_life(), "retention")

    async def kept(self, actor: Actor) -> list[Kept]:
        """What is kept of each log, for administrators."""
        check(actor, Permission.ADMIN)
        return [Kept(name, self._days(name), await self._oldest(name)) for name in LOGS]

    async def due(self) -> Job | None:
        """The day's job, if there was none in the last hours; over all servers one."""
        async with alone(self.store, PRUNE):
            high = now() + _HOUR_MS  # one that a wrong clock dated far ahead does not count
            query = Query((("kind", PRUNE),), low=now() - _EVERY_MS, high=high, sort="created", limit=1)
            if (await self.store.find("jobs", query)).items:
                return None
            return await self.domain.jobs.add(PRUNE)

    async def _for_life(self) -> None:
        await asyncio.sleep(_LOOK_SECONDS)
        await again_and_again("old records of the log", self.due, _LOOK_SECONDS)

    def _days(self, name: str) -> int:
        return int(self.domain.settings.value(LOGS[name]))

    async def _oldest(self, name: str) -> int:
        page = await self.store.find("activity", _OLDEST[name])
        return int(page.items[0]["at"]) if page.items else 0

    async def _prune(self, _: Job, progress: Progress) -> None:
        """The job. It may be cut off and done again: what is gone is gone, and the log says so already."""
        told = []
        for name in LOGS:
            first, oldest = await self._first_kept(self._days(name)), await self._oldest(name)
            if not oldest or oldest >= first:
                continue
            days = f"{_date(oldest)} – {_date(first - 1)}"
            await self.domain.activity.record(None, "log.pruned", name, detail=days, security=True)
            count = await self._remove(name, oldest, first, progress)
            log.info("old records were taken out of the log", which=name, count=count, before=_date(first))
            told.append(f"{name}: {count}")
        await progress(
            1.0, f"Old records were taken out of the log: {', '.join(told)}." if told else "Nothing is so old."
        )

    async def _first_kept(self, days: int) -> int:
        """When the oldest day to keep begins (ms): days on which AEN ran are counted, and today. 0: all are kept.

        So neither a clock that was set for a while nor a year in which AEN was off takes the log away.
        """
        ran = 0
        query = Query(high=_date(now()), descending=True, limit=500)
        async for doc in every(self.store, "days", query):
            ran += bool(doc["sampled"])
            if days and ran > days:
                day = datetime.datetime.fromisoformat(doc["id"]).replace(tzinfo=datetime.UTC)
                return int(day.timestamp() * 1000)
        return 0

    async def _remove(self, name: str, oldest: int, first: int, progress: Progress) -> int:
        query, count = replace(_all(name), high=first - 1, limit=_BATCH), 0
        while True:
            page = await self.store.find("activity", query)  # without a cursor: what was found is gone
            count += sum(await asyncio.gather(*(self._forget(doc) for doc in page.items)))
            if len(page.items) < _BATCH:
                return count
            await progress((page.items[-1]["at"] - oldest) / (first - oldest), f"{name}: {count} old records are gone.")
            await asyncio.sleep(self._pause)

    async def _forget(self, doc: Doc) -> bool:
        return await self.store.delete("activity", doc["id"])


def _all(name: str) -> Query:
    """All records of a log, oldest first."""
    return Query((("security", name == "security"),), sort="at")


def _date(ms: int) -> str:
    return str(datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC).date())


_OLDEST = {name: replace(_all(name), limit=1, shared=True) for name in LOGS}
