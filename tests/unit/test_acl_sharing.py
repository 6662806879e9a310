"""A walk by two processes does and says what a walk by one does."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aen.acl import posix, sharing
from aen.acl.permissions import Grants, Kind, rules
from aen.acl.sharing import SharedWalk
from aen.acl.tree import DEEPEST, Report, Task, Walk

TASK = Task(Grants(os.geteuid(), os.getegid(), {61902: True}, group=True), untouched=frozenset(), may_chown=False)
FOLDERS = 40


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Forty directories of three levels and one that is deeper than is walked; a quarter of them in `public/`."""
    top = tmp_path / "genome"
    for number in range(FOLDERS):
        inner = top / ("public" if number % 4 == 0 else "data") / f"run{number}" / "public" / "x"
        inner.mkdir(parents=True)
        for folder in (inner, inner.parent, inner.parent.parent):
            for name in range(5):
                (folder / f"f{name}").touch()
    (top / "data" / "link").symlink_to("/etc")
    (top / "program").touch(0o700)
    return top


def walk(path: Path, walker: Walk) -> Report:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return walker.run(fd)
    finally:
        os.close(fd)


def shared(progress: object = None, alone: int = 20) -> SharedWalk:
    return SharedWalk(TASK, progress, alone=alone, processes=2)  # type: ignore[arg-type]


def test_two_do_what_one_does(tree: Path) -> None:
    report = walk(tree, shared())
    assert report.changed == report.looked_at - 1 == 3 + FOLDERS * 3 + FOLDERS * 15 + 1
    assert report.skipped == 1
    assert replace(walk(tree, Walk(TASK)), seconds=0) == Report(looked_at=report.looked_at, skipped=1)


def test_public_is_public_in_every_part(tree: Path) -> None:
    walk(tree, shared())
    wanted = rules(TASK.grants)
    for number in range(FOLDERS):
        public = number % 4 == 0
        inner = tree / ("public" if public else "data") / f"run{number}" / "public" / "x"
        assert os.getxattr(inner, posix.DEFAULT) == wanted[Kind.DIRECTORY, public].access
        assert os.getxattr(inner / "f0", posix.ACCESS) == wanted[Kind.FILE, public].access


@pytest.mark.parametrize("alone", [1, 20, 100_000])
def test_nothing_is_left_to_change(tree: Path, alone: int) -> None:
    first = walk(tree, shared(alone=alone))
    again = walk(tree, shared(alone=alone))
    assert (again.looked_at, again.changed, again.notes) == (first.looked_at, 0, [])


def test_too_deep_is_told_by_the_second_process_too(tree: Path) -> None:
    for number in (1, 2, 3, 5, 6, 7, 9, 10, 11):
        fd = os.open(tree / "data" / f"run{number}" / "public", os.O_RDONLY)
        for _ in range(DEEPEST):
            os.mkdir("d", dir_fd=fd)
            deeper = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = deeper
        os.close(fd)
    report = walk(tree, shared())
    assert sum("deeper than 200 levels" in note for note in report.notes) == 9


def test_progress_counts_both(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / str(number)).mkdir()
        for name in range(300):
            (tmp_path / str(number) / str(name)).touch()
    seen: list[int] = []
    report = walk(tmp_path, shared(lambda looked_at, changed: seen.append(looked_at), alone=1000))
    assert report.looked_at == 30 * 301 + 1
    assert seen == sorted(seen)
    assert seen
    assert seen[-1] <= report.looked_at


def test_a_second_process_that_is_ended_is_told(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a walk must never pass for a whole one."""
    walker = shared()
    here, each, share, gone = os.getpid(), walker._each, walker._share, tree.parent / "gone"

    def until_it_has_ended(*told: Any) -> None:
        if os.getpid() != here:
            gone.touch()
            os._exit(0)
        deadline = time.monotonic() + 10
        while not gone.exists():
            assert time.monotonic() < deadline, "the second process took no part"
            time.sleep(0.01)
        each(*told)

    def shared_by_two(top: int) -> None:
        monkeypatch.setattr(walker, "_each", until_it_has_ended)
        share(top)

    monkeypatch.setattr(walker, "_share", shared_by_two)
    with pytest.raises(RuntimeError, match="ended from outside"):
        walk(tree, walker)


def test_a_part_swapped_for_a_symlink_is_not_entered(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "x").mkdir(parents=True)
    (tree / "swapped").symlink_to(outside)
    walker = shared()
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    walker._device = os.fstat(fd).st_dev
    walker._each(fd, sharing.Branch("swapped/", ["x"], 2, False))
    os.close(fd)
    assert walker.report == Report()
    assert posix.ACCESS not in os.listxattr(outside / "x")
