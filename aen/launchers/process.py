"""The process launcher: speaks to the privileged launcher over a socketpair."""

from __future__ import annotations

import asyncio
import itertools
import socket
import subprocess
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import structlog

from aen.errors import Unavailable
from aen.launchers import (
    Account,
    AppSpec,
    DriftReport,
    PathRights,
    PersonRights,
    Policy,
    Process,
    ProjectRef,
    RightsWish,
    Space,
    Usage,
    WalkProgress,
    WalkReport,
)
from aen.launchers.wire import LARGEST, LENGTH, error_from_wire, pack, unpack

log = structlog.get_logger(__name__)

_GONE = "The privileged launcher has ended: restart AEN. Running apps go on and are found again."
_ENDED_KEPT = 4096  # exit codes kept for those who ask late


@dataclass(frozen=True)
class LauncherHandle:
    """A launcher that was started (`privileges.spawn_launcher`): our end of the socketpair, and the process."""

    sock: socket.socket
    child: subprocess.Popen[bytes]
    policy: Policy
    limits: Mapping[str, Any] = field(default_factory=dict)  # how sessions' limits are kept, and which for all of one

    def close(self) -> None:
        """End it (never the apps) and wait until it is gone: for when no ProcessLauncher took it over."""
        self.sock.close()
        self.child.wait(10)


