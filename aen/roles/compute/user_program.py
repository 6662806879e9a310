"""User program: a program of ours (for environments, for contents), run as a person through the launcher, to its end or watched on the way."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aen import names
from aen.apps import Launch
from aen.apps.surroundings import surroundings
from aen.config import Config
from aen.errors import Conflict, Invalid, NotFound, TimedOut, Unavailable
from aen.launchers import Account, AppSpec, Launcher, Process
from aen.messages import ProjectSpec
from aen.model import now
from aen.roles.compute.launching import limits_of
from aen.roles.compute.roots import Roots
from aen.roles.compute.steps import incarnation

PROGRAM = "aen_environments"
MARK = "\x02AEN-RESULT "  # the same word stands in the program, which can't import AEN
_LINES = 2000  # of its log that are read
_LOOK_SECONDS = 60.0  # in which something that only looks must be done
_LARGEST_TOLD = 112 * 1024  # bytes, packed: the kernel takes 128 KiB in one variable, the launcher in all
_LARGEST_RESULT = 8 << 20  # bytes, unpacked


@dataclass(frozen=True)
class Wish:
    """What the program is to do. `purpose` tells looking from changing: one of each at a time for a project."""

    project: ProjectSpec
    user: str
    purpose: str  # look | change
    verb: str
    told: dict[str, Any]
    program: str = PROGRAM
    key: str = ""  # of an errand: what tells it from others of the project

    @property
    def session(self) -> str:
        """The id by which the launcher and the log know it."""
        if self.key:
            return names.session_id(self.project.id, self.user, f"errand {self.key}")
        return names.session_id(self.project.id, "*", f"{self.program.removeprefix('aen_')} {self.purpose}")


class UserProgram:
    """Starts the program; reads its result from the end of its log."""

    def __init__(self, config: Config, launcher: Launcher, roots: Roots) -> None:
        self._config, self._launcher, self._roots = config, launcher, roots

    async def start(self, wish: Wish, socket: str = "") -> Process:
        """Start it as that person; `socket` is one it will listen on. Raises AenErrors."""
        if not self._roots.ready:
            raise Unavailable(f"This node is still getting ready: {self._roots.message}.", retry_after=10)
        apps = await self._roots.get("apps", lambda _: None)
        account = await self._launcher.ensure_account(wish.user, incarnation(wish.project, wish.user))
        folder = self._config.compute.project_root / wish.project.owner / wish.project.name
        tool = {**await self._roots.backend.tool(), "uv": str(apps.python.parent / "uv")}
        told = {"verb": wish.verb, "project": str(folder), "user": wish.user, "tool": tool, **wish.told}
        launch = self._launch(wish, account, folder, apps.python)
        spec = AppSpec(
            session=wish.session,
            generation=now(),
            user=wish.user,
            owner=wish.project.owner,
            project=wish.project.name,
            argv=[str(apps.python), "-I", "-m", wish.program],
            environ={**surroundings(launch), wish.program.upper(): _packed(told)},
            limits=limits_of(self._config, wish.program),
            cwd=str(folder) if wish.purpose == "change" else account.home,
            socket=socket,
        )
        return await self._launcher.start(spec)

    async def ask(self, wish: Wish, seconds: float = _LOOK_SECONDS) -> dict[str, Any]:
        """Run it to its end. Raises Conflict with its reason, TimedOut, Unavailable."""
        process = await self.start(wish)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(self._launcher.exited(process))
            return result_of(await self._launcher.log_tail(wish.session, _LINES))
        except TimeoutError:
            raise TimedOut("Looking at the project took too long: its disk is slow or very full.") from None
        finally:
            await asyncio.shield(self.gone(process))

    async def said(self, wish: Wish) -> str:
        """What it said so far."""
        return await self._launcher.log_tail(wish.session, _LINES)

    async def adopt(self, process: Process) -> bool:
        """Whether it still runs after a restart of AEN."""
        return await self._launcher.adopt(process)

    def exited(self, process: Process) -> asyncio.Future[int | None]:
        """Done when it has ended."""
        return self._launcher.exited(process)

    async def gone(self, process: Process) -> None:
        """End what is left of it."""
        try:
            await self._launcher.stop(process, 0)
        except NotFound:
            return

    def _launch(self, wish: Wish, account: Account, folder: Path, python: Path) -> Launch:
        return Launch(
            user=wish.user,
            account=account.user,
            home=account.home,
            project_dir=folder,
            run_dir="",
            prefix="",
            secret="",
            apps_python=python,
            environment=folder / "envs" / wish.project.environment,
            gateway_origin="",
        )


def _packed(told: dict[str, Any]) -> str:
    """What the program is told, as it fits into a variable. Raises Invalid when it does not: a lock full of hashes."""
    packed = base64.b64encode(zlib.compress(json.dumps(told).encode())).decode()
    if len(packed) > _LARGEST_TOLD:
        raise Invalid("That is too much at once: do a part of it (of a file with hashes, leave out the hashes).")
    return packed


def result_of(log: str) -> dict[str, Any]:
    """The result at the end of a log. Raises Conflict with the program's reason, Unavailable when there is no result.

    The log is the user's: what stands there is data of theirs and no more.
    """
    _, _, packed = log.rpartition(MARK)
    lines = packed.split()
    try:
        if MARK not in log or not lines:
            raise ValueError("no result")
        unpack = zlib.decompressobj()
        result = json.loads(unpack.decompress(base64.b64decode(lines[0], validate=True), _LARGEST_RESULT))
        ok = result.pop("ok")
    except (ValueError, zlib.error, KeyError, TypeError, AttributeError, RecursionError):
        raise Unavailable("The program that does this ended without a result. What it said is in its log.") from None
    if ok is not True:
        raise Conflict(str(result.get("reason", ""))[:2000] or "It could not be done.")
    return dict(result)


def as_record(process: Process) -> dict[str, Any]:
    """A process as it can be written down."""
    return asdict(process)
