"""A compute node for tests of the server: it answers on the bus as a real one does, and can be silent, slow, or wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aen import names
from aen.bus import Bus
from aen.errors import Invalid, NotFound, Unavailable
from aen.messages import (
    ApplyPermissions,
    CheckPermissions,
    Command,
    DeleteProject,
    Done,
    Event,
    KeepAccount,
    KeepSession,
    MeasureProject,
    NodeReported,
    PathRightsOf,
    PermissionsReport,
    PrepareProject,
    ProjectReported,
    ReadSessionLog,
    RenameProject,
    SessionLog,
    SessionReport,
    SessionReported,
    StartSession,
    StopSession,
)
from aen.model import Word, now
from aen.model.account import AccountReport
from aen.model.drift import Drift, DriftItem
from aen.model.node import Load
from aen.model.project import ProjectState, Role
from aen.model.rights import PathRights, PersonRights
from aen.model.session import STEP_NAMES, Idle, Phase, Step, StepState
from aen.model.space import Space

MOST_KEEP_HOURS = 72.0
BEAT = 0.1  # seconds between heartbeats; a real node takes 2


class FakeNode:
    """What it was asked stands in `asked`; what it does is set by its switches."""

    def __init__(self, bus: Bus, name: str = "n1", datacenter: str = "main") -> None:
        self.bus, self.name, self.datacenter = bus, name, datacenter
        self.asked: list[Any] = []
        self.sessions: dict[str, SessionReport] = {}
        self.directories: set[str] = set()  # owner/name
        self.accounts: set[str] = set()  # Linux accounts that it made
        self.foreign: dict[str, int] = {}  # Linux accounts that it does not use, with their uids
        self.no_place: dict[str, str] = {}  # people for whom it can make none, and why
        self.keys: dict[str, list[str]] = {}
        self.locked: set[str] = set()
        self.space = Space(bytes=5 << 20, files=10)  # what every project takes
        self.mute = False  # no events: what happens is seen in heartbeats only
        self.beating = True
        self.hold = False  # starts stay STARTING
        self.fail_at = ""  # the step at which starts fail
        self.refuse: Exception | None = None  # what every command is answered with
        self.deaf_to: set[type[Command]] = set()  # taken, and never answered
        self.ready, self.message, self.progress = True, "", 1.0
        self._subscriptions: list[Any] = []
        self._beats: asyncio.Task[None] | None = None

    async def __aenter__(self) -> FakeNode:
        self.listen()
        await self.beat()
        self._beats = asyncio.create_task(self._beat_for_life())
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._beats is not None
        self._beats.cancel()
        await asyncio.wait([self._beats])
        self.leave()

    def listen(self) -> None:
        """Answer from now on."""
        answers: dict[type[Command], Any] = {
            StartSession: self._start,
            StopSession: self._stop,
            PrepareProject: self._prepare,
            ApplyPermissions: self._apply,
            CheckPermissions: self._check,
            PathRightsOf: self._rights,
            MeasureProject: self._measure,
            RenameProject: self._rename,
            DeleteProject: self._delete,
            KeepAccount: self._account,
            KeepSession: self._keep,
            ReadSessionLog: self._log,
        }
        address = names.address("compute", self.name)
        self._subscriptions = [self.bus.respond(address, kind, self._answer(do)) for kind, do in answers.items()]

    def leave(self) -> None:
        """Nobody is there from now on."""
        for subscription in self._subscriptions:
            subscription.cancel()
        self._subscriptions = []

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Neither answers nor heartbeats, as when the machine is off."""
        self.beating = False
        self.leave()
        yield
        self.listen()
        self.beating = True

    def of(self, kind: type[Command]) -> list[Any]:
        """What it was asked of this kind."""
        return [command for command in self.asked if type(command) is kind]

    async def beat(self) -> None:
        """One heartbeat."""
        await self.bus.publish(
            NodeReported(
                node=self.name,
                datacenter=self.datacenter,
                roles=["compute"],
                version="0",
                load=Load(memory_total=8 << 30, memory_free=4 << 30),
                isolated=True,
                ready=self.ready,
                message=self.message,
                progress=self.progress,
                sessions=list(self.sessions.values()),
                started=now(),
                project_root="/srv/projects",
            )
        )

    async def run(self, session: str) -> None:
        """A session that was held goes on to RUNNING."""
        await self._set(session, phase=Phase.RUNNING, steps=_steps())

    async def die(self, session: str, reason: str = "the process ended with exit code 137") -> None:
        """A session's process ends by itself."""
        await self._set(session, phase=Phase.PROBLEM, reason=reason, log_tail="Killed")

    def _answer(self, do: Any) -> Any:
        async def handler(command: Command) -> Word:
            self.asked.append(command)
            if type(command) in self.deaf_to:
                await asyncio.Event().wait()
            if self.refuse is not None:
                raise self.refuse
            answer: Word = await do(command)
            return answer

        return handler

    async def _start(self, command: StartSession) -> SessionReport:
        known = self.sessions.get(command.session)
        if known is not None and known.generation >= command.generation:
            return known
        report = SessionReport(
            session=command.session,
            generation=command.generation,
            phase=Phase.STARTING,
            steps=_steps(self.fail_at, begun=False),
            upstream=f"unix:/run/aen/{command.session[:6]}/s",
            uid=20000,
            secret=f"secret-{command.session}-{command.generation}",
        )
        self.sessions[command.session] = report
        slug = names.slug(command.project.owner, command.project.name)
        if self.fail_at not in ("account", "directory"):
            self.directories.add(slug)
        if self.fail_at:
            reason, steps = f"{self.fail_at}: disk full", _steps(self.fail_at)
            await self._set(command.session, phase=Phase.PROBLEM, reason=reason, log_tail="ENOSPC", steps=steps)
            del self.sessions[command.session]
        elif not self.hold:
            await self.run(command.session)
        return report

    async def _stop(self, command: StopSession) -> Done:
        known = self.sessions.get(command.session)
        if known is not None and command.generation in (0, known.generation):
            del self.sessions[command.session]
            gone = known.model_copy(update={"phase": Phase.STOPPED, "reason": command.reason})
            await self._say(SessionReported(node=self.name, report=gone))
        return Done()

    async def _keep(self, command: KeepSession) -> SessionReport:
        if command.hours > MOST_KEEP_HOURS:
            raise Invalid(f"A session can be kept for at most {MOST_KEEP_HOURS:g} hours.")
        known = self.sessions.get(command.session)
        if known is None:
            raise NotFound("This session does not run any more.")
        until = now() + round(command.hours * 3_600_000) if command.hours else 0
        idle = Idle(hours=2, most_keep_hours=MOST_KEEP_HOURS, keep_until=until, stops_at=until or now() + 7_200_000)
        self.sessions[command.session] = known.model_copy(update={"idle": idle})
        return self.sessions[command.session]

    async def _account(self, command: KeepAccount) -> AccountReport:
        if uid := self.foreign.get(command.user):
            return AccountReport(exists=True, uid=uid, home=f"/home/{command.user}", note="It does not use it.")
        if note := self.no_place.get(command.user):
            return AccountReport(note=note)
        if command.user not in self.accounts:
            return AccountReport(node=self.name)
        if command.keys is not None:
            self.keys[command.user] = command.keys
        if command.retire:
            self.locked.add(command.user)
        locked = command.user in self.locked
        home = f"/home/{command.user}"
        return AccountReport(exists=True, made=True, locked=locked, uid=20000, home=home, processes=2)

    async def _prepare(self, command: PrepareProject) -> Done:
        spec = command.project
        if self.fail_at:
            state, reason = ProjectState.PROBLEM, f"{self.fail_at}: disk full"
        else:
            self.directories.add(names.slug(spec.owner, spec.name))
            state, reason = ProjectState.RUNNING, ""
        if not self.hold:
            event = ProjectReported(
                node=self.name, project=spec.id, state=state, reason=reason, log_tail="", steps=_steps(self.fail_at)
            )
            await self._say(event)
        return Done()

    async def _apply(self, _: ApplyPermissions) -> PermissionsReport:
        return PermissionsReport(looked_at=1)

    async def _measure(self, command: MeasureProject) -> Space:
        return self.space.model_copy()

    async def _check(self, _: CheckPermissions) -> Drift:
        reason = "A person or program set its mode (600)."
        item = DriftItem(path="nb/<b>secret</b>.txt", directory=False, reason=reason, lacks={"bob": "rw"})
        return Drift(looked_at=7, differing=1, items=[item], unreadable={"bob": 1})

    async def _rights(self, command: PathRightsOf) -> PathRights:
        wish = command.wish.rights if command.wish else {}
        people = []
        for member in command.project.team:
            if member.user != command.project.owner:
                most = "r" if member.role is Role.VIEWER else "rw"
                given = "".join(letter for letter in most if letter in wish.get(member.user, most))
                people.append(PersonRights(user=member.user, role=member.role, most=most, given=given))
        return PathRights(directory=False, owner="bob", people=people, changed=1 if command.wish else 0)

    async def _rename(self, command: RenameProject) -> Done:
        old = names.slug(command.project.owner, command.project.name)
        if old not in self.directories:
            raise NotFound(f"{old} has no directory here.")
        self.directories.discard(old)
        self.directories.add(names.slug(command.new_owner or command.project.owner, command.new_name))
        return Done()

    async def _delete(self, command: DeleteProject) -> Done:
        self.directories.discard(names.slug(command.project.owner, command.project.name))
        return Done()

    async def _log(self, command: ReadSessionLog) -> SessionLog:
        return SessionLog(text=f"log of {command.session}")

    async def _set(self, session: str, **changes: Any) -> None:
        report = self.sessions[session].model_copy(update=changes)
        self.sessions[session] = report
        await self._say(SessionReported(node=self.name, report=report))

    async def _say(self, event: Event) -> None:
        if not self.mute:
            await self.bus.publish(event)

    async def _beat_for_life(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            if self.beating:
                await self.beat()


def away() -> Unavailable:
    """What the bus says when nobody is there."""
    return Unavailable("Nobody there.")


def _steps(fail_at: str = "", begun: bool = True) -> list[Step]:
    steps = []
    state = StepState.DONE if begun else StepState.WAITING
    for name in STEP_NAMES:
        if name == fail_at and begun:
            steps.append(Step(name=name, state=StepState.FAILED))
            state = StepState.WAITING
        else:
            steps.append(Step(name=name, state=state, seconds=0.1 if state is StepState.DONE else None))
    return steps
