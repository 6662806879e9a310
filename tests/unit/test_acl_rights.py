"""Rights on one file or folder, set for who may decide it, on a real tree: kept by the walk, never more than a role gives."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from aen.acl import posix
from aen.acl.permissions import Grants, Tag, decode, encode
from aen.acl.rights import Found, Rights, Wish
from aen.acl.tree import Report, Task, Walk
from aen.errors import Conflict, NotFound

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of several people")]

OWNER, BOB, CAROL, VERA, STRANGER = 61901, 61902, 61903, 61904, 61950
TEAM = Grants(OWNER, OWNER, {BOB: True, CAROL: True, VERA: False}, group=True)
BY_GROUP = replace(TEAM, groups=(61960, 61961))


def task(grants: Grants = TEAM) -> Task:
    return Task(grants, untouched=frozenset({0}), may_chown=True)


def walk(top: Path, grants: Grants = TEAM) -> Report:
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return Walk(task(grants)).run(fd)
    finally:
        os.close(fd)


def at(top: Path, place: str, wish: Wish | None = None, grants: Grants = TEAM) -> Found:
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return Rights(task(grants), wish).at(fd, place.split("/"))
    finally:
        os.close(fd)


def named(path: Path, attribute: str = posix.ACCESS) -> dict[int, int]:
    return {entry.who: entry.rights for entry in decode(os.getxattr(path, attribute)) if entry.tag is Tag.USER}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Of the owner; `bobs` and what is in it is Bob's, but one file."""
    top = tmp_path / "genome"
    (top / "bobs" / "deeper").mkdir(parents=True)
    (top / "public").mkdir()
    for name in ("notes.md", "bobs/plan.md", "bobs/deeper/run.sh", "bobs/carols.md", "public/shown.md"):
        (top / name).write_text(name)
    (top / "bobs/deeper/run.sh").chmod(0o700)
    for folder, _, files in os.walk(top):
        for name in (".", *files):
            who = CAROL if name == "carols.md" else BOB if "/bobs" in folder else OWNER
            os.chown(os.path.join(folder, name), who, who)
    walk(top)
    return top


def test_a_file_of_anybody(project: Path) -> None:
    """Carol loses the right to change Bob's file, Vera to read it; the walk leaves it so, and it is taken back whole."""
    plan = project / "bobs/plan.md"
    before = os.getxattr(plan, posix.ACCESS)
    found = at(project, "bobs/plan.md", Wish({CAROL: 4, VERA: 0}))
    assert (found.changed, found.owner, found.given) == (1, BOB, {BOB: 6, CAROL: 4, VERA: 0})
    assert walk(project).changed == 0
    assert at(project, "bobs/plan.md").given == found.given
    assert named(plan) == {OWNER: 6, BOB: 6, CAROL: 4, VERA: 0}
    assert at(project, "bobs/plan.md", Wish({CAROL: 7, VERA: 7, OWNER: 0})).given == found.most
    assert os.getxattr(plan, posix.ACCESS) == before


def test_a_folder_with_its_contents(project: Path) -> None:
    wish = Wish({CAROL: 0, VERA: 5}, closed=True, contents=True)
    looked = at(project, "bobs", replace(wish, dry=True))
    assert (looked.changed, looked.given[CAROL]) == (5, 7)
    found = at(project, "bobs", wish)
    assert (found.changed, found.closed, found.given[CAROL]) == (5, True, 0)
    assert walk(project).changed == 0
    assert named(project / "bobs/deeper/run.sh") == {OWNER: 7, BOB: 7, CAROL: 0, VERA: 5}
    assert named(project / "bobs/plan.md")[VERA] == 4
    later = project / "bobs/later.md"
    later.write_text("")
    os.chown(later, OWNER, OWNER)
    walk(project, replace(TEAM, people={**TEAM.people, STRANGER: True}))
    assert named(later)[CAROL] == 0
    assert named(project / "bobs")[STRANGER] == 0  # closed to those who join later


def test_the_folder_alone(project: Path) -> None:
    assert at(project, "bobs", Wish({CAROL: 5})).changed == 1
    assert named(project / "bobs")[CAROL] == 5
    assert named(project / "bobs", posix.DEFAULT)[CAROL] == 7
    assert named(project / "bobs/plan.md")[CAROL] == 6


def test_only_what_one_owns(project: Path) -> None:
    mine = Wish({VERA: 0}, contents=True, whose=frozenset({BOB}))
    found = at(project, "bobs", mine)
    assert (found.changed, dict(found.theirs)) == (4, {CAROL: 1})
    assert named(project / "bobs/carols.md")[VERA] == 4
    assert at(project, "notes.md", mine).changed == 0


