"""Part of the benchmark of the compute node: the clone of an environment against `cp -al`, one made from a lock against uv.

Accounts of its own make them, as in real use. Nothing is removed between rounds: ext4 looks at every inode that was freed
in the last minutes before it makes a directory, which would be measured instead.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from uv import find_uv_bin

from aen.config.files import packaged
from aen.environments.clone import Clone, Plan
from aen.launchers import Account
from aen.messages import ApplyPermissions
from tests.bench.row import Row
from tests.computing import OWNER, box, envs
from tests.computing import project as spec
from tests.integration.test_compute_environments import Envs, folder, prepared
from tests.launching import place

ROUNDS = 9
MADE = 7


async def clones() -> AsyncIterator[Row]:
    """The figures of environments."""
    with place("managed") as here:
        async with box(here) as running:
            project = await prepared(running)
            for row in _cloned():
                yield row
            owner = await running.launcher.ensure_account(OWNER)
            for row in await _made(project, owner, folder(here)):
                yield row


def _cloned() -> list[Row]:
    """In turns, on the file system of the environments."""
    # Of a directory that is kept, the version made last is the one in use.
    source = max(envs().glob("apps-*"), key=lambda path: path.stat().st_ctime)
    ours: list[float] = []
    theirs: list[float] = []
    with tempfile.TemporaryDirectory(dir=envs().parent) as top:
        for number in range(ROUNDS):
            ours.append(_clone(source, Path(top, f"ours{number}")))
            began = time.perf_counter()
            subprocess.run(["cp", "-al", source, Path(top, f"cp{number}")], check=True)
            theirs.append(time.perf_counter() - began)
    ratios = sorted(mine / other for mine, other in zip(ours, theirs, strict=True))
    files = sum(len(files) for _, _, files in os.walk(source))
    name = f"clone of Jupyter's environment ({files:,} files), against cp -al"
    return [
        Row(name, statistics.median(ours), "s", statistics.median(theirs), "<= 1.0"),
        Row("clone against cp -al: the best round", ratios[0], "times"),
        Row("clone against cp -al: the worst round", ratios[-1], "times"),
    ]


def _clone(source: Path, target: Path) -> float:
    """In a child, as the launcher does it."""
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        try:
            target.mkdir(0o700)
            read, write = (os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target))
            plan = Plan(str(source), "/projects/a/b/envs/default", (61950, 61950), frozenset({0}), link_writable=True)
            done = Clone(plan).run(read, write)
            os._exit(0 if done.linked + done.reflinked > 1000 else 1)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise RuntimeError("the environment could not be cloned")
    return time.perf_counter() - began


async def _made(project: Envs, owner: Account, envs: Path) -> list[Row]:
    """From AEN's own lock of the default environment, hashes and all; the person's cache is warm from a first one."""
    lock = (packaged("config") / "environments" / "root.txt").read_text()
    await _done(project, "warm", lock)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(MADE):
        # In turns, each on a disk that is at rest: who comes second would write what the first has left behind.
        for ours_now in (True, False) if number % 2 else (False, True):
            await _at_rest(project)
            began = time.perf_counter()
            if ours_now:
                await _done(project, f"made{number}", lock)
                ours.append(time.perf_counter() - began)
            else:
                theirs.append(await asyncio.to_thread(_by_uv, owner, lock, envs / f"uv{number}"))
    more = statistics.median(mine - other for mine, other in zip(ours, theirs, strict=True))
    return [
        Row("made from a lock, warm, against uv itself", statistics.median(ours), "s", statistics.median(theirs)),
        Row("made from a lock, warm: more than uv itself", more, "s", aim="<= 0.5"),
    ]


async def _at_rest(project: Envs) -> None:
    """The walk that follows each change is over, and what was written is on the disk."""
    await project.running.ask(ApplyPermissions(project=spec(), repair=True))
    await asyncio.to_thread(os.sync)


async def _done(project: Envs, name: str, lock: str) -> None:
    report = await project.done(act="create", name=name, requirements=lock)
    if report.state != "done":
        raise RuntimeError(f"{report.reason} {report.output}")


def _by_uv(owner: Account, lock: str, top: Path) -> float:
    """The same two commands, as the same person in the same project, whose ACL all files inherit; what is in the cache is not asked for anew, as AEN does it with a lock."""
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": owner.home,
        "UV_LINK_MODE": "copy",
        "UV_NO_PROGRESS": "1",
        "UV_OFFLINE": "1",
    }
    environ |= {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_", "PIP_"))}
    uv = shutil.copy(find_uv_bin(), Path(owner.home, "uv"))
    began = time.perf_counter()
    for arguments in (
        ["venv", "--quiet", "--relocatable", "--no-project", "--python", "/usr/bin/python3", str(top)],
        ["pip", "install", "--quiet", "--python", str(top / "bin/python"), "-r", "-"],
    ):
        subprocess.run(
            [uv, *arguments],
            input=lock,
            text=True,
            check=True,
            env=environ,
            user=owner.uid,
            group=owner.gid,
            extra_groups=[],
        )
    return time.perf_counter() - began
