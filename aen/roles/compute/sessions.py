"""Sessions of this node: started, watched, stopped; found again after a restart of AEN, which ends nobody's kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

import structlog

from aen.apps import AppServer, kind
from aen.bus import Bus
from aen.config import Config
from aen.errors import AenError, Conflict, Internal, Invalid, NotFound
from aen.launchers import Launcher
from aen.messages import (
    Done,
    KeepSession,
    ReadSessionLog,
    SessionLog,
    SessionReport,
    SessionReported,
    StartSession,
    StopSession,
)
from aen.model import now
from aen.model.session import LIVE, STEP_NAMES, Phase
from aen.roles.compute.launching import Launching, how_it_was_lost
from aen.roles.compute.projects import Projects
from aen.roles.compute.queue import Queue, ordinal
from aen.roles.compute.records import Record, Records
from aen.roles.compute.steps import Start
from aen.roles.compute.tracker import Tracker, thinned

log = structlog.get_logger(__name__)

_ENDED_MS = 300_000  # so long heartbeats tell of a session that ended: events may be lost
_ENDED_MOST = 50


class Live:
    """One session in this process: its record, and what is being done with it."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.task: asyncio.Task[None] | None = None  # starts it, then watches it
        self.stopping: asyncio.Task[None] | None = None


class Sessions:
    """All sessions of this node, by id."""

    def __init__(
        self, config: Config, node: str, bus: Bus, launcher: Launcher, projects: Projects, launching: Launching
    ) -> None:
        self._config, self._node, self._bus = config, node, bus
        self._launcher, self._projects, self._launching = launcher, projects, launching
        self._records = Records(config.data_dir)
        self._queue = Queue(max(1, config.compute.starts))
        self._live: dict[str, Live] = {}
        self._refused: dict[str, int] = {}  # session → the newest generation that was told to stop
        self.servers: Mapping[str, AppServer] = {}
        self.address = ""  # `node:host:port` where gateways are on other hosts

    # ── after a restart ─────────────────────────────────────────────────────────────────────────────

    async def adopt(self) -> None:
        """Take up again what ran, was starting or was being stopped when AEN ended."""
        self._records.make()
        for record in self._records.load():
            if record.phase in LIVE:
                await self._adopt(record)
            elif now() - record.ended < _ENDED_MS:
                self._live[record.session] = Live(record)
            else:
                self._records.remove(record.session)

    async def _adopt(self, record: Record) -> None:
        live = self._live[record.session] = Live(record)
        self._projects.heard(record.project)
        process = record.leader()
        alive = process is not None and await self._launcher.adopt(process)
        log.info("session found again", session=record.session, phase=record.phase, alive=alive)
        if record.phase is Phase.STOPPING:
            self._begin_stop(live, record.reason)
        elif record.phase in (Phase.QUEUED, Phase.STARTING):
            live.task = self._projects.work(self._run(live), f"start {record.session}")
        elif alive:
            live.task = self._projects.work(self._watch(live), f"watch {record.session}")
            await self._tell(live)
        else:
            record.log_tail = await self._launching.tail(record.session)
            await self._end(live, Phase.STOPPED, how_it_was_lost(process))

    # ── commands ────────────────────────────────────────────────────────────────────────────────────

    async def start(self, command: StartSession) -> SessionReport:
        """Begin a start, or say how the one of this generation is doing. An older generation gives way."""
        known = self._live.get(command.session)
        if known is not None and known.record.generation > command.generation:
            raise Conflict("A newer start of this session is known here.")
        if known is not None and known.record.generation == command.generation:
            return known.record.report(self.address)
        record = Record.of(command)
        if self._refused.get(command.session, 0) >= command.generation:
            record.phase, record.reason = Phase.STOPPED, "Told to stop before it started."
            return record.report(self.address)
        if kind(command.app_server) not in self.servers:
            raise NotFound(f"This node knows no app server {command.app_server!r}. Known: {', '.join(self.servers)}.")
        live = self._live[command.session] = Live(record)
        self._projects.heard(command.project)
        self._records.save(record)
        live.task = self._projects.work(self._run(live, before=known), f"start {record.session}")
        return record.report(self.address)

    async def stop(self, command: StopSession) -> Done:
        """End a session. Answered when its processes are gone."""
        live = self._live.get(command.session)
        self._refused[command.session] = max(command.generation, self._refused.get(command.session, 0))
        if live is None or (command.generation and live.record.generation > command.generation):
            return Done()
        if live.record.phase in LIVE:
            self._begin_stop(live, command.reason)
        if live.stopping is not None:
            await asyncio.shield(live.stopping)
        return Done()

    async def stop_project(self, project: str, reason: str) -> None:
        """End all sessions of a project."""
        found = [live for live in self._live.values() if live.record.project.id == project]
        await asyncio.gather(*(self.stop(StopSession(session=live.record.session, reason=reason)) for live in found))

    async def keep(self, command: KeepSession) -> SessionReport:
        """Keep an idle session for so many hours from now. NotFound when it does not run, Invalid when that is too long."""
        live, policy = self._live.get(command.session), self._config.compute.idle
        if live is None or live.record.generation != command.generation or live.record.phase is not Phase.RUNNING:
            raise NotFound("This session does not run any more.")
        if not policy.hours:
            raise Invalid("Sessions are not stopped for being idle on this node: there is nothing to keep it from.")
        if not 0 <= command.hours <= policy.max_keep_hours:  # NaN is neither
            raise Invalid(f"A session can be kept for at most {policy.max_keep_hours:g} hours.")
        live.record.keep_until = now() + round(command.hours * 3_600_000) if command.hours else 0
        self._records.save(live.record)
        return live.record.report(self.address)

    async def told(self, record: Record) -> None:
        """Tell how it is doing after something of it changed."""
        live = self._live.get(record.session)
        if live is not None and live.record is record:
            self._records.save(record)
            await self._tell(live)

    async def read_log(self, command: ReadSessionLog) -> SessionLog:
        """The end of its log."""
        return SessionLog(text=(await self._launcher.log_tail(command.session, command.lines))[-200_000:])

    # ── what others look at ─────────────────────────────────────────────────────────────────────────

    def reports(self) -> list[SessionReport]:
        """For the heartbeat: all that live, and what ended lately."""
        ended = sorted((live for live in self._ended()), key=lambda live: live.record.ended)
        for live in [*ended[:-_ENDED_MOST], *(live for live in ended if now() - live.record.ended > _ENDED_MS)]:
            self._live.pop(live.record.session, None)
            self._records.remove(live.record.session)
        return [live.record.beat(self.address) for live in self._live.values()]

    def find(self, session: str) -> Record | None:
        """The record of a session that is known here."""
        return self._live[session].record if session in self._live else None

    def running(self) -> list[Record]:
        """Records of those that run."""
        return [live.record for live in self._live.values() if live.record.phase is Phase.RUNNING]

    def _ended(self) -> Iterator[Live]:
        return (live for live in self._live.values() if live.record.phase not in LIVE)

    # ── a session's life ────────────────────────────────────────────────────────────────────────────

    async def _run(self, live: Live, before: Live | None = None) -> None:
        """Queue, start, then watch until the end."""
        record = live.record
        try:
            if before is not None and before.record.phase in LIVE:
                self._begin_stop(before, "started anew")
            if before is not None and before.stopping is not None:
                await asyncio.shield(before.stopping)
            await self._tell(live)
            async with self._queue.turn(self._placed(live)):
                await self._start(live)
        except AenError as error:
            await self._failed(live, error.message)
            return
        except Exception as error:
            fault = Internal(f"A fault in AEN stopped the start ({type(error).__name__}).")
            log.exception("a session could not be started", session=record.session, id=fault.id)
            await self._failed(live, f"{fault.message} An administrator finds it in the log as {fault.id}.")
            return
        await self._watch(live)

    def _placed(self, live: Live) -> Callable[[int], None]:
        """Tells a session its place in the queue."""
        soon = thinned(lambda: self._tell(live))

        def told(place: int) -> None:
            most = self._config.compute.starts
            live.record.reason = f"{ordinal(place)} in the queue: this node starts {most} at a time."
            soon()

        return told

    async def _start(self, live: Live) -> None:
        record = live.record

        async def tell() -> None:
            record.steps = [step.model_copy() for step in tracker.steps]
            await self._tell(live)

        tracker = Tracker(STEP_NAMES, tell, thinned(tell))
        record.phase, record.reason = Phase.STARTING, ""
        self._records.save(record)
        start = self._projects.begin(record.project, record.user)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._projects.ready(start, tracker))
                both.create_task(self._launch(record, start, tracker))
        except ExceptionGroup as failed:
            raise _first_of(failed) from failed
        finally:
            record.steps = [step.model_copy() for step in tracker.steps]
        record.phase, record.activity, record.activity_source = Phase.RUNNING, now(), "its start"
        self._records.save(record)
        log.info("session runs", session=record.session, user=record.user, app_server=record.app_server)
        await self._tell(live)

    async def _launch(self, record: Record, start: Start, tracker: Tracker) -> None:
        """The app boots while the rest of the walk goes on: it lives in the person's home, and the door is right already."""
        await start.entered.wait()
        assert start.account is not None  # the first step sets it or fails
        async with tracker.step("app") as note:
            await self._launching.launch(record, self.servers[kind(record.app_server)], start.account, note)

    async def _watch(self, live: Live) -> None:
        """Until the app ends by itself (a stop cancels this)."""
        process = live.record.leader()
        assert process is not None
        # Somebody else may ask for the same future: it must not be cancelled with us.
        code = await asyncio.shield(self._launcher.exited(process))
        live.record.log_tail = await self._launching.tail(live.record.session)
        # What the leader left behind of its group and control group goes too.
        await self._launcher.stop(process, 0)
        log.info("app ended by itself", session=live.record.session, code=code)
        wished = code in (None, 0, -15, 143) and not self._launcher.ran_out_of_memory(process)
        how = self._launching.how_it_ended(live.record, process, code)
        await self._end(live, Phase.STOPPED if wished else Phase.PROBLEM, f"The app {how}.")

    async def _failed(self, live: Live, reason: str) -> None:
        record = live.record
        if record.run_dir:
            record.log_tail = await self._launching.tail(record.session)
        log.warning("session did not start", session=record.session, user=record.user, reason=reason)
        await self._end(live, Phase.PROBLEM, reason)

    def _begin_stop(self, live: Live, reason: str) -> None:
        if live.stopping is None:
            live.stopping = self._projects.work(self._stop(live, reason), f"stop {live.record.session}")

    async def _stop(self, live: Live, reason: str) -> None:
        record = live.record
        record.phase, record.reason = Phase.STOPPING, reason
        self._records.save(record)
        await self._tell(live)
        if live.task is not None and not live.task.done():
            live.task.cancel()
            await asyncio.wait([live.task])
        process = record.leader()
        if process is not None:
            try:
                await self._launcher.stop(process, self._config.compute.stop_seconds)
            except NotFound:
                log.debug("nothing was left to stop", session=record.session)
        await self._end(live, Phase.STOPPED, reason)

    async def _end(self, live: Live, phase: Phase, reason: str) -> None:
        record = live.record
        record.phase, record.reason, record.ended = phase, reason, now()
        record.process, record.secret, record.upstream = None, "", ""
        self._records.save(record)
        await self._tell(live)

    async def _tell(self, live: Live) -> None:
        """Publish how it is doing, unless a newer generation took its place."""
        if self._live.get(live.record.session) is not live:
            return
        await self._bus.publish(SessionReported(node=self._node, report=live.record.report(self.address)))


def _first_of(failed: ExceptionGroup[Exception]) -> Exception:
    """The error that ended a start: the other half was cancelled because of it."""
    first = failed.exceptions[0]
    return _first_of(first) if isinstance(first, ExceptionGroup) else first
