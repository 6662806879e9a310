"""Runs: what came of schedules: begun at the project's node under an id of their own, followed, found again or given up."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from aen.errors import AenError, Conflict, NotFound, TimedOut, TooMany, Unavailable
from aen.languages import N_
from aen.model import now
from aen.model.errand import ErrandReport
from aen.model.mail import Notice
from aen.model.project import Project
from aen.model.schedule import Run, RunResult, RunState, Schedule
from aen.roles.server.changes import change
from aen.roles.server.project.team import RUNNERS
from aen.roles.server.publishing.errands import read
from aen.store import Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

_VERB = "runs.run"
_PATIENCE_MS = 6 * 3_600_000  # so long a run waits for its node
_UNHEARD_MS = 15 * 60_000  # so long a node may be silent about a run beyond its end
_ASK_SECONDS = 10.0  # between two questions how a run is doing
_KEPT = 200  # runs of one schedule


class Runs:
    """The verbs on runs."""

    def __init__(self, domain: Domain) -> None:
        self.domain, self.store = domain, domain.store
        self._asked: dict[str, float] = {}

    async def add(self, schedule: Schedule, due: int, *, by: str = "", note: str = "") -> Run:
        """A run that waits. Raises Duplicate: there is one of that moment."""
        return await self._insert(_new(schedule, due, by=by, note=note))

    async def skip(self, schedule: Schedule) -> Run:
        """Say that this moment is left out, because the run before goes on."""
        run = _new(schedule, schedule.due)
        run.state, run.active, run.ended = RunState.SKIPPED, False, now()
        run.reason = "The run before it was still under way."
        return await self._insert(run)

    async def active(self, schedule: str) -> list[Run]:
        """Those that wait or run."""
        page = await self.store.find("runs", Query(equal=(("schedule", schedule), ("active", True)), limit=10))
        return [Run.model_validate(doc) for doc in page.items]

    async def stop(self, run: Run, reason: str) -> None:
        """End it; one that waits never begins."""
        if run.state is RunState.RUNNING:
            try:
                await self.domain.errands.stop(run.node, run.id, reason)
                return
            except NotFound:
                log.info("a run to be stopped is not known at its node", run=run.id)
        await self._end(run.id, RunState.FAILED, reason)

    async def refusal(self, project_id: str, user: str, incarnation: str) -> str:
        """Why nothing may run there as that person (any more); empty when it may."""
        project = await self.domain.projects.by_id(project_id)
        if project is None:
            return "The project is gone."
        if project.going:
            return "The project is deleted."
        found = await self.domain.accounts.find(user)
        if found is None or (incarnation and found.incarnation != incarnation):
            return f"{user} has no account any more."
        if found.locked:
            return f"The account of {user} is locked."
        if project.role_of(user) not in RUNNERS:
            return f"{user} is no member of the project any more."
        return ""

    async def look(self) -> None:
        """Begin what waits, ask about what runs, end what may not go on."""
        page = await self.store.find("runs", Query(equal=(("active", True),), sort="created", limit=500))
        for doc in page.items:
            run = Run.model_validate(doc)
            try:
                await self._look(run)
            except (Unavailable, TimedOut, TooMany) as error:
                await self._wait(run, error.message)
            except AenError as error:
                await self._end(run.id, RunState.FAILED, error.message)

    async def heard(self, node: str, report: ErrandReport) -> None:
        """A node said how an errand is doing."""
        if report.verb != _VERB:
            return
        doc = await self.store.get("runs", report.id)
        if doc is not None and doc["active"] and doc["node"] == node and doc["project"] == report.project:
            await self._apply(report)

    # ── one run ─────────────────────────────────────────────────────────────────────────────────────

    async def _look(self, run: Run) -> None:
        schedule = await self.store.get("schedules", run.schedule)
        refusal = await self.refusal(run.project, run.user, schedule["incarnation"] if schedule else "")
        if refusal or schedule is None:
            return await self.stop(run, refusal or "The schedule was removed.")
        if run.state is RunState.WAITING:
            return await self._start(run, Schedule.model_validate(schedule))
        if time.monotonic() - self._asked.get(run.id, 0.0) < _ASK_SECONDS:
            return None
        self._asked[run.id] = time.monotonic()
        try:
            await self._apply(await self.domain.errands.read(run.node, run.id))
        except NotFound:
            await self._end(run.id, RunState.LOST, "Its node knows nothing of it (any more): it may have run in part.")
        return None

    async def _start(self, run: Run, schedule: Schedule) -> None:
        project = await self.domain.projects.by_id(run.project)
        if project is None or not project.placed:
            raise Conflict("The project has no files on any node (any more).")
        run = await self._claim(run, project)
        if run.node != project.node:
            raise Conflict("The project moved to another node while this waited.")
        if run.state is not RunState.WAITING:
            return
        moment = datetime.fromtimestamp(run.due / 1000, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
        told = {
            "name": run.name,
            "notebook": run.notebook,
            "environment": schedule.environment or project.environment,
            "parameters": schedule.parameters,
            "time": moment,
        }
        report = await self.domain.errands.start(
            project, run.user, _VERB, told, key=f"run {schedule.id}", id=run.id, seconds=schedule.hours * 3600
        )

        def edit(stored: Run) -> None:
            if stored.state is RunState.WAITING:
                stored.state, stored.started, stored.reason = RunState.RUNNING, now(), ""

        await self._change(run.id, edit)
        await self._apply(report)

    async def _claim(self, run: Run, project: Project) -> Run:
        """The node is written down before it is asked: a run never begins at two."""

        def edit(stored: Run) -> None:
            stored.node = stored.node or project.node

        return await self._change(run.id, edit)

    async def _apply(self, report: ErrandReport) -> None:
        if report.state == "running":
            return
        state, reason, path = RunState.FAILED, report.reason, ""
        if report.state == "lost":
            state = RunState.LOST
        elif report.state == "done":
            try:
                result = read(RunResult, report.result)
                state = RunState.DONE if result.success else RunState.FAILED
                reason, path = result.error[:1000], result.path[:3000]
            except Unavailable as error:
                reason = error.message
        await self._end(report.id, state, reason, output=report.output, path=path)

    async def _wait(self, run: Run, why: str) -> None:
        """It is tried again; for a while."""
        schedule = await self.store.get("schedules", run.schedule)
        hours = schedule["hours"] if schedule else 0
        if run.state is RunState.WAITING and now() - run.created > _PATIENCE_MS:
            await self._end(run.id, RunState.FAILED, f"It waited for hours, and could not begin: {why}")
        elif run.state is RunState.RUNNING and now() - run.started > hours * 3_600_000 + _UNHEARD_MS:
            await self._end(run.id, RunState.LOST, "Its node can't be heard any more.")
        elif run.reason != why and run.state is RunState.WAITING:

            def edit(stored: Run) -> None:
                stored.reason = why

            await self._change(run.id, edit)

    async def _end(self, id: str, state: RunState, reason: str, *, output: str = "", path: str = "") -> None:
        ended = False

        def edit(stored: Run) -> None:
            nonlocal ended
            ended = stored.active
            if stored.active:
                stored.state, stored.active, stored.reason, stored.ended = state, False, reason, now()
                stored.output, stored.path = output[-4000:], path or stored.path

        try:
            run = await self._change(id, edit)
        except NotFound:
            return
        self._asked.pop(id, None)
        if not ended:
            return
        log.info("a run ended", run=id, schedule=run.schedule, state=state)
        self.domain.events.publish(f"project:{run.project}", "job", {"run": id, "state": state})
        await self._forget_old(run.schedule)
        if state in (RunState.FAILED, RunState.LOST):
            await self._tell(run)

    async def _tell(self, run: Run) -> None:
        """Its person hears by mail, if they want to."""
        user, project = await self.domain.accounts.find(run.user), await self.domain.projects.by_id(run.project)
        if user is None or project is None or not self.domain.mail.on:
            return
        subject = N_("The scheduled run {name} failed")
        lines = [N_("{notebook} in {project} did not succeed: {reason}")]
        said = {"name": run.name, "notebook": run.notebook, "project": project.slug, "reason": run.reason[:500]}
        try:
            await self.domain.mail.tell(
                user, Notice.RUN, subject, lines, f"/{project.slug}/runs/{run.schedule}", **said
            )
        except AenError as error:
            log.warning("a letter on a failed run could not be written", run=run.id, reason=error.message)

    async def _forget_old(self, schedule: str) -> None:
        query = Query(equal=(("schedule", schedule),), sort="created", descending=True, limit=_KEPT)
        page = await self.store.find("runs", query)
        if not page.next:
            return
        old = await self.store.find("runs", Query(equal=query.equal, sort="created", descending=True, cursor=page.next))
        for doc in old.items:
            await self.store.delete("runs", doc["id"])

    async def _insert(self, run: Run) -> Run:
        stored = Run.model_validate(await self.store.insert("runs", run.model_dump(mode="json")))
        self.domain.events.publish(f"project:{run.project}", "job", {"run": run.id, "state": run.state})
        return stored

    async def _change(self, id: str, edit: Callable[[Run], None]) -> Run:
        return await change(self.store, "runs", Run, id, edit)


def _new(schedule: Schedule, due: int, *, by: str = "", note: str = "") -> Run:
    digest = hashlib.sha256(f"{schedule.id}:{due}".encode()).hexdigest()[:24]
    return Run(
        id=digest,
        schedule=schedule.id,
        project=schedule.project,
        user=schedule.user,
        name=schedule.name,
        notebook=schedule.notebook,
        due=due,
        by=by,
        note=note,
    )
