"""Activity: each running app server is asked when somebody last did something; forgotten sessions can be stopped."""

from __future__ import annotations

import asyncio

import structlog

from aen.apps import Seen
from aen.config import Config
from aen.errors import AenError
from aen.launchers import Launcher
from aen.messages import StopSession
from aen.model import now
from aen.roles.compute.asking import Asker
from aen.roles.compute.launching import Launching
from aen.roles.compute.records import Record
from aen.roles.compute.sessions import Sessions

log = structlog.get_logger(__name__)

EVERY_SECONDS = 30.0
_HOUR_MS = 3_600_000


class Activity:
    """Asks all running sessions, for life."""

    def __init__(self, config: Config, launcher: Launcher, sessions: Sessions, launching: Launching) -> None:
        self._hours = config.compute.idle_hours
        self._launcher, self._sessions, self._launching = launcher, sessions, launching

    async def ask_for_life(self) -> None:
        """Every 30 s."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.ask()

    async def ask(self) -> None:
        """Ask each once; one that does not answer keeps what is known."""
        records = self._sessions.running()
        await asyncio.gather(*(self._ask(record) for record in records))

    async def _ask(self, record: Record) -> None:
        try:
            account = await self._launcher.ensure_account(record.user)
            launch = self._launching.launch_of(record, account)
            server = self._sessions.servers[record.app_server]
            seen = await server.activity(launch, Asker(record).get_json)
        except AenError as error:
            log.debug("no word of its activity", session=record.session, reason=error.message)
            return
        except Exception as error:  # it is the user's process: whatever it answers must not end the node
            log.debug("its activity can't be read", session=record.session, error=repr(error)[:200])
            return
        if seen is not None:
            await self._take(record, seen)

    async def _take(self, record: Record, seen: Seen) -> None:
        record.activity = min(now() if seen.busy else max(record.activity, seen.at), now())
        record.activity_source = seen.source[:100]
        if self._hours and now() - record.activity > self._hours * _HOUR_MS:
            reason = f"Stopped after {self._hours:g} hours without activity."
            log.info("session is idle", session=record.session, hours=self._hours)
            await self._sessions.stop(StopSession(session=record.session, generation=record.generation, reason=reason))