def test_where_the_team_is_a_group(project: Path) -> None:
    """Single people can be told apart there, too: they are named where they have less than the group."""
    walk(project, BY_GROUP)
    plan = project / "bobs/plan.md"
    before = os.getxattr(plan, posix.ACCESS)
    found = at(project, "bobs/plan.md", Wish({CAROL: 4}), BY_GROUP)
    assert found.given == {BOB: 6, CAROL: 4, VERA: 4}
    assert walk(project, BY_GROUP).changed == 0
    assert at(project, "bobs/plan.md", None, BY_GROUP).given == found.given
    at(project, "bobs/plan.md", Wish({}), BY_GROUP)
    assert os.getxattr(plan, posix.ACCESS) == before


def test_public_stays_public(project: Path) -> None:
    found = at(project, "public/shown.md", Wish({BOB: 0}))
    assert found.public
    assert decode(os.getxattr(project / "public/shown.md", posix.ACCESS))[-1].rights == 4
    assert walk(project).changed == 0


def test_what_is_not_ours_to_change(project: Path, tmp_path: Path) -> None:
    """Links lead nowhere, special files and other people's hard-linked files and those of root stay."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "diary.md").write_text("")
    os.symlink(outside, project / "bobs/way-out")
    os.mkfifo(project / "bobs/fifo")
    (project / "bobs/of-root").write_text("")
    foreign = tmp_path / "foreign"
    foreign.write_text("")
    os.chown(foreign, STRANGER, STRANGER)
    os.link(foreign, project / "bobs/linked")
    for place in ("bobs/way-out", "bobs/fifo"):
        with pytest.raises(Conflict, match="link or a special file"):
            at(project, place, Wish({CAROL: 0}))
    for place in ("bobs/way-out/diary.md", "bobs/nothing", "nothing/at/all", "notes.md/below"):
        with pytest.raises(NotFound):
            at(project, place, Wish({CAROL: 0}))
    of_root = os.getxattr(project / "bobs/of-root", posix.ACCESS)
    at(project, "bobs", Wish({CAROL: 0}, contents=True))
    assert os.getxattr(project / "bobs/of-root", posix.ACCESS) == of_root
    for path in (outside, outside / "diary.md", foreign):
        assert posix.ACCESS not in os.listxattr(path)


def test_moving_it_into_a_project_of_ones_own_opens_nothing(project: Path, tmp_path: Path) -> None:
    """Who may write in a folder can move what is in it. Neither a walk nor rights set there give what was taken away."""
    at(project, "bobs/plan.md", Wish({CAROL: 0}))
    at(project, "bobs/deeper", Wish({CAROL: 0}, contents=True))
    carols = tmp_path / "carols"
    carols.mkdir()
    os.chown(carols, CAROL, CAROL)
    hers = Grants(CAROL, CAROL, {OWNER: True, BOB: True}, group=True)
    walk(carols, hers)
    for name in ("plan.md", "carols.md", "deeper"):
        os.rename(project / "bobs" / name, carols / name)
    for grants in (hers, replace(hers, people={})):
        report = walk(carols, grants)
        assert any("moved here from another project" in note for note in report.notes)
        for place, uid in (("plan.md", BOB), ("deeper", BOB), ("deeper/run.sh", BOB), ("carols.md", CAROL)):
            assert (carols / place).stat().st_uid == uid
            assert named(carols / place)[CAROL] == (0 if uid == BOB else 6)
        for place in ("plan.md", "deeper"):
            with pytest.raises(Conflict, match="moved here"):
                at(carols, place, Wish({}), grants)
    at(project, "notes.md", Wish({CAROL: 0}))
    fd = os.open(project, os.O_RDONLY | os.O_DIRECTORY)
    try:  # the whole project is given to her: that is another thing
        Walk(replace(task(replace(hers, people={OWNER: False})), taken_over=True)).run(fd)
    finally:
        os.close(fd)
    assert named(project / "notes.md")[CAROL] == 6


def test_nobody_shuts_the_owner_out_by_such_a_mark(project: Path) -> None:
    """With the project's group it is from here: the owner gets all, whatever stands in it."""
    plan = project / "bobs/plan.md"
    at(project, "bobs/plan.md", Wish({CAROL: 0}))
    acl = [entry for entry in decode(os.getxattr(plan, posix.ACCESS)) if entry.who != OWNER]
    os.setxattr(plan, posix.ACCESS, encode(acl))
    walk(project)
    assert (named(plan)[OWNER], named(plan)[CAROL]) == (6, 0)
