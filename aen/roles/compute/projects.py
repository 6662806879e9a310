"""Projects on this node: prepared, brought in line with their team, renamed, deleted. One lock for each."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

import structlog

from aen.bus import Bus
from aen.config import Config
from aen.errors import AenError, Internal, NotFound
from aen.launchers import Launcher, RightsWish
from aen.messages import (
    ApplyPermissions,
    CheckPermissions,
    DeleteProject,
    Done,
    MeasureProject,
    PathRightsOf,
    PermissionsReport,
    PermissionsWalked,
    PrepareProject,
    ProjectSpec,
    RenameProject,
)
from aen.model.drift import Drift, DriftItem
from aen.model.project import ProjectState, Role
from aen.model.rights import PathRights, PersonRights
from aen.model.space import Space
from aen.roles.compute.moved import Moved
from aen.roles.compute.preparing import Preparation
from aen.roles.compute.roots import Roots
from aen.roles.compute.steps import STEPS, Start, ensure_team, incarnation, project_ref, walk
from aen.roles.compute.tracker import Tracker, thinned
from aen.roles.compute.user_program import UserProgram

log = structlog.get_logger(__name__)


class Projects:
    """What a node does with projects. `open_work` are tasks that end with the role."""

    def __init__(self, config: Config, node: str, bus: Bus, launcher: Launcher, roots: Roots) -> None:
        self._config, self._node, self._bus = config, node, bus
        self._launcher, self._roots = launcher, roots
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._latest: dict[str, ProjectSpec] = {}  # a start that waits must not bring back an older team
        self._preparing: dict[str, Preparation] = {}
        self.moved = Moved(config, UserProgram(config, launcher, roots))
        self.open_work: set[asyncio.Task[None]] = set()
        self.rooms: dict[str, int] = {}  # project → bytes that it may still grow by, where there is a bound

    def begin(self, spec: ProjectSpec, user: str) -> Start:
        """What the steps of a start share; `ready` runs them."""
        self.heard(spec)
        return Start(spec, user, self._launcher, self._roots, str(self._config.compute.skeleton))

    async def ready(self, start: Start, tracker: Tracker) -> None:
        """Run the steps before the app. The error of the step that fails is raised."""
        async with self._locks[start.spec.id]:
            for name, step in STEPS:
                start.spec = self._latest.get(start.spec.id, start.spec)
                async with tracker.step(name) as note:
                    await step(start, note)
                    if name == "environment" and (why := await self.moved.settle(start.spec)):
                        note(f"some of its files still name the place where the project was: {why}")

    def heard(self, spec: ProjectSpec) -> None:
        """Remember the team as the server told of it last."""
        self._latest[spec.id] = spec

    # ── commands ────────────────────────────────────────────────────────────────────────────────────

    async def prepare(self, command: PrepareProject) -> Done:
        """Begin to prepare (or say again how it is going): events follow."""
        spec = command.project
        self.heard(spec)
        known = self._preparing.get(spec.id)
        if known is not None:
            await known.tell()
            return Done()
        preparation = Preparation(self._node, self._bus, spec)
        self._preparing[spec.id] = preparation
        self.work(self._prepare(preparation), f"prepare {spec.id}")
        return Done()

    async def apply(self, command: ApplyPermissions) -> PermissionsReport:
        """The directory itself before this is answered; with ex-members, or to repair, the whole tree."""
        spec = command.project
        before = self._latest.get(spec.id)
        self.heard(spec)
        ref = project_ref(spec)
        moved: Sequence[str] = ()
        try:
            if command.clear or command.repair:
                moved = await self._launcher.clear_project(ref)
            if command.clear:
                return PermissionsReport(notes=list(moved))
            await ensure_team(self._launcher, spec, lambda _: None)
            for user in ref.former:
                await self._launcher.end_user(user, ref)
            report = await self._launcher.apply_permissions(ref, top_only=True)
            if command.repair or spec.former:
                async with self._locks[spec.id]:
                    latest = project_ref(self._latest[spec.id])
                    report = await walk(self._launcher, latest, lambda _: None, told=self._told(spec.id))
            elif not self._groups_say_it(before, spec):
                self.in_line_soon(spec)
        except NotFound as error:
            return PermissionsReport(notes=[error.message])  # never started here: there is nothing to be in line
        return PermissionsReport(**{**vars(report), "notes": [*moved, *report.notes][:50]})

    async def check(self, command: CheckPermissions) -> Drift:
        """What is not in line with the team as the server knows it now. A look: it waits for nothing and changes nothing."""
        try:
            found = await self._launcher.check_permissions(project_ref(command.project))
        except NotFound as error:
            return Drift(notes=[error.message])
        items = [DriftItem.model_validate(item) for item in found.items]
        return Drift(**{**vars(found), "items": items, "notes": list(found.notes)[:50]})

    async def rights(self, command: PathRightsOf) -> PathRights:
        """What the team has on one file or folder, after a wish was fulfilled. A walk of the project that goes on comes first."""
        only = command.only or None
        wish = RightsWish(**command.wish.model_dump(), only=only) if command.wish else None
        found = await self._launcher.path_rights(project_ref(command.project), command.path, wish)
        people = [PersonRights(**vars(each)) for each in found.people]
        return PathRights(**{**vars(found), "people": people, "notes": list(found.notes)[:50]})

    async def measure(self, command: MeasureProject) -> Space:
        """What it takes on this node's disk; nothing where it was never started."""
        try:
            found = Space.model_validate(vars(await self._launcher.measure_project(project_ref(command.project))))
        except NotFound:
            found = Space()
        found.kept = await self._bounded(command)
        if command.most:
            self.rooms[command.project.id] = max(0, command.most - found.bytes)
        else:
            self.rooms.pop(command.project.id, None)
        return found

    async def _bounded(self, command: MeasureProject) -> bool:
        """Whether the file system keeps the bound; AEN itself goes by it in any case."""
        try:
            return await self._launcher.bound_project(project_ref(command.project), command.most)
        except NotFound:
            return False
        except AenError as error:
            log.warning("the bound of a project could not be set", project=command.project.id, reason=error.message)
            return False

    def _told(self, project: str) -> Callable[[int, int], None]:
        """Publish how far a walk is, now and then."""
        counts = [0, 0]

        async def tell() -> None:
            event = PermissionsWalked(project=project, looked_at=counts[0], changed=counts[1])
            await self._bus.publish(event)

        soon = thinned(tell)

        def told(looked_at: int, changed: int) -> None:
            counts[:] = looked_at, changed
            soon()

        return told

    async def rename(self, command: RenameProject) -> Done:
        """Move the directory. Fine when that was done, or there is none yet."""
        spec = command.project
        owner = command.new_owner or spec.owner
        moved = spec.model_copy(update={"owner": owner, "name": command.new_name})
        async with self._locks[spec.id]:
            if command.new_owner:
                await self._launcher.ensure_account(owner, incarnation(spec, owner))
            self.moved.note(spec)
            try:
                await self._launcher.rename_project(project_ref(spec), command.new_name, command.new_owner)
            except NotFound:
                log.info("a project without a directory was renamed", project=f"{spec.owner}/{spec.name}")
            self._latest.pop(spec.id, None)
            await self.moved.settle(moved)
        return Done()

    async def delete(self, command: DeleteProject) -> Done:
        """Remove the directory and all in it."""
        spec = command.project
        preparation = self._preparing.get(spec.id)
        if preparation is not None and preparation.task is not None:
            preparation.task.cancel()
            await asyncio.wait([preparation.task])
        async with self._locks[spec.id]:
            for member in spec.team:
                await self._end_processes(member.user, spec)
            await self._launcher.delete_project(project_ref(spec))
        self._latest.pop(spec.id, None)
        self._locks.pop(spec.id, None)
        self.moved.forget(spec.id)
        return Done()

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────

    def _groups_say_it(self, before: ProjectSpec | None, after: ProjectSpec) -> bool:
        """Whether a change of the team is done without touching files: groups stand for people, and no writer was lost.

        What somebody who may not write any more owns passes to the owner, for which the files have to be looked at.
        """
        if self._config.acl.subject != "group" or not self._launcher.isolated or before is None:
            return False
        roles = {member.user: member.role for member in after.team}
        writers = (member.user for member in before.team if member.role is not Role.VIEWER)
        return all(roles.get(user, Role.VIEWER) is not Role.VIEWER for user in writers)

    def work(self, work: object, name: str) -> asyncio.Task[None]:
        """Run something that nobody waits for; what it raises is logged."""
        task: asyncio.Task[None] = asyncio.create_task(work, name=f"compute:{name}")  # type: ignore[arg-type]
        self.open_work.add(task)
        task.add_done_callback(self._worked)
        return task

    def _worked(self, task: asyncio.Task[None]) -> None:
        self.open_work.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("work in the background failed", task=task.get_name(), exc_info=error)

    def in_line_soon(self, spec: ProjectSpec) -> None:
        """Bring its files in line with the team, in the background."""
        self.work(self._walk(spec), f"permissions {spec.id}")

    async def _prepare(self, preparation: Preparation) -> None:
        spec = preparation.spec
        preparation.task = asyncio.current_task()
        try:
            await self.ready(self.begin(spec, spec.owner), preparation.tracker)
            await preparation.end(ProjectState.RUNNING, "")
        except AenError as error:
            await preparation.end(ProjectState.PROBLEM, error.message)
        except Exception as error:
            fault = Internal(f"The project could not be prepared ({type(error).__name__}). See the log of the node.")
            log.exception("a project could not be prepared", project=spec.id, id=fault.id)
            await preparation.end(ProjectState.PROBLEM, f"{fault.message} [{fault.id}]")
        finally:
            self._preparing.pop(spec.id, None)

    async def _walk(self, spec: ProjectSpec) -> None:
        async with self._locks[spec.id]:
            try:
                await walk(self._launcher, project_ref(self._latest.get(spec.id, spec)), lambda _: None)
            except AenError as error:
                log.warning("permissions were not applied to all files", project=spec.id, reason=error.message)

    async def _end_processes(self, user: str, spec: ProjectSpec) -> None:
        try:
            await self._launcher.end_user(user, project_ref(spec))
        except AenError as error:  # no account: no processes
            log.debug("nothing to end", user=user, reason=error.message)
