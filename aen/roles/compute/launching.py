"""Launching: the last step of a start. The app server's process, and waiting until it answers."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

from aen.apps import AppServer, Launch
from aen.apps.shells import known
from aen.config import Config
from aen.config.sessions import Limits
from aen.errors import AenError, NotFound, Unavailable
from aen.languages import size
from aen.launchers import Account, AppSpec, Launcher, Process, proc
from aen.model.environment import DEFAULT
from aen.roles.compute.asking import Asker
from aen.roles.compute.records import Record, Records
from aen.roles.compute.roots import Roots
from aen.roles.compute.tracker import Note

_LOOK_SECONDS = 0.05  # between two looks at whether it answers
_TAIL_LINES, _TAIL_CHARACTERS = 60, 4000


class Launching:
    """Starts app servers. What a launch needs to be taken up again is recorded before the process starts."""

    def __init__(self, config: Config, launcher: Launcher, roots: Roots, records: Records) -> None:
        self._config, self._launcher, self._roots, self._records = config, launcher, roots, records

    async def launch(self, record: Record, server: AppServer, account: Account, note: Note) -> None:
        """Start the app server and wait until it answers. On failure nothing is left running."""
        apps = await self._roots.get("apps", note)
        note("")
        if not _is_there(record.run_dir):
            record.run_dir = await self._launcher.make_run_dir(record.session, record.user)
            record.secret = secrets.token_urlsafe(32)
        launch = self._launch(record, account, apps.python)
        if launch.environment.name != record.project.environment:
            note(f"the environment {record.project.environment} is not there: {launch.environment.name} is used")
        command = server.command(launch)
        record.upstream, record.uid, record.strip = command.upstream, account.uid, command.strip
        self._records.save(record)
        kind, _, place = command.upstream.partition(":")
        spec = AppSpec(
            session=record.session,
            generation=record.generation,
            user=record.user,
            owner=record.project.owner,
            project=record.project.name,
            argv=command.argv,
            environ=command.environ,
            cwd=command.cwd,
            socket=place if kind == "unix" else "",
            limits={**limits_of(self._config, record.app_server, record.limits), **command.limits},
        )
        # Not to be cut off in the middle: a process of which nobody knows would be left.
        starting = asyncio.ensure_future(self._launcher.start(spec))
        try:
            process = await asyncio.shield(starting)
            record.process = asdict(process)
            self._records.save(record)
            await self._until_it_answers(record, process, command.ready)
        except BaseException:
            await asyncio.shield(self._undo(record, starting))
            raise

    def launch_of(self, record: Record, account: Account) -> Launch:
        """What the app server was told when it started (for asking it later)."""
        return self._launch(record, account, Path(os.devnull))

    async def tail(self, session: str) -> str:
        """The end of the log for a page; empty when it can't be read."""
        try:
            return (await self._launcher.log_tail(session, _TAIL_LINES))[-_TAIL_CHARACTERS:]
        except AenError:
            return ""

    def how_it_ended(self, record: Record, process: Process, code: int | None) -> str:
        """How an app ended, as words to follow "The app"."""
        if not self._launcher.ran_out_of_memory(process):
            return how_it_ended(code)
        most = limits_of(self._config, record.app_server, record.limits).get("memory_bytes", 0)
        return f"was ended because it used more than {size(most)} of memory, which is its limit"

    def _launch(self, record: Record, account: Account, apps_python: Path) -> Launch:
        project_dir = self._config.compute.project_root / record.project.owner / record.project.name
        return Launch(
            user="*" if record.shared else record.user,
            account=account.user,
            home=account.home,
            project_dir=project_dir,
            run_dir=record.run_dir,
            prefix=record.prefix,
            secret=record.secret,
            apps_python=apps_python,
            environment=_environment(project_dir / "envs", record.project.environment),
            gateway_origin=self._config.gateway.url,
            server_url=self._config.server.url,
            shell=known(account.shell),
            told=record.told,
        )

    async def _until_it_answers(self, record: Record, process: Process, ready: str) -> None:
        asker, exited = Asker(record), self._launcher.exited(process)
        deadline = time.monotonic() + self._config.compute.ready_seconds
        by_socket = record.upstream.startswith("unix:")
        while True:
            # Each time: some apps set their socket's mode after they have bound it, which shuts us out again.
            granted = not by_socket or await self._granted(process)
            if granted and await asker.answers(ready):
                if by_socket:
                    await self._granted(process)  # what it did to its socket until it answered
                return
            if exited.done():
                how = self.how_it_ended(record, process, exited.result())
                raise Unavailable(f"The app {how} before it answered. Its log tells more.")
            if time.monotonic() > deadline:
                seconds = self._config.compute.ready_seconds
                raise Unavailable(
                    f"The app did not answer within {seconds:g} s (compute.ready_seconds). Its log tells more."
                )
            await asyncio.wait([exited], timeout=_LOOK_SECONDS)

    async def _granted(self, process: Process) -> bool:
        """Whether we are let through to its socket. One that has just ended has none: of that we hear as well."""
        try:
            return await self._launcher.grant_socket(process)
        except NotFound:
            return False

    async def _undo(self, record: Record, starting: asyncio.Future[Process]) -> None:
        with suppress(AenError):  # when it never started, the error that led here says why
            await self._launcher.stop(await starting, self._config.compute.stop_seconds)
        record.process = None


def _environment(folder: Path, wanted: str) -> Path:
    """The project's active environment; `default` when somebody removed it, so that the app starts at all."""
    chosen = folder / wanted
    return chosen if os.path.lexists(chosen / "bin" / "python") else folder / DEFAULT


def limits_of(config: Config, app_server: str, person: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
    """What one session of an app server may take: as is said of its person, else as its app says, else as the node does."""
    told = config.apps.get(app_server)
    own, node = told.limits if told else Limits(), config.compute.limits
    wanted = {
        "memory_bytes": own.memory_bytes or node.memory_bytes,
        "cpu_millis": round((own.cpus or node.cpus) * 1000),
        "processes": own.processes or node.processes,
        "files": own.files or node.files,
    }
    return {name: most for name, most in {**wanted, **person}.items() if most}


def _is_there(run_dir: str) -> bool:
    return bool(run_dir) and os.path.isdir(run_dir)


def how_it_was_lost(process: Process | None) -> str:
    """Why an app is gone of which nobody saw the end."""
    if process is not None and process.boot_id != proc.boot_id():
        return "The machine was started anew: nothing that ran on it outlives that."
    return "The app ended while AEN was not running."


def how_it_ended(code: int | None) -> str:
    """An exit code as words, to follow "The app"."""
    if code is None or code == 0:
        return "ended"
    if code > 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"was ended by signal {name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
