"""Quotas of the file system: what a project's programs write beyond its bound is refused by the kernel. A disk of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from aen.launchers import Account, ProjectRef, quotas
from aen.launchers.process import ProcessLauncher
from tests.launching import Place, as_user, place

MB = 1 << 20

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a disk of our own")]


@pytest.fixture(scope="module", params=["ext4", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 400 MB with project quotas. Skipped where this kernel has none."""
    make = {"ext4": ["mkfs.ext4", "-q", "-O", "quota,project"], "xfs": ["mkfs.xfs", "-q"]}[request.param]
    if shutil.which(make[0], path="/usr/sbin:/sbin") is None:
        pytest.skip(f"{make[0]} is not installed")
    folder = tmp_path_factory.mktemp("disk")
    image, mount = folder / "image", Path(f"/tmp/aent-disk-{os.getpid()}-{request.param}")
    with image.open("wb") as file:
        file.truncate(400 * MB)
    subprocess.run([*make, image], check=True, capture_output=True)
    mount.mkdir(mode=0o755)
    done = subprocess.run(["mount", "-o", "loop,prjquota", image, mount], capture_output=True, text=True, check=False)
    try:
        if done.returncode != 0:
            pytest.skip(f"this machine can't mount {request.param} with project quotas: {done.stderr.strip()[:200]}")
        mount.chmod(0o755)
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)
        with suppress(OSError):
            mount.rmdir()


@pytest.fixture(scope="module")
def spot(disk: Path) -> Iterator[Place]:
    with place() as made:
        made.policy = replace(made.policy, project_root=f"{disk}/projects", envs_dir=f"{disk}/envs")
        made.envs = disk / "envs"
        made.envs.mkdir()
        yield made


@pytest.fixture
async def launcher(spot: Place) -> AsyncIterator[ProcessLauncher]:
    async with spot.launcher() as made:
        yield made


def ref(name: str) -> ProjectRef:
    return ProjectRef("aentann", name, {"aentann": "owner", "aentbob": "member"})


def writes(who: Account, path: Path, megabytes: int) -> bool:
    """Whether so much can be written there; when it can't, it is for want of room (xfs says so, ext4 names the quota)."""
    command = ["dd", "if=/dev/zero", f"of={path}", "bs=1M", f"count={megabytes}"]
    done = as_user(who, *command)
    if done.returncode == 0:
        return True
    assert "quota exceeded" in done.stderr or "No space left on device" in done.stderr, done.stderr
    return False


async def test_more_than_the_bound_is_refused_by_the_kernel(spot: Place, launcher: ProcessLauncher) -> None:
    ann, bob = [await launcher.ensure_account(name) for name in ("aentann", "aentbob")]
    project, other = ref("small"), ref("other")
    for one in (project, other):
        await launcher.prepare_project(one, str(spot.skeleton))
    top = spot.path(project)
    assert not await launcher.bound_project(project, 0)  # nobody asked for one
    as_user(ann, "mkdir", f"{top}/data")
    assert writes(ann, top / "data/before", 4)
    assert await launcher.bound_project(project, 10 * MB)
    assert not writes(ann, top / "data/after", 8)  # with what was there before
    (top / "data/after").unlink()
    assert writes(bob, top / "data/after", 4)
    assert not writes(bob, top / "more", 4)  # all of the team together
    assert writes(ann, spot.path(other) / "free", 20)  # others are not in it
    assert writes(ann, Path(ann.home, "free"), 20)
    assert await launcher.bound_project(project, 30 * MB)
    assert writes(ann, top / "data/more", 10)
    assert not await launcher.bound_project(project, 0)
    assert writes(ann, top / "data/more", 40)


async def test_environments_come_in_and_things_move(spot: Place, launcher: ProcessLauncher) -> None:
    """The kernel lets nothing of another number in by a rename or a link: what we bring has the project's."""
    ann = await launcher.ensure_account("aentann")
    project = ref("envs")
    await launcher.prepare_project(project, str(spot.skeleton))
    top = spot.path(project)
    assert await launcher.bound_project(project, 50 * MB)
    source = spot.envs / "root"
    (source / "lib").mkdir(parents=True)
    (source / "lib" / "large.bin").write_bytes(b"x" * (2 * MB))
    for path in (source, source / "lib", source / "lib" / "large.bin"):
        path.chmod(0o755 if path.is_dir() else 0o444)
    before = quotas_of(top)
    assert await launcher.publish_environment(project, "default", str(source))
    assert (top / "envs/default/lib/large.bin").read_bytes()[:1] == b"x"
    assert quotas_of(top / "envs/default/lib") == before != 0
    assert as_user(ann, "mv", f"{top}/envs/default", f"{top}/envs/moved").returncode == 0
    await launcher.rename_project(project, "renamed")
    renamed = ref("renamed")
    assert await launcher.bound_project(renamed, 50 * MB)
    assert quotas_of(spot.path(renamed)) == before
    assert not writes(ann, spot.path(renamed) / "much", 60)
    await launcher.delete_project(renamed)
    await launcher.prepare_project(project, str(spot.skeleton))
    assert await launcher.bound_project(project, 50 * MB)
    assert quotas_of(top) not in (0, before)  # the next of that name starts anew
    assert writes(ann, top / "data", 20)


def quotas_of(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return quotas.number_of(fd)
    finally:
        os.close(fd)
