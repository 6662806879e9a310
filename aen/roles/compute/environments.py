"""Environments of projects on this node: shown and changed by a program that runs as the person; one change at a time."""

from __future__ import annotations

import asyncio
import re
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from pydantic import ValidationError

from aen import names
from aen.bus import Bus
from aen.config import Config
from aen.environments import specification
from aen.errors import AenError, Conflict, Invalid, NotFound, Unavailable
from aen.languages import size
from aen.launchers import Launcher, Process
from aen.messages import (
    ChangeEnvironment,
    EnvironmentReported,
    ListEnvironments,
    ProjectSpec,
    ReadEnvironment,
    StopEnvironmentChange,
)
from aen.model import new_id, now
from aen.model.environment import LARGEST_FILE, Act, ChangeReport, EnvironmentChange, EnvironmentDetail, EnvironmentList
from aen.roles.compute.changes import ChangeRecord, ChangeRecords
from aen.roles.compute.projects import Projects
from aen.roles.compute.roots import Roots
from aen.roles.compute.steps import project_ref
from aen.roles.compute.user_program import MARK, UserProgram, Wish, as_record, result_of

log = structlog.get_logger(__name__)

_FRESH_SECONDS = 5.0  # a list is shown again without looking
_LOOK_SECONDS = 0.5  # between two looks at what a change says
_OUTPUT = 12_000  # characters of it that are told
_MOST_PACKAGES, _LONGEST_PACKAGE = 200, 300
W = TypeVar("W", EnvironmentList, EnvironmentDetail)
_PASSWORD = re.compile(r"://[^/@\s]+@")  # an index address may carry one


@dataclass
class _Listed:
    at: float
    answer: EnvironmentList


