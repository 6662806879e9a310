"""Errands on this node: what is done in a project as one of its people: begun once, watched, found again after a restart."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from typing import Any

import structlog

from aen.bus import Bus
from aen.config import Config
from aen.errands import PROGRAM
from aen.errors import AenError, NotFound, TooMany, Unavailable
from aen.launchers import Launcher, Process
from aen.messages import AskErrand, ErrandAnswer, ErrandReported, ReadErrand, StartErrand, StopErrand
from aen.model import now
from aen.model.errand import ErrandReport
from aen.roles.compute.environments import shown
from aen.roles.compute.errand_records import ErrandRecord, ErrandRecords
from aen.roles.compute.projects import Projects
from aen.roles.compute.roots import Roots
from aen.roles.compute.user_program import UserProgram, Wish, as_record, result_of

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0  # between two looks at what one says
_AT_ONCE, _OF_ONE_PERSON = 24, 4  # that go on
_ASKED_AT_ONCE = 6
_LOST = "AEN was ended while this began, and nobody knows what became of it."


class Errands:
    """The verbs on errands. An id is begun once: a second StartErrand tells how the first is doing."""

    def __init__(
        self, config: Config, node: str, bus: Bus, launcher: Launcher, projects: Projects, roots: Roots
    ) -> None:
        self._node, self._bus, self._projects, self._roots = node, bus, projects, roots
        self._program = UserProgram(config, launcher, roots)
        self._records = ErrandRecords(config.data_dir)
        self._known: dict[str, ErrandRecord] = {}
        self._asking: dict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._slots = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def adopt(self) -> None:
        """Take up again those that went on when AEN ended: their programs did not end with it."""
        for record in self._records.load():
            self._known[record.report.id] = record
            if record.report.state == "running":
                self._projects.work(self._again(record), f"errand {record.report.id}")

    async def ask(self, command: AskErrand) -> ErrandAnswer:
        """Do it and answer; one at a time for a person in a project."""
        spec = command.project
        wish = Wish(spec, command.user, "look", command.verb, command.told, PROGRAM, "ask")
        async with self._asking[(spec.id, command.user)], self._slots:
            return ErrandAnswer(result=await self._program.ask(wish, min(command.seconds, 120.0)))

    async def start(self, command: StartErrand) -> ErrandReport:
        """Begin it, unless it is known. TooMany, Unavailable: nothing has begun, and it may be asked for again."""
        known = self._known.get(command.errand)
        if known is not None:
            return known.report
        if not self._roots.ready:
            raise Unavailable(f"This node is still getting ready: {self._roots.message}.", retry_after=10)
        self._check_free(command)
        going_on = [one.report for one in self._known.values() if one.report.state == "running"]
        if len(going_on) >= _AT_ONCE or sum(one.user == command.user for one in going_on) >= _OF_ONE_PERSON:
            raise TooMany(
                "As much goes on here at the same time as may. It is tried again in a moment.", retry_after=15
            )
        report = ErrandReport(id=command.errand, project=command.project.id, user=command.user, verb=command.verb)
        ends = report.since + round(command.seconds * 1000)
        record = self._known[report.id] = ErrandRecord(
            key=command.key, project=command.project, report=report, ends=ends
        )
        self._records.save(record)
        self._projects.heard(command.project)
        self._projects.work(self._run(record, command.told), f"errand {report.id}")
        return report

    async def read(self, command: ReadErrand) -> ErrandReport:
        """How it is doing."""
        return self._get(command.errand).report

    async def stop(self, command: StopErrand) -> ErrandReport:
        """End it; fine when it has ended."""
        record = self._get(command.errand)
        if record.report.state == "running":
            record.stopped = command.reason or "It was stopped."
            if record.process:
                await self._program.gone(Process(**record.process))
        return record.report

    async def stop_project(self, project: str, reason: str) -> None:
        """End all of a project."""
        for record in list(self._known.values()):
            if record.project.id == project:
                with suppress(AenError):
                    await self.stop(StopErrand(errand=record.report.id, reason=reason))

    def _check_free(self, command: StartErrand) -> None:
        """Raises TooMany while another of that key goes on."""
        mine = (command.project.id, command.user, command.key)
        for one in self._known.values():
            if one.report.state == "running" and (one.project.id, one.report.user, one.key) == mine:
                raise TooMany("The one before it still goes on. It is tried again in a moment.", retry_after=10)

    def _get(self, id: str) -> ErrandRecord:
        record = self._known.get(id)
        if record is None:
            raise NotFound("This node knows nothing of that.")
        return record

    async def _run(self, record: ErrandRecord, told: dict[str, Any]) -> None:
        try:
            process = await self._started(record, told)
            if record.stopped:
                await self._program.gone(process)
            await self._watch(record, process)
        except AenError as error:
            await self._end(record, "failed", record.stopped or error.message)
        except Exception:
            log.exception("an errand could not be done", errand=record.report.id, verb=record.report.verb)
            await self._end(
                record, "failed", "A fault in AEN stopped it. An administrator finds it in the log of the node."
            )

    async def _started(self, record: ErrandRecord, told: dict[str, Any]) -> Process:
        """Start it and write down which process it is; also when AEN is ended meanwhile, so that it is found again."""
        starting = asyncio.ensure_future(self._program.start(_wish(record, told)))
        try:
            await asyncio.shield(starting)
        finally:
            await asyncio.wait([starting])
            if not starting.cancelled() and starting.exception() is None:
                record.process = as_record(starting.result())
                self._records.save(record)
        return starting.result()

    async def _again(self, record: ErrandRecord) -> None:
        """After a restart: go on watching, or read how it ended."""
        if not record.process:
            return await self._end(record, "lost", _LOST)
        process = Process(**record.process)
        try:
            if await self._program.adopt(process):
                await self._watch(record, process)
            else:
                await self._finish(record)
        except AenError as error:
            await self._end(record, "lost", error.message)

    async def _watch(self, record: ErrandRecord, process: Process) -> None:
        exited, said = self._program.exited(process), ""
        while not exited.done():
            if now() > record.ends and not record.stopped:
                hours = (record.ends - record.report.since) / 3_600_000
                record.stopped = f"It took longer than {hours:g} hours, and was ended."
                await self._program.gone(process)
            await asyncio.wait([exited], timeout=_LOOK_SECONDS)
            text = shown(await self._program.said(_wish(record, {})))
            if text != said and not exited.done():
                record.report.output = said = text
                await self._tell(record)
        await self._program.gone(process)  # what it left running
        await self._finish(record)

    async def _finish(self, record: ErrandRecord) -> None:
        text = await self._program.said(_wish(record, {}))
        record.report.output = shown(text)
        try:
            record.report.result = result_of(text)
        except AenError as error:
            return await self._end(record, "failed", record.stopped or error.message)
        return await self._end(record, "done", "")

    async def _end(self, record: ErrandRecord, state: str, reason: str) -> None:
        report = record.report
        record.report = report.model_copy(update={"state": state, "reason": reason[:2000], "ended": now()})
        record.process = None
        self._records.save(record)
        self._forget_old()
        log.info("an errand ended", errand=report.id, verb=report.verb, state=state, reason=reason[:200])
        await self._tell(record)
        self._projects.in_line_soon(record.project)

    def _forget_old(self) -> None:
        for id in self._records.too_many(self._known):
            del self._known[id]

    async def _tell(self, record: ErrandRecord) -> None:
        await self._bus.publish(ErrandReported(node=self._node, errand=record.report.model_copy()))


def _wish(record: ErrandRecord, told: dict[str, Any]) -> Wish:
    report = record.report
    return Wish(record.project, report.user, "change", report.verb, told, PROGRAM, record.key)
