"""A member who swaps a directory for a symlink while root walks: nothing outside the project may change."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from aen.acl.permissions import Grants
from aen.acl.rights import Rights, Wish
from aen.acl.sharing import SharedWalk
from aen.acl.tree import Report, Task, Walk
from aen.errors import Conflict, NotFound

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of several people")]

OWNER, MEMBER = 61911, 61912
_RENAME_EXCHANGE = 2
Way = Callable[[Task], Any]  # what has a `run` as a walk has
_FILES = 40
_FOLDERS = ("", *(f"d{number}" for number in range(8)), "d0/deeper")


@pytest.fixture
def arena(tmp_path: Path) -> Path:
    """A project with a directory `swap` and a symlink `way-out`, and a directory outside that root owns or others do."""
    outside = tmp_path / "outside"
    for folder in _FOLDERS:
        (outside / folder).mkdir()
        for number in range(_FILES):
            path = outside / folder / f"f{number}"
            path.write_text("x")
            path.chmod(0o600)
            os.chown(path, MEMBER + 50, MEMBER + 50)
    project = tmp_path / "project"
    project.mkdir()
    for folder in _FOLDERS:
        (project / "swap" / folder).mkdir()
        for number in range(_FILES):
            (project / "swap" / folder / f"f{number}").write_text("x")
    (project / "way-out").symlink_to(outside)
    (project / "f0").write_text("x")
    (project / "file-out").symlink_to(outside / "f0")
    for folder, folders, files in os.walk(project):
        for name in (".", *folders, *files):
            os.chown(Path(folder, name), MEMBER, MEMBER, follow_symlinks=False)
    return tmp_path


@pytest.fixture
def attacker(arena: Path) -> Iterator[int]:
    """A process of MEMBER that swaps as fast as it can; it ends with the test."""
    for path in (arena, *arena.parents):
        if not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)  # it has to get to the project
        if path.name.startswith("pytest-of"):
            break
    pid = os.fork()
    if pid == 0:
        _swap(arena / "project")
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _swap(project: Path) -> None:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        os.setgroups([])
        os.setresgid(MEMBER, MEMBER, MEMBER)
        os.setresuid(MEMBER, MEMBER, MEMBER)
        os.chdir(project)
        while True:
            libc.renameat2(-100, b"swap", -100, b"way-out", _RENAME_EXCHANGE)
            libc.renameat2(-100, b"f0", -100, b"file-out", _RENAME_EXCHANGE)
    finally:
        os._exit(1)


def _state(outside: Path) -> dict[str, tuple[int, int, int, int]]:
    found = {}
    for path in (outside, *outside.rglob("*")):
        status = path.lstat()
        found[str(path)] = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, len(os.listxattr(path)))
    return found


def _alone(task: Task) -> Walk:
    return Walk(task)


def _together(task: Task) -> Walk:
    """Two processes from the second directory on."""
    return SharedWalk(task, alone=1, processes=2)


class _Rights:
    """Rights set on the folder that is swapped, with all in it."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def run(self, fd: int) -> Report:
        rights = {uid: 4 for uid in self._task.grants.people if uid != MEMBER}
        setting = Rights(self._task, Wish(rights, contents=True))
        with suppress(Conflict, NotFound):  # a link by now
            setting.at(fd, ["swap"])
        return setting.report


every_way = pytest.mark.parametrize("walk", [_alone, _together, _Rights])


def _walks(arena: Path, walk: Way, enough: int, seconds: float, meet: int = 1) -> tuple[int, int]:
    """Walk often enough, and until the attacker was met so often; (walks, those that found the directory swapped away)."""
    people = {MEMBER: True}
    fd = os.open(arena / "project", os.O_RDONLY | os.O_DIRECTORY)
    walks = met = 0
    until = time.monotonic() + seconds
    try:
        while (walks < enough or met < meet) and time.monotonic() < until:
            people[MEMBER + 100 + walks % 2] = bool(walks % 3)  # so that there is always something to change
            if len(people) > 2:
                people.pop(MEMBER + 100 + (walks + 1) % 2)
            task = Task(Grants(OWNER, OWNER, people, group=True), frozenset({0}), may_chown=True)
            report = walk(task).run(fd)
            walks += 1
            met += report.looked_at < len(_FOLDERS) * _FILES
    finally:
        os.close(fd)
    return walks, met


@every_way
def test_nothing_outside_changes(arena: Path, attacker: int, walk: Way) -> None:
    before = _state(arena / "outside")
    walks, met = _walks(arena, walk, enough=300, seconds=300)
    assert _state(arena / "outside") == before
    assert walks >= 300
    assert met > 0, "the attacker has to be met to be beaten"


def test_the_same_attacker_beats_setfacl(arena: Path, attacker: int) -> None:
    """So that the tests here can fail: what walks by paths is led outside."""
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    before = _state(arena / "outside")
    until = time.monotonic() + 60
    while _state(arena / "outside") == before:
        assert time.monotonic() < until, "setfacl -R was never led outside: the harness proves nothing"
        command = ["setfacl", "-R", "-P", "-m", f"u:{MEMBER + 100}:rwX", str(arena / "project")]
        subprocess.run(command, capture_output=True, check=False)  # it also stumbles over what vanishes


@pytest.mark.slow
@every_way
def test_nothing_outside_changes_for_long(arena: Path, attacker: int, walk: Way) -> None:
    before = _state(arena / "outside")
    walks, met = _walks(arena, walk, enough=501, seconds=600, meet=101)
    assert _state(arena / "outside") == before
    assert walks > 500
    assert met > 100
    assert walks > met
