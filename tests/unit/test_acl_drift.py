"""Drift: what differs is found with its reason and whom it shuts out, and nothing is touched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aen.acl.drift import MOST_ITEMS, Drift, Item, Look
from aen.acl.permissions import Grants
from aen.acl.tree import Task, Walk

ANN, BOB, VIC, EVE = 61901, 61902, 61903, 61904
NAMES = {ANN: "ann", BOB: "bob", VIC: "vic"}
TASK = Task(Grants(ANN, ANN, {BOB: True, VIC: False}, group=True), frozenset({0}), may_chown=True)

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of several people")]


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def look(path: Path, task: Task = TASK) -> Drift:
    with opened(path) as fd:
        return Look(task, NAMES).look(fd)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project in line with its team."""
    top = tmp_path / "genome"
    (top / "nb").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "nb/c.txt", "run.sh"):
        (top / name).write_text("x")
    (top / "run.sh").chmod(0o755)
    for path in (top, *top.rglob("*")):
        os.chown(path, ANN, ANN)
    with opened(top) as fd:
        Walk(TASK).run(fd)
    return top


def test_nothing_differs_after_a_walk(tree: Path) -> None:
    found = look(tree)
    assert (found.looked_at, found.differing, found.items, found.unreadable) == (6, 0, [], {})


def test_what_was_just_made_is_right(tree: Path) -> None:
    """The kernel keeps more in its ACL than it gives: the mask of what a program asked for takes the rest away."""
    for name in ("new.txt", "nb/new.txt"):
        (tree / name).write_text("x")
        os.chown(tree / name, BOB, ANN)
    (tree / "made").mkdir()
    os.chown(tree / "made", BOB, ANN)
    found = look(tree)
    assert (found.looked_at, found.differing, found.items) == (9, 0, [])
    (tree / "new.txt").chmod(0o640)
    (item,) = look(tree).items
    assert (item.path, item.lacks) == ("new.txt", {"ann": "w"})


def test_a_mode_that_was_set(tree: Path) -> None:
    (tree / "a.txt").chmod(0o600)
    found = look(tree)
    lacks = {"bob": "rw", "vic": "r"}
    reason = "A person or program set its mode (600), which narrows everybody else's rights."
    assert found.items == [Item("a.txt", False, reason, lacks, {})]
    assert found.unreadable == {"bob": 1, "vic": 1}


def test_what_was_moved_in(tree: Path, tmp_path: Path) -> None:
    """Bob's own file, as `mv` brings it: the owner of the project can't read it."""
    moved = tmp_path / "moved.txt"
    moved.write_text("x")
    moved.chmod(0o600)
    os.chown(moved, BOB, BOB)
    moved.rename(tree / "nb" / "moved.txt")
    (item,) = look(tree).items
    assert item.path == "nb/moved.txt"
    assert item.lacks == {"ann": "rw", "vic": "r"}
    assert item.reason.startswith("It was brought in with rights of its own")


def test_what_an_ex_member_owns_and_what_a_team_before_had(tree: Path) -> None:
    os.chown(tree / "b.txt", EVE, ANN)
    earlier = Task(Grants(ANN, ANN, {BOB: True, VIC: True}, group=True), frozenset({0}), may_chown=True)
    with opened(tree / "nb") as fd:
        Walk(earlier).run(fd)
    found = {item.path: item for item in look(tree).items}
    assert set(found) == {"b.txt", "nb/", "nb/c.txt"}
    assert found["b.txt"].reason == f"It belongs to uid {EVE}, who may not write in this project."
    assert found["nb/c.txt"].extra == {"vic": "w"}
    assert found["nb/"].reason == "It has the rights of another team: of an earlier one, or of where it was moved from."


def test_what_is_made_later_would_differ(tree: Path) -> None:
    os.removexattr(tree / "nb", "system.posix_acl_default")
    (item,) = look(tree).items
    assert (item.path, item.directory, item.lacks, item.extra) == ("nb/", True, {}, {})
    assert item.reason == "What is made in it will not get the team's rights."


def test_groups_are_judged_as_the_kernel_does(tree: Path) -> None:
    grants = Grants(ANN, ANN, {BOB: True, VIC: False}, group=True, groups=(62001, 62002))
    task = Task(grants, frozenset({0}), may_chown=True)
    with opened(tree) as fd:
        Walk(task).run(fd)
    assert look(tree, task).differing == 0
    (tree / "a.txt").chmod(0o640)
    (item,) = look(tree, task).items
    assert item.lacks == {"bob": "w"}


def test_nothing_is_touched_and_the_list_is_capped(tree: Path) -> None:
    for number in range(MOST_ITEMS + 5):
        (tree / f"{number}\udcff.txt").write_text("x")
        (tree / f"{number}\udcff.txt").chmod(0o600)
        os.chown(tree / f"{number}\udcff.txt", BOB, BOB)
    before = {path: path.lstat().st_ctime_ns for path in (tree, *tree.rglob("*"))}
    found = look(tree)
    assert {path: path.lstat().st_ctime_ns for path in (tree, *tree.rglob("*"))} == before
    assert (found.differing, len(found.items)) == (MOST_ITEMS + 5, MOST_ITEMS)
    assert found.unreadable == {"ann": MOST_ITEMS + 5, "vic": MOST_ITEMS + 5}
    assert all(item.path.encode() for item in found.items)