class Environments:
    """The verbs on environments of projects."""

    def __init__(
        self, config: Config, node: str, bus: Bus, launcher: Launcher, projects: Projects, roots: Roots
    ) -> None:
        self._node, self._bus, self._launcher = node, bus, launcher
        self._projects, self._roots = projects, roots
        self._program = UserProgram(config, launcher, roots)
        self._records = ChangeRecords(config.data_dir)
        self._changes: dict[str, ChangeRecord] = {}  # project → its change that goes on or ended last
        self._listed: dict[str, _Listed] = {}
        self._looking: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def adopt(self) -> None:
        """Take up again the changes that went on when AEN ended: their programs did not end with it."""
        for record in self._records.load():
            self._changes[record.project.id] = record
            if record.report.state == "running":
                self._projects.work(self._again(record), f"environment {record.project.id}")

    # ── commands ────────────────────────────────────────────────────────────────────────────────────

    async def list(self, command: ListEnvironments) -> EnvironmentList:
        """What there is. Looked at as the project's owner, who may read all of it."""
        spec = command.project
        async with self._looking[spec.id]:
            known = self._listed.get(spec.id)
            record = self._changes.get(spec.id)
            busy = record is not None and record.report.state == "running"  # its end makes the list anew
            if known is None or (not busy and time.monotonic() - known.at > _FRESH_SECONDS):
                found = await self._program.ask(Wish(spec, spec.owner, "look", "list", {}))
                known = self._listed[spec.id] = _Listed(time.monotonic(), _read(EnvironmentList, found))
        record = self._changes.get(spec.id)
        return known.answer.model_copy(update={"change": record.report if record else None})

    async def read(self, command: ReadEnvironment) -> EnvironmentDetail:
        """One environment in full."""
        spec = command.project
        told = {"name": names.environment(command.name), "number": command.number}
        async with self._looking[spec.id]:
            if command.hashes:
                found = await self._program.ask(Wish(spec, spec.owner, "look", "hashes", told))
                return EnvironmentDetail(lock=str(found.get("text", "")))
            found = await self._program.ask(Wish(spec, spec.owner, "look", "read", told))
        if isinstance(lock := found.get("lock"), list):
            found["lock"] = "".join(f"{line}\n" for line in lock)
        return _read(EnvironmentDetail, found)

    async def change(self, command: ChangeEnvironment) -> ChangeReport:
        """Begin a change. Conflict while another goes on in this project."""
        spec, wish = command.project, command.change
        _check(wish)
        wish = await self._specified(wish)
        if not self._roots.ready:
            raise Unavailable(f"This node is still getting ready: {self._roots.message}.", retry_after=10)
        self.check_idle(spec.id)
        self._projects.heard(spec)
        detail = ", ".join(wish.packages)[:200] or wish.source
        report = ChangeReport(id=new_id(), act=wish.act, name=wish.name, user=command.user, detail=detail)
        record = self._changes[spec.id] = ChangeRecord(project=spec, report=report)
        self._records.save(record)
        self._projects.work(self._run(record, wish), f"environment {spec.id}")
        return report

    async def stop(self, command: StopEnvironmentChange) -> ChangeReport:
        """End a change that goes on. What it was making is thrown away; what it was changing keeps its history."""
        record = self._changes.get(command.project.id)
        if record is None or record.report.id != command.change:
            raise NotFound("That change has ended.")
        if record.report.state == "running":
            record.stopped = command.user
            self._records.save(record)
            await self._end_program(record)
        return record.report

    async def _end_program(self, record: ChangeRecord) -> None:
        if record.process:
            await self._program.gone(Process(**record.process))

    def check_idle(self, project: str) -> None:
        """Raises Conflict while a change goes on in this project."""
        going_on = self._changes.get(project)
        if going_on is not None and going_on.report.state == "running":
            other = going_on.report
            raise Conflict(
                f"{other.user} is changing the environment {other.name} right now ({other.act}). "
                "Changes go one after the other: try again when that is done.",
                retry_after=5,
            )

    # ── a change ────────────────────────────────────────────────────────────────────────────────────

    async def _run(self, record: ChangeRecord, wish: EnvironmentChange) -> None:
        spec, report = record.project, record.report
        try:
            await self._tell(record)
            if wish.act is Act.STANDARD:
                await self._publish(spec, wish.name)
            told: dict[str, Any] = wish.model_dump(mode="json")
            if wish.act is Act.STANDARD:
                told |= {"act": "keep", "as": "create"}
            job = _job(record, told)
            starting = asyncio.ensure_future(self._program.start(job))
            process = await asyncio.shield(starting)
            record.process = as_record(process)
            self._records.save(record)
            if record.stopped:  # before it had begun
                await self._end_program(record)
            await self._watch(record, job, process)
        except AenError as error:
            await self._end(record, error.message)
        except Exception:
            log.exception("an environment could not be changed", project=spec.id, environment=report.name)
            await self._end(record, "A fault in AEN stopped it. An administrator finds it in the log of the node.")

    async def _specified(self, wish: EnvironmentChange) -> EnvironmentChange:
        """An environment.yml in the words of this node's back end. Raises Invalid."""
        if not specification.is_one(wish.requirements):
            return wish
        wanted = await asyncio.to_thread(specification.read, wish.requirements)
        tool = await self._roots.backend.tool()
        if tool["kind"] == "conda":
            lines = specification.for_conda(wanted)
        else:
            lines = specification.for_venv(wanted, str(tool["version"]))
            if (
                wish.act is Act.CREATE
            ):  # as conda, which brings a kernel's programs only if they are named, but always pip
                lines.append("pip")
        return wish.model_copy(update={"requirements": "".join(f"{line}\n" for line in lines)})

    async def _publish(self, spec: ProjectSpec, name: str) -> None:
        """From the root environment, as `default` is made: files are shared, so it takes a second and hardly any space."""
        root = await self._roots.get("root", lambda _: None)
        if not await self._launcher.publish_environment(project_ref(spec), name, str(root.path)):
            raise Conflict(f"There is an environment {name} already. Choose another name.")

    async def _again(self, record: ChangeRecord) -> None:
        """After a restart: go on watching, or read how it ended."""
        process = Process(**record.process) if record.process else None
        job = _job(record, {})
        try:
            if process is not None and await self._program.adopt(process):
                await self._watch(record, job, process)
            elif process is not None:
                await self._finish(record, await self._program.said(job))
            else:
                await self._end(record, "AEN was stopped before it began. Start it again.")
        except AenError as error:
            await self._end(record, error.message)

    async def _watch(self, record: ChangeRecord, job: Wish, process: Process) -> None:
        exited = self._program.exited(process)
        while not exited.done():
            await asyncio.wait([asyncio.shield(exited)], timeout=_LOOK_SECONDS)
            said = shown(await self._program.said(job))
            if said != record.report.output:
                record.report.output = said
                await self._tell(record)
        await self._program.gone(process)
        await self._finish(record, await self._program.said(job))

    async def _finish(self, record: ChangeRecord, said: str) -> None:
        record.report.output = shown(said)
        try:
            result_of(said)
        except Conflict as error:
            await self._end(record, error.message)
        except Unavailable:
            await self._end(record, _cut_off(record))
        else:
            await self._end(record, "")

    async def _end(self, record: ChangeRecord, reason: str) -> None:
        report, spec = record.report, record.project
        report.state, report.reason, report.ended = "failed" if reason else "done", reason, now()
        record.process = None
        if self._changes.get(spec.id) is not record:
            return  # the project was deleted meanwhile
        self._listed.pop(spec.id, None)
        self._records.save(record)
        log.info("environment changed", project=spec.id, environment=report.name, act=report.act, state=report.state)
        await self._tell(record)
        self._projects.in_line_soon(spec)

    async def _tell(self, record: ChangeRecord) -> None:
        await self._bus.publish(
            EnvironmentReported(node=self._node, project=record.project.id, change=record.report.model_copy())
        )

    def forget(self, project: str) -> None:
        """The project is gone."""
        self._changes.pop(project, None)
        self._listed.pop(project, None)
        self._looking.pop(project, None)
        with suppress(OSError):
            self._records.remove(project)


