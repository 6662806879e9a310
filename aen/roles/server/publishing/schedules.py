"""Schedules: notebooks run at a time or at intervals, as their people. Each moment runs once, whoever looks at the clock."""

from __future__ import annotations

import asyncio
import keyword
import re
import secrets
from typing import Any

import structlog

from aen import names
from aen.errors import AenError, Conflict, Denied, Invalid, NotFound
from aen.model import now
from aen.model.project import Project
from aen.model.schedule import NEVER, Run, Schedule
from aen.roles.server.changes import change, every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, allows
from aen.roles.server.project.shares import path_of
from aen.roles.server.publishing import clock
from aen.roles.server.publishing.errands import check_placed, person
from aen.roles.server.publishing.runs import Runs
from aen.service import Service
from aen.store import Duplicate, Query

log = structlog.get_logger(__name__)

MOST = 50  # of one project
_LOOK_SECONDS = 2.0
_LATE_MS = 90_000  # from then on a run says that it is late
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_MOST_HOURS = 24.0
_MOST_PARAMETERS, _LONGEST_PARAMETERS = 50, 20_000


class Schedules(Part):
    """The schedules and the clock that looks at them. What came of them is in runs.py."""

    async def begin(self, service: Service) -> None:
        """See Part."""
        self.runs = Runs(self.domain)
        self.domain.errands.listen(self.runs.heard)
        service.spawn(self._look_for_life(), "schedules")

    # ── what people do ──────────────────────────────────────────────────────────────────────────────

    async def create(self, actor: Actor, owner: str, name: str, wanted: Schedule) -> Schedule:
        """A new one, as the actor. Invalid, Conflict (the name is taken, too many). Fields beside the wish are set here."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        user = person(actor)
        check_placed(project)
        known = await self._of(project)
        if len(known) >= MOST:
            raise Conflict(f"{project.slug} has {MOST} scheduled notebooks. Remove one that is not needed any more.")
        schedule = wanted.model_copy(
            update={"id": secrets.token_hex(8), "project": project.id, "user": user.id, "incarnation": user.incarnation}
        )
        _check(schedule)
        if any(one.name == schedule.name for one in known):
            raise Conflict(f"There is a schedule {schedule.name} already: its runs lie in runs/{schedule.name}.")
        schedule.due = clock.following(schedule.timing, now(), schedule.created)
        if schedule.timing.kind == "once" and schedule.due == NEVER:
            raise Invalid("That time has passed. Choose a later one.")
        stored = Schedule.model_validate(await self.store.insert("schedules", schedule.model_dump(mode="json")))
        await self._record(actor, "schedule.created", project, stored)
        return stored

    async def of_project(self, actor: Actor, owner: str, name: str) -> tuple[Project, list[Schedule]]:
        """All of a project, newest first; for its team."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.LOOK)
        return project, await self._of(project)

    async def get(self, actor: Actor, owner: str, name: str, id: str) -> tuple[Project, Schedule]:
        """One of a project; NotFound."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.LOOK)
        doc = await self.store.get("schedules", id)
        if doc is None or doc["project"] != project.id:
            raise NotFound("There is no such schedule (any more).")
        return project, Schedule.model_validate(doc)

    async def history(
        self, actor: Actor, owner: str, name: str, id: str, cursor: str = "", limit: int = 50
    ) -> tuple[list[Run], str]:
        """Its runs, newest first."""
        await self.get(actor, owner, name, id)
        query = Query(equal=(("schedule", id),), sort="created", descending=True, limit=limit, cursor=cursor)
        page = await self.store.find("runs", query)
        return [Run.model_validate(doc) for doc in page.items], page.next

    async def run_now(self, actor: Actor, owner: str, name: str, id: str) -> Run:
        """Run it once, now, as whom it is scheduled: by that person alone. Conflict while one is under way."""
        project, schedule = await self._mine(actor, owner, name, id, "run")
        if schedule.user != actor.name:
            raise Denied(f"It runs as {schedule.user}, with their account: only they start it.")
        if await self.runs.active(schedule.id):
            raise Conflict("A run of it is under way: wait until it is done, or stop it.")
        run = await self.runs.add(schedule, now(), by=actor.name)
        await self._record(actor, "schedule.run", project, schedule)
        return run

    async def pause(self, actor: Actor, owner: str, name: str, id: str, paused: bool) -> Schedule:
        """Pause it, or let it go on (the person it runs as alone)."""
        project, schedule = await self._mine(actor, owner, name, id, "pause")
        if not paused and schedule.user != actor.name:
            raise Denied(f"It runs as {schedule.user}, with their account: only they let it go on.")

        def edit(stored: Schedule) -> None:
            stored.paused, stored.why = paused, f"{actor.name} paused it." if paused else ""
            stored.due = NEVER if paused else clock.following(stored.timing, now(), stored.created)

        changed = await change(self.store, "schedules", Schedule, id, edit)
        await self._record(actor, "schedule.paused" if paused else "schedule.resumed", project, schedule)
        return changed

    async def remove(self, actor: Actor, owner: str, name: str, id: str) -> None:
        """Remove it and its history, and end a run; the notebooks it kept stay in the project."""
        project, schedule = await self._mine(actor, owner, name, id, "remove")
        await self.store.delete("schedules", id)
        for run in await self.runs.active(id):
            await self.runs.stop(run, "The schedule was removed.")
        async for doc in every(self.store, "runs", Query(equal=(("schedule", id),), sort="created")):
            await self.store.delete("runs", doc["id"])
        await self._record(actor, "schedule.removed", project, schedule)

    async def stop(self, actor: Actor, owner: str, name: str, id: str) -> None:
        """End the run that is under way; Conflict when there is none."""
        _, schedule = await self._mine(actor, owner, name, id, "stop")
        active = await self.runs.active(schedule.id)
        if not active:
            raise Conflict("No run of it is under way.")
        for run in active:
            await self.runs.stop(run, f"{actor.name} stopped it.")

    async def _mine(self, actor: Actor, owner: str, name: str, id: str, what: str) -> tuple[Project, Schedule]:
        """It, if the actor may change it: its person, maintainers and the owner. Denied."""
        project, schedule = await self.get(actor, owner, name, id)
        await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        if schedule.user != actor.name and not allows(actor, Permission.TEAM, project):
            raise Denied(f"It is {schedule.user}'s: they, maintainers and the owner may {what} it.")
        return project, schedule

    async def _of(self, project: Project) -> list[Schedule]:
        query = Query(equal=(("project", project.id),), sort="created", descending=True)
        return [Schedule.model_validate(doc) async for doc in every(self.store, "schedules", query)]

    # ── the clock ───────────────────────────────────────────────────────────────────────────────────

    async def _look_for_life(self) -> None:
        while True:
            try:
                await self.look()
                await self.runs.look()
            except AenError as error:
                log.warning("schedules could not be looked at; it is tried again", reason=error.message)
            except Exception:  # one bad document must not end the clock for everybody
                log.exception("a fault while looking at schedules")
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Make runs of what is due. Several servers may do so: a moment has one run, whoever writes it first."""
        page = await self.store.find("schedules", Query(sort="due", high=now(), limit=200))
        for doc in page.items:
            await self._due(Schedule.model_validate(doc))

    async def _due(self, schedule: Schedule) -> None:
        moment = now()
        refusal = await self.runs.refusal(schedule.project, schedule.user, schedule.incarnation)
        if refusal:
            await self._pause(schedule, refusal)
            return
        count = clock.missed(schedule.timing, schedule.due, moment, schedule.created)
        note = ""
        if moment - schedule.due > _LATE_MS:
            more = f", and {count} more after it" if count else ""
            note = f"Late: AEN was not running at its time{more}. Times that were missed are made up for once."
        try:
            if await self.runs.active(schedule.id):
                await self.runs.skip(schedule)
            else:
                await self.runs.add(schedule, schedule.due, note=note)
        except Duplicate:
            log.debug("another server was faster", schedule=schedule.id)
        await self._advance(schedule, moment)

    async def _advance(self, schedule: Schedule, moment: int) -> None:
        def edit(stored: Schedule) -> None:
            if stored.due == schedule.due:
                stored.due = clock.following(stored.timing, moment, stored.created)

        try:
            await change(self.store, "schedules", Schedule, schedule.id, edit)
        except NotFound:
            return

    async def _pause(self, schedule: Schedule, why: str) -> None:
        def edit(stored: Schedule) -> None:
            stored.paused, stored.why, stored.due = True, why, NEVER

        try:
            await change(self.store, "schedules", Schedule, schedule.id, edit)
        except NotFound:
            return
        log.info("a schedule is paused", schedule=schedule.id, reason=why)

    async def forget(self, project_id: str) -> None:
        """The project is deleted: so are its schedules and what is known of their runs."""
        for collection in ("schedules", "runs"):
            async for doc in every(self.store, collection, Query(equal=(("project", project_id),), sort="created")):
                await self.store.delete(collection, doc["id"])

    async def _record(self, actor: Actor, act: str, project: Project, schedule: Schedule) -> None:
        await self.domain.activity.record(
            actor, act, project.slug, project=project.id, who=schedule.user, detail=schedule.name, security=True
        )


def _check(schedule: Schedule) -> None:
    """Raises Invalid."""
    if not _NAME.fullmatch(schedule.name) or ".." in schedule.name:
        raise Invalid("The name becomes a folder: letters, digits, dots, dashes and underscores, at most 80.")
    schedule.notebook = path_of(schedule.notebook)
    if not schedule.notebook.endswith(".ipynb"):
        raise Invalid("Say which notebook: its name ends with .ipynb.")
    if schedule.environment:
        names.environment(schedule.environment)
    if not 0 < schedule.hours <= _MOST_HOURS:
        raise Invalid(f"A run takes at most {_MOST_HOURS:g} hours.")
    check_parameters(schedule.parameters)
    clock.check(schedule.timing)


def check_parameters(parameters: dict[str, Any]) -> None:
    """Raises Invalid when a name is none of Python, or there is too much."""
    if len(parameters) > _MOST_PARAMETERS or len(repr(parameters)) > _LONGEST_PARAMETERS:
        raise Invalid(f"Too many parameters: {_MOST_PARAMETERS}, and {_LONGEST_PARAMETERS} characters, are the most.")
    for name in parameters:
        if not name.isidentifier() or keyword.iskeyword(name):
            raise Invalid(f"{name[:60]!r} is no name of a variable.")
