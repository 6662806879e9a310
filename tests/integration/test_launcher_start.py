"""What the launcher and `privileges` make sure of before anything else: refusals are one sentence, nothing is half-made."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aen.errors import Invalid
from aen.launchers import Unsupported
from aen.privileges import drop, ensure_service_account, spawn_launcher
from tests.launching import Place, place

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts")]


@pytest.fixture
def spot() -> Iterator[Place]:
    with place() as made:
        yield made


def in_child(work: object) -> str:
    """What `work()` returns or raises, done in a process that may lose its privileges."""
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            text = str(work())  # type: ignore[operator]
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with open(read) as file:
        text = file.read()
    os.wait()
    return text


def test_drop_is_for_good(spot: Place) -> None:
    def work() -> str:
        uid, gid = ensure_service_account(spot.service)
        drop(spot.service)
        status = Path("/proc/self/status").read_text()
        assert os.getresuid() == (uid, uid, uid)
        assert os.getresgid() == (gid, gid, gid)
        assert os.getgroups() == [gid]
        assert "NoNewPrivs:\t1" in status
        assert "CapEff:\t0000000000000000" in status
        assert os.umask(0) == 0o027
        os.setuid(0)
        return "root again"

    assert in_child(work).startswith("PermissionError")


def test_drop_to_root_is_refused() -> None:
    assert in_child(lambda: drop("root")).startswith("Invalid: service_account is 'root'")
    assert in_child(lambda: drop("aentmissing")).startswith("Invalid: There is no account 'aentmissing'")


def test_a_service_account_that_is_root_is_refused() -> None:
    with pytest.raises(Invalid, match="service_account"):
        ensure_service_account("root")


def test_managed_without_root(spot: Place) -> None:
    spot.top.chmod(0o777)

    def work() -> str:
        drop(spot.service)
        spawn_launcher(spot.policy)
        return "started"

    assert (
        in_child(work)
        == f"{Unsupported.__name__}: accounts.mode is managed, which needs root. Start AEN as root, or use mode single."
    )


def test_no_acls(spot: Place) -> None:
    root = Path(spot.policy.project_root)
    root.mkdir()
    if subprocess.run(["mount", "-t", "ramfs", "aent", root], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let us mount a ramfs")
    try:
        root.chmod(0o755)
        with pytest.raises(Invalid, match=r"compute.project_root: the file system of .* keeps no POSIX ACLs"):
            spot.spawn()
    finally:
        subprocess.run(["umount", root], check=True)


@pytest.mark.parametrize("option", ["compute.project_root", "envs_dir"])
def test_a_place_where_nothing_can_be_run(spot: Place, option: str) -> None:
    """Told at the start, by name: kernels would only say that permission is denied."""
    root = Path(spot.policy.project_root if option != "envs_dir" else spot.policy.envs_dir)
    root.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "noexec,mode=755", "aent", str(root)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        with pytest.raises(Invalid, match=rf"{option}: .* is mounted with noexec"):
            spot.spawn()
    finally:
        subprocess.run(["umount", root], check=True)


@pytest.mark.parametrize("option", ["state_dir", "project_root"])
def test_a_directory_that_others_may_exchange(spot: Place, option: str) -> None:
    top = spot.top / "loose"
    top.mkdir()
    top.chmod(0o777)
    with pytest.raises(Invalid, match="is not safe, because others than root may change"):
        spawn_launcher(replace(spot.policy, **{option: f"{top}/it"}))  # type: ignore[arg-type]


def test_a_project_root_that_people_can_not_reach(spot: Place) -> None:
    shut = spot.top / "shut"
    shut.mkdir(mode=0o700)
    with pytest.raises(Invalid, match=r"compute.project_root: .* can't be reached by ordinary accounts"):
        spawn_launcher(replace(spot.policy, project_root=f"{shut}/projects"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "all"}, "accounts.mode"),
        ({"project_root": "projects"}, "compute.project_root must be an absolute path"),
        ({"run_dir": "/run/../etc"}, "run_dir must be an absolute path"),
        ({"first_uid": 500}, "accounts.first_uid"),
        ({"service_uid": 0}, "service_account is root"),
    ],
)
def test_a_policy_that_makes_no_sense(spot: Place, change: dict[str, object], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        spawn_launcher(replace(spot.policy, **change))  # type: ignore[arg-type]
