"""Run beside a systemd (see systemd.py): a real launcher, which must find it and use it. Prints what it saw as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from aen.launchers import Process
from aen.launchers.process import ProcessLauncher
from tests.launching import Place, app, lives, place
from tests.waiting import until

ONE, TWO = "a" * 16, "b" * 16
LIMITS = {"memory_bytes": 256 << 20, "processes": 77, "cpu_millis": 1500}


def scopes() -> list[str]:
    return sorted(path.name for path in Path("/sys/fs/cgroup/aen.slice/aen-apps.slice").glob("*.scope"))


def shown(unit: str) -> dict[str, str]:
    """What systemd itself knows of a scope."""
    wanted = ("MemoryMax", "TasksMax", "CPUQuotaPerSecUSec", "Slice", "ActiveState", "CollectMode")
    command = ["systemctl", "--user", "show", unit, *(f"--property={name}" for name in wanted)]
    text = subprocess.run(
        command, env={**os.environ, "XDG_RUNTIME_DIR": "/run"}, capture_output=True, text=True, check=True
    )
    return dict(line.split("=", 1) for line in text.stdout.splitlines())


def group_of(process: Process) -> str:
    return Path(f"/proc/{process.pid}/cgroup").read_text().splitlines()[-1]


async def first(spot: Place, seen: dict[str, Any]) -> Process:
    """A launcher that starts two, of which one ends by itself with what it left behind."""
    async with spot.launcher() as launcher:
        seen["health"] = launcher.health()
        ann = await launcher.ensure_account("aentann")
        process = await launcher.start(app(ONE, ann, "(setsid sleep 300 &); sleep 300", limits=LIMITS))
        seen["group"], seen["scopes"] = group_of(process), scopes()
        seen["shown"] = shown(seen["scopes"][0])
        gone = await launcher.start(app(TWO, ann, "(setsid sleep 300 &); exit 3"))
        seen["code"] = await launcher.exited(gone)
        await launcher.stop(gone, 0)
        await until(lambda: _only(ONE), 10, "the other's scope is gone")
        return process


async def _only(session: str) -> bool:
    return [session in name for name in scopes()] == [True]


async def second(launcher: ProcessLauncher, process: Process, seen: dict[str, Any]) -> None:
    """The next launcher finds it again, measures it by its scope, and ends all of it."""
    seen["lived_on"], seen["adopted"] = lives(process), await launcher.adopt(process)
    seen["processes"] = (await launcher.usage())[ONE].processes
    await launcher.stop(process, 0)
    seen["ended"] = not lives(process)

    async def none() -> bool:
        return scopes() == []

    await until(none, 10, "its scope is gone")


async def main() -> None:
    seen: dict[str, Any] = {}
    with place() as spot:
        process = await first(spot, seen)
        async with spot.launcher() as launcher:
            await second(launcher, process, seen)
    print(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main())
