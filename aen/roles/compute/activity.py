"""Activity: each running app server is asked when somebody last did something; forgotten ones are stopped after a warning."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import structlog

from aen.apps import Seen, kind
from aen.config import Config
from aen.errors import AenError
from aen.launchers import Launcher
from aen.messages import KeepSession, SessionReport, StopSession
from aen.model import now
from aen.model.session import Idle
from aen.roles.compute.asking import Asker
from aen.roles.compute.idle import judge, pause
from aen.roles.compute.launching import Launching
from aen.roles.compute.records import Record
from aen.roles.compute.sessions import Sessions
from aen.roles.compute.usage import Usage

log = structlog.get_logger(__name__)

_SET_MS = 10_000  # a clock that goes apart by more between two looks was set


class Setting:
    """Notices when the machine's clock is set: people's sessions must not be stopped for it."""

    def __init__(self) -> None:
        self._apart = _apart()

    def moved(self) -> int:
        """By how many ms the clock was set since this was asked last; 0: it was not."""
        before, self._apart = self._apart, _apart()
        moved = self._apart - before
        return moved if abs(moved) > _SET_MS else 0


def _apart() -> int:
    """The clock on the wall, less the one that nobody sets (it goes on while the machine sleeps); ms."""
    return now() - time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def shift(record: Record, moved: int) -> None:
    """The session was used, warned and kept at moments that the clock now calls differently."""
    record.activity += moved
    record.warned_at += moved if record.warned_at else 0
    record.keep_until += moved if record.keep_until else 0


class Activity:
    """Asks all running sessions, for life."""

    def __init__(
        self,
        config: Config,
        launcher: Launcher,
        sessions: Sessions,
        launching: Launching,
        usage: Usage,
        rooms: Mapping[str, int],
    ) -> None:
        self._policy = config.compute.idle
        self._usage, self._rooms = usage, rooms
        self._setting = Setting()
        self._busy: dict[str, int] = {}  # session → since when something works there; 0: nothing does
        self._launcher, self._sessions, self._launching = launcher, sessions, launching

    async def ask_for_life(self) -> None:
        """Every 30 s, more often where hours are short."""
        while True:
            await asyncio.sleep(pause(self._policy))
            await self.ask()

    async def ask(self) -> None:
        """Ask each once; one that does not answer keeps what is known."""
        records = self._sessions.running()
        if moved := self._setting.moved():
            log.warning("this machine's clock was set: idle times count on", seconds=round(moved / 1000))
            for record in records:
                shift(record, moved)
        self._busy = {record.session: self._busy.get(record.session, 0) for record in records}
        await asyncio.gather(*(self._ask(record) for record in records))

    async def _ask(self, record: Record) -> None:
        try:
            account = await self._launcher.ensure_account(record.user)
            launch = self._launching.launch_of(record, account)
            server = self._sessions.servers[kind(record.app_server)]
            seen = await server.activity(launch, Asker(record, self._rooms.get(record.project.id)).get_json)
        except AenError as error:
            log.debug("no word of its activity", session=record.session, reason=error.message)
            return
        except Exception as error:  # it is the user's process: whatever it answers must not end the node
            log.debug("its activity can't be read", session=record.session, error=repr(error)[:200])
            return
        if seen is not None:
            self._take(record, seen)
            await self._judge(record)

    def _take(self, record: Record, seen: Seen) -> None:
        before = record.idle.busy_since if record.idle else 0  # for what can't say since when it works
        source, since = seen.source, seen.since or before
        if not seen.busy and record.session in self._usage.at_work:
            source, since = "what it started", before
        busy = seen.busy or record.session in self._usage.at_work
        self._busy[record.session] = min(since or now(), now()) if busy else 0
        record.activity = min(now() if busy else max(record.activity, seen.at), now())
        if busy or seen.at >= record.activity:
            record.activity_source = source[:200]

    async def _judge(self, record: Record) -> None:
        """Warn of the stop, call the warning off, or stop; what is only different by time goes with the heartbeat."""
        busy_since, before = self._busy[record.session], record.idle or Idle()
        verdict = judge(
            self._policy,
            now(),
            activity=record.activity,
            busy_since=busy_since,
            keep_until=record.keep_until,
            warned_at=record.warned_at,
        )
        record.idle, record.warned_at = verdict.idle, verdict.warned_at
        if verdict.stop:
            await self._stop(record)
        elif (before.warned, before.keep_until) != (verdict.idle.warned, verdict.idle.keep_until):
            await self._sessions.told(record)

    async def _stop(self, record: Record) -> None:
        hours = self._policy.hours
        last = f" The last was {record.activity_source}." if record.activity_source else ""
        reason = f"Stopped after {words(hours)} without activity.{last}"
        log.info("session is idle", session=record.session, hours=hours)
        await self._sessions.stop(StopSession(session=record.session, generation=record.generation, reason=reason))

    async def keep(self, command: KeepSession) -> SessionReport:
        """See `Sessions.keep`; what follows from it is told at once."""
        await self._sessions.keep(command)
        record = next(one for one in self._sessions.running() if one.session == command.session)
        if record.session in self._busy:
            await self._judge(record)
        return record.report()


def words(hours: float) -> str:
    """Hours as people say them: 2 hours, 30 minutes, 4 seconds."""
    for unit, per_hour in (("hour", 1), ("minute", 60), ("second", 3600)):
        count = hours * per_hour
        if count >= 1 or unit == "second":
            return f"{count:.3g} {unit}{'' if round(count, 2) == 1 else 's'}"
    raise AssertionError
