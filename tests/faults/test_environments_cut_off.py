"""A project's environment that could not be finished: the disk is full, the launcher is killed. Nobody ever sees half of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aen.errors import AenError, Conflict
from aen.launchers import ProjectRef
from aen.launchers.process import ProcessLauncher
from tests.launching import Place, place
from tests.waiting import until

pytestmark = pytest.mark.root

PROJECT = ProjectRef("aentfull", "genome", {"aentfull": "owner"})


@pytest.fixture
def spot() -> Iterator[Place]:
    with place("managed") as made:
        yield made


def source(spot: Place, files: int, size: int) -> Path:
    """A root environment of that many files, in folders of a hundred."""
    top = spot.envs / "root-0123456789ab"
    for number in range(files):
        folder = top / f"lib/p{number // 100}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.py").write_bytes(b"x" * size)
    (top / "bin").mkdir()
    (top / "bin/python").symlink_to("/usr/bin/python3")
    return top


def left(spot: Place) -> list[str]:
    """What lies in staging, and in the project's envs."""
    found: list[str] = []
    for path in (Path(spot.policy.project_root, ".aen-staging"), spot.path(PROJECT) / "envs"):
        found += os.listdir(path) if path.exists() else []
    return found


async def test_a_full_disk_is_told_and_nothing_is_left(spot: Place) -> None:
    """The projects lie on a disk of their own, of 8 MB: the 20 MB of the environment have to be copied."""
    root = Path(spot.policy.project_root)
    root.mkdir(exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=711", "tmpfs", root], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        top = source(spot, 2000, 10_000)
        async with spot.launcher() as launcher:
            await launcher.ensure_account("aentfull")
            await launcher.prepare_project(PROJECT, str(spot.skeleton))
            with pytest.raises(Conflict, match="No space left on device"):
                await launcher.publish_environment(PROJECT, "default", str(top))
            assert left(spot) == []
            # With room again, the same wish is fulfilled.
            subprocess.run(["mount", "-o", "remount,size=80m", root], check=True)
            assert await launcher.publish_environment(PROJECT, "default", str(top))
            assert left(spot) == ["default"]
    finally:
        subprocess.run(["umount", "-l", root], check=True)


async def test_killed_half_way_it_is_made_anew(spot: Place) -> None:
    top = source(spot, 30_000, 10)
    async with spot.launcher() as launcher:
        await launcher.ensure_account("aentfull")
        await launcher.prepare_project(PROJECT, str(spot.skeleton))
    staging = Path(spot.policy.project_root, ".aen-staging")
    handle = spot.spawn()
    async with ProcessLauncher(handle) as launcher:
        wish = asyncio.ensure_future(launcher.publish_environment(PROJECT, "default", str(top)))

        async def half() -> bool:
            return any(staging.glob("new-*/lib/p*/*.py"))

        await until(half, 30, "it is being made")
        for pid in [*_below(handle.child.pid), handle.child.pid]:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(AenError):
            await wish
    assert "default" not in left(spot)
    async with spot.launcher() as launcher:

        async def swept() -> bool:
            return left(spot) == []

        await until(swept, 30, "what was left is removed")
        assert await launcher.publish_environment(PROJECT, "default", str(top))
        assert left(spot) == ["default"]
        made = spot.path(PROJECT) / "envs/default/lib"
        assert sum(len(files) for _, _, files in os.walk(made)) == 30_000


def _below(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    found = []
    for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [*_below(int(text)), int(text)]
    return found
