"""The steps of a project's start, in order. Each is idempotent: a start that was cut off is simply started again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from aen.errors import AenError
from aen.launchers import Account, Launcher, ProjectRef, WalkProgress, WalkReport
from aen.messages import ProjectSpec
from aen.model.environment import DEFAULT
from aen.roles.compute.roots import Roots
from aen.roles.compute.tracker import Note

log = structlog.get_logger(__name__)


@dataclass
class Start:
    """What the steps of one start share."""

    spec: ProjectSpec
    user: str  # whose account is needed besides the owner's
    launcher: Launcher
    roots: Roots
    skeleton: str
    account: Account | None = None  # the user's
    entered: asyncio.Event = field(default_factory=asyncio.Event)  # the directory itself lets the team in

    @property
    def ref(self) -> ProjectRef:
        """The project as the launcher needs it."""
        return project_ref(self.spec)


def project_ref(spec: ProjectSpec) -> ProjectRef:
    """A project as the launcher needs it."""
    team = {member.user: member.role.value for member in spec.team}
    return ProjectRef(spec.owner, spec.name, team, tuple(spec.former))


def incarnation(spec: ProjectSpec, user: str) -> str:
    """Which person of that name is in the team; empty when that is not told."""
    return next((member.incarnation for member in spec.team if member.user == user), "")


async def account(start: Start, note: Note) -> None:
    """Linux accounts: the owner's and the user's must be there; those of the rest of the team come as they can."""
    await start.launcher.ensure_account(start.spec.owner, incarnation(start.spec, start.spec.owner))
    start.account = await start.launcher.ensure_account(start.user, incarnation(start.spec, start.user))
    await ensure_team(start.launcher, start.spec, note)


async def ensure_team(launcher: Launcher, spec: ProjectSpec, note: Note) -> None:
    """Accounts of the team, so that it gets its rights; one that can't be made holds up nobody else."""
    for member in spec.team:
        try:
            await launcher.ensure_account(member.user, member.incarnation)
        except AenError as error:
            note(f"{member.user} gets no access on this node: {error.message}")
            log.warning("no account for a team member", user=member.user, reason=error.message)


async def directory(start: Start, note: Note) -> None:
    """The project's directory, from the skeleton."""
    if await start.launcher.prepare_project(start.ref, start.skeleton):
        note("made from the skeleton")


async def environment(start: Start, note: Note) -> None:
    """`envs/default`, a clone of the root environment, which may still have to be built."""
    root = await start.roots.get("root", note)
    await start.roots.get("apps", note)
    note("")
    if await start.launcher.publish_environment(start.ref, DEFAULT, str(root.path)):
        note("made from the root environment")


async def permissions(start: Start, note: Note) -> None:
    """Every file in line with the team: the directory itself first, so that access is right at once."""
    await walk(start.launcher, start.ref, note, start.entered.set)


async def walk(
    launcher: Launcher,
    ref: ProjectRef,
    note: Note,
    entered: Callable[[], None] = lambda: None,
    told: WalkProgress | None = None,
) -> WalkReport:
    """End ex-members' processes, then the directory itself (then `entered` is called), then the rest."""
    for user in ref.former:
        await launcher.end_user(user, ref)
    await launcher.apply_permissions(ref, top_only=True)
    entered()

    def noted(looked_at: int, changed: int) -> None:
        note(f"{looked_at:,} files looked at, {changed:,} changed")

    report = await launcher.apply_permissions(ref, progress=told or noted)
    note(f"{report.changed:,} of {report.looked_at:,} files changed" if report.changed else "")
    return report


#: In order; the app follows (sessions.py), for those who start one.
STEPS: tuple[tuple[str, Callable[[Start, Note], Awaitable[None]]], ...] = (
    ("account", account),
    ("directory", directory),
    ("environment", environment),
    ("permissions", permissions),
)