class ProcessLauncher:
    """Fulfils `Launcher`. An async context manager: entered before use, leaving it ends the launcher (never the apps).

    `failed` is set when the launcher dies: only root can start another, so the node then stops with exit code 1.
    """

    def __init__(self, handle: LauncherHandle) -> None:
        self.isolated = handle.policy.mode != "single"
        self.failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._handle = handle
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._progress: dict[int, Callable[..., None]] = {}
        self._exits: OrderedDict[tuple[str, int, int], asyncio.Future[int | None]] = OrderedDict()
        self._out_of_memory: set[tuple[str, int, int]] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> ProcessLauncher:
        self._handle.sock.setblocking(False)
        reader, self._writer = await asyncio.open_connection(sock=self._handle.sock, limit=LARGEST + 64)
        self._reading = asyncio.create_task(self._read(reader), name="launcher:reader")
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._writer is not None
        assert self._reading is not None
        self._reading.cancel()
        await asyncio.wait([self._reading])
        self._writer.close()
        try:
            await asyncio.to_thread(self._handle.child.wait, 10)
        except subprocess.TimeoutExpired:
            log.error("the launcher did not end", pid=self._handle.child.pid)

    def health(self) -> dict[str, Any]:
        """Whether the launcher lives, and which mode it is in."""
        status = "degraded" if self.failed.done() else "ok"
        limits = self._handle.limits
        kept = {"limits": limits.get("how", ""), "limits_of_whole_sessions": list(limits.get("whole_session", []))}
        return {"status": status, "mode": self._handle.policy.mode, "isolated": self.isolated, **kept}

    # ── accounts and files ──────────────────────────────────────────────────────────────────────────

    async def ensure_account(self, user: str, incarnation: str = "") -> Account:
        return Account(**await self._ask("ensure_account", user=user, incarnation=incarnation))

    async def install_keys(self, user: str, keys: Sequence[str], incarnation: str = "") -> bool:
        return bool(await self._ask("install_keys", user=user, keys=list(keys), incarnation=incarnation))

    async def retire_account(self, user: str, *, look: bool, incarnation: str = "") -> dict[str, Any]:
        return dict(await self._ask("retire_account", user=user, look=look, incarnation=incarnation))

    async def check_password(self, user: str, password: str) -> bool:
        return bool(await self._ask("check_password", user=user, password=password))

    async def make_run_dir(self, session: str, user: str) -> str:
        return str(await self._ask("make_run_dir", session=session, user=user))

    async def prepare_project(self, project: ProjectRef, skeleton: str) -> bool:
        return bool(await self._ask("prepare_project", project=_ref(project), skeleton=skeleton))

    async def publish_environment(self, project: ProjectRef, name: str, source: str) -> bool:
        return bool(await self._ask("publish_environment", project=_ref(project), name=name, source=source))

    async def apply_permissions(
        self, project: ProjectRef, *, top_only: bool = False, progress: WalkProgress | None = None
    ) -> WalkReport:
        answer = await self._ask("apply_permissions", progress, project=_ref(project), top_only=top_only)
        return WalkReport(**{**answer, "notes": tuple(answer["notes"])})

    async def check_permissions(self, project: ProjectRef) -> DriftReport:
        return DriftReport(**await self._ask("check_permissions", project=_ref(project)))

    async def path_rights(self, project: ProjectRef, path: str, wish: RightsWish | None = None) -> PathRights:
        asked = {"rights": None} if wish is None else {**asdict(wish), "rights": dict(wish.rights)}
        answer = await self._ask("path_rights", project=_ref(project), path=path, **asked)
        return PathRights(**{**answer, "people": tuple(PersonRights(**each) for each in answer["people"])})

    async def measure_project(self, project: ProjectRef) -> Space:
        return Space(**await self._ask("measure_project", project=_ref(project)))

    async def bound_project(self, project: ProjectRef, most: int) -> bool:
        return bool(await self._ask("bound_project", project=_ref(project), most=most))

    async def clear_project(self, project: ProjectRef) -> list[str]:
        return list(await self._ask("clear_project", project=_ref(project)))

    async def rename_project(self, project: ProjectRef, new_name: str, new_owner: str = "") -> None:
        await self._ask("rename_project", project=_ref(project), new_name=new_name, new_owner=new_owner)

    async def delete_project(self, project: ProjectRef) -> None:
        await self._ask("delete_project", project=_ref(project))

    # ── processes ───────────────────────────────────────────────────────────────────────────────────

    async def start(self, spec: AppSpec) -> Process:
        data = asdict(spec) | {"argv": list(spec.argv), "environ": dict(spec.environ), "limits": dict(spec.limits)}
        return Process(**await self._ask("start", spec=data))

    async def hold(self, until: float) -> None:
        await self._ask("hold", until=until)

    async def grant_socket(self, process: Process) -> bool:
        return bool(await self._ask("grant_socket", process=asdict(process)))

    async def stop(self, process: Process, grace: float) -> None:
        await self._ask("stop", process=asdict(process), grace=grace)

    async def end_user(self, user: str, project: ProjectRef | None = None) -> int:
        return int(await self._ask("end_user", user=user, project=_ref(project) if project else None))

    async def adopt(self, process: Process) -> bool:
        return bool(await self._ask("adopt", process=asdict(process)))

    async def usage(self) -> dict[str, Usage]:
        answer = await self._ask("usage")
        return {session: Usage(**used) for session, used in answer.items()}

    async def log_tail(self, session: str, lines: int) -> str:
        return str(await self._ask("log_tail", session=session, lines=lines))

    def exited(self, process: Process) -> asyncio.Future[int | None]:
        return self._exit_of(process.session, process.generation, process.pid)

    def ran_out_of_memory(self, process: Process) -> bool:
        return (process.session, process.generation, process.pid) in self._out_of_memory

    # ── the wire ────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, verb: str, progress: Callable[..., None] | None = None, **values: Any) -> Any:
        if self._writer is None or self._reading is None or self._reading.done():
            raise Unavailable(_GONE)
        id = next(self._ids)
        answer = self._answers[id] = asyncio.get_running_loop().create_future()
        if progress:
            self._progress[id] = progress
        try:
            self._writer.write(pack({"id": id, "verb": verb, **values}))
            return await answer
        finally:
            self._answers.pop(id, None)
            self._progress.pop(id, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                (size,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
                self._take(unpack(await reader.readexactly(size)))
        except (asyncio.IncompleteReadError, ConnectionError):
            log.error("the privileged launcher has ended", pid=self._handle.child.pid)
            self.failed.set_result(Unavailable(_GONE))
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(Unavailable(_GONE))

    def _take(self, message: dict[str, Any]) -> None:
        if message.get("event") == "exited":
            self._take_exit(message)
            return
        id = int(message.get("id") or 0)
        if "progress" in message:
            if note := self._progress.get(id):
                note(*message["progress"])
            return
        answer = self._answers.get(id)
        if answer is None or answer.done():
            return
        if "error" in message:
            answer.set_exception(error_from_wire(message["error"]))
        else:
            answer.set_result(message.get("result"))

    def _take_exit(self, message: dict[str, Any]) -> None:
        key = (message["session"], message["generation"], message["pid"])
        if message.get("out_of_memory"):
            self._out_of_memory.add(key)
        future = self._exit_of(*key)
        if not future.done():
            future.set_result(message["code"])
        done = [key for key, kept in self._exits.items() if kept.done()]
        for key in done[: max(0, len(done) - _ENDED_KEPT)]:
            del self._exits[key]
            self._out_of_memory.discard(key)

    def _exit_of(self, session: str, generation: int, pid: int) -> asyncio.Future[int | None]:
        key = (session, generation, pid)
        if key not in self._exits:
            self._exits[key] = asyncio.get_running_loop().create_future()
        return self._exits[key]


def _ref(project: ProjectRef) -> dict[str, Any]:
    return {
        "owner": project.owner,
        "name": project.name,
        "team": {user: str(role) for user, role in project.team.items()},
        "former": list(project.former),
    }