def shown(said: str) -> str:
    """What the program said, for people: its end, without its result and without passwords."""
    text = said.partition(MARK)[0].strip()
    return _PASSWORD.sub("://…@", "".join(c for c in text if c.isprintable() or c in "\n\t"))[-_OUTPUT:]


def _cut_off(record: ChangeRecord) -> str:
    """What to say of a change that did not get to its end."""
    user, name = record.stopped, record.report.name
    in_place = record.report.act in (Act.INSTALL, Act.UNINSTALL, Act.ROLL_BACK)
    if in_place and user:
        return f"{user} stopped it. What it had changed so far stays: the history of {name} leads back."
    if in_place:
        return f"It was ended before it was done. What it had changed so far stays: the history of {name} leads back."
    if user:
        return f"{user} stopped it. Nothing half made is left; start it again."
    return "It was ended before it was done. Nothing half made is left; start it again."


def _job(record: ChangeRecord, told: dict[str, Any]) -> Wish:
    return Wish(record.project, record.report.user, "change", "change", {"change": told})


def _read(kind: type[W], found: dict[str, Any]) -> W:
    """The program's result as a word: it is the user's process, so it may say anything."""
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise Unavailable("The project's environments can't be read: what stands there is broken.") from error


def _check(wish: EnvironmentChange) -> None:
    """Raises Invalid."""
    names.environment(wish.name)
    if wish.act is Act.CLONE:
        names.environment(wish.source)
    if len(wish.packages) > _MOST_PACKAGES or len(wish.requirements.encode()) > LARGEST_FILE:
        raise Invalid(f"That is too much at once: {_MOST_PACKAGES} packages or {size(LARGEST_FILE)} are the most.")
    for package in wish.packages:
        if not package.strip() or len(package) > _LONGEST_PACKAGE or package[:1] in "-#" or not package.isprintable():
            raise Invalid(f"{package[:60]!r} is not a package. Write names, as numpy or pandas>=2.")
    if wish.act in (Act.INSTALL, Act.UNINSTALL) and not wish.packages and not wish.requirements.strip():
        raise Invalid("Say which packages.")
