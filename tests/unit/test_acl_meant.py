"""Rights that people take away on what they own: kept by the walk, never more than the rule, never from the project's owner."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aen.acl import permissions, posix
from aen.acl.permissions import MEANT, MEANT_CLOSED, Entry, Grants, Kind, Tag, decode, encode, entries, kept
from aen.acl.tree import Report, Task, Walk
from aen.apps.user_side.aen_workbench import acl as theirs
from aen.apps.user_side.aen_workbench.acl import Person, Wish

ME, GROUP = os.geteuid(), os.getegid()
OWNER, BOB, CAROL, VERA, NEW = 61901, 61902, 61903, 61904, 61905
TEAM = Grants(OWNER, OWNER, {BOB: True, CAROL: True, VERA: False}, group=True)
PEOPLE = [Person(OWNER, True, True), Person(BOB, True), Person(CAROL, True), Person(VERA, False)]
MODES = {Kind.DIRECTORY: stat.S_IFDIR | 0o770, Kind.FILE: stat.S_IFREG | 0o660, Kind.PROGRAM: stat.S_IFREG | 0o770}
root = pytest.mark.skipif(ME != 0, reason="needs root: files of several people")

rights = st.integers(0, 7)
wishes = st.builds(Wish, st.dictionaries(st.sampled_from([OWNER, BOB, CAROL, VERA]), rights), st.booleans())


def access(grants: Grants, kind: Kind, public: bool = False) -> bytes:
    return encode(entries(grants, kind, public=public))


def named(raw: bytes) -> dict[int, int]:
    return {entry.who: entry.rights for entry in decode(raw) if entry.tag is Tag.USER}


def made(wish: Wish, kind: Kind, public: bool = False) -> bytes:
    """What the Workbench writes."""
    others = decode(access(TEAM, kind, public))[-1].rights
    return theirs.encode(theirs.made(PEOPLE, wish, MODES[kind], 7, others))


def test_both_sides_speak_of_the_same() -> None:
    assert (theirs.MEANT, theirs.MEANT_CLOSED) == (MEANT, MEANT_CLOSED)
    for kind in Kind:
        raw = access(TEAM, kind)
        assert theirs.encode(theirs.decode(raw)) == raw
        assert made(Wish({}), kind) == raw  # nothing taken away: exactly the rule, without a mark


@given(wishes, st.sampled_from(list(Kind)), st.booleans())
def test_what_the_workbench_sets_is_right_for_the_walk(wish: Wish, kind: Kind, public: bool) -> None:
    raw, rule = made(wish, kind, public), access(TEAM, kind, public)
    assert kept(raw, rule, TEAM) == raw
    full = named(rule)
    assert all(have & ~full[uid] == 0 for uid, have in named(raw).items())
    assert named(raw)[OWNER] == full[OWNER]


@given(
    st.lists(st.tuples(st.sampled_from([OWNER, BOB, CAROL, VERA, NEW, 0]), rights), unique_by=lambda one: one[0]),
    st.sampled_from([MEANT, MEANT_CLOSED]),
    rights,
)
def test_nobody_gets_more_than_the_rule_whatever_stands_there(
    people: list[tuple[int, int]], mark: int, marks: int
) -> None:
    hostile = [
        Entry(Tag.USER_OBJ, 0, 7),
        *(Entry(Tag.USER, uid, have) for uid, have in sorted(people)),
        Entry(Tag.GROUP_OBJ, 0, 7),
        Entry(Tag.GROUP, 0, 7),
        Entry(Tag.GROUP, mark, marks),
        Entry(Tag.MASK, 0, 7),
        Entry(Tag.OTHER, 0, 7),
    ]
    rule = access(TEAM, Kind.FILE)
    given_rights = decode(kept(encode(hostile), rule, TEAM))
    allowed = {(entry.tag, entry.who): entry.rights for entry in decode(rule)}
    for entry in given_rights:
        if entry.tag is Tag.GROUP:
            assert (entry.who, entry.rights) in ((MEANT, 0), (MEANT_CLOSED, 0))
        else:
            assert entry.rights & ~allowed[entry.tag, entry.who] == 0
    assert (Tag.USER, OWNER, allowed[Tag.USER, OWNER]) in given_rights


def test_without_a_mark_the_rule_holds() -> None:
    rule = access(TEAM, Kind.FILE)
    stray = [entry._replace(rights=0) if entry.who == BOB else entry for entry in decode(rule)]
    assert kept(encode(stray), rule, TEAM) == rule
    assert kept(None, rule, TEAM) == rule
    across = bytes.fromhex("02000000") + b"\0" * 12  # no ACL of the kernel, but bytes in front of a mark's
    assert kept(across, rule, TEAM) == rule


@pytest.mark.parametrize(("closed", "expected"), [(False, 6), (True, 0)])
def test_who_joins_later(closed: bool, expected: int) -> None:
    raw = made(Wish({BOB: 4}, closed), Kind.FILE)
    wider = replace(TEAM, people={**TEAM.people, NEW: True})
    after = kept(raw, access(wider, Kind.FILE), wider)
    assert (named(after)[NEW], named(after)[BOB], named(after)[CAROL]) == (expected, 4, 6)


def test_who_leaves_or_loses_a_role_loses_it_here_too() -> None:
    raw = made(Wish({VERA: 0}), Kind.FILE)
    smaller = replace(TEAM, people={BOB: False, VERA: False})
    after = named(kept(raw, access(smaller, Kind.FILE), smaller))
    assert after == {OWNER: 6, BOB: 4, VERA: 0}


BY_GROUP = replace(TEAM, groups=(71000, 71001))


def test_where_the_team_is_a_group_what_was_meant_stays_too() -> None:
    """A site that goes over to groups must not give back what people took away."""
    raw, rule = made(Wish({BOB: 4}), Kind.FILE), access(BY_GROUP, Kind.FILE)
    after = kept(raw, rule, BY_GROUP)
    assert named(after) == {OWNER: 6, BOB: 4, CAROL: 6, VERA: 4}
    assert {entry for entry in decode(rule) if entry.tag is Tag.GROUP} < set(decode(after))
    assert kept(after, rule, BY_GROUP) == after
    assert named(kept(after, rule, replace(BY_GROUP, people={CAROL: True}))) == {OWNER: 6}  # bob and vera left
    closed = decode(kept(made(Wish({BOB: 4}, True), Kind.FILE), rule, BY_GROUP))
    assert {entry.rights for entry in closed if entry.tag is Tag.GROUP} == {0}
    assert kept(access(TEAM, Kind.FILE), rule, BY_GROUP) == rule


# ── on a real tree ──────────────────────────────────────────────────────────────────────────────────


def walk(path: Path, grants: Grants = TEAM) -> Report:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return Walk(Task(grants, untouched=frozenset({0}), may_chown=True)).run(fd)
    finally:
        os.close(fd)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    top = tmp_path / "genome"
    (top / "secret").mkdir(parents=True)
    for name in ("notes.md", "secret/plan.md"):
        (top / name).write_text(name)
    for folder, folders, files in os.walk(top):
        for name in (".", *folders, *files):
            os.chown(os.path.join(folder, name), OWNER, OWNER)
    walk(top)
    return top


@root
def test_what_is_taken_away_survives_the_walk(project: Path) -> None:
    notes, secret = project / "notes.md", project / "secret"
    os.setxattr(notes, posix.ACCESS, made(Wish({BOB: 4}), Kind.FILE))
    for attribute in (posix.ACCESS, posix.DEFAULT):
        os.setxattr(secret, attribute, made(Wish({BOB: 0}, True), Kind.DIRECTORY))
    assert walk(project).changed == 0
    assert os.getxattr(notes, posix.ACCESS) == made(Wish({BOB: 4}), Kind.FILE)
    later = secret / "later.md"
    later.write_text("")
    os.chown(later, CAROL, CAROL)
    walk(project)
    assert named(os.getxattr(later, posix.ACCESS)) == {OWNER: 6, BOB: 0, CAROL: 6, VERA: 4}
    walk(project, replace(TEAM, people={**TEAM.people, NEW: True}))
    assert named(os.getxattr(secret, posix.ACCESS))[NEW] == 0
    assert named(os.getxattr(notes, posix.ACCESS))[NEW] == 6


@root
def test_a_stray_chmod_is_repaired_and_what_was_meant_stays(project: Path) -> None:
    notes = project / "notes.md"
    os.setxattr(notes, posix.ACCESS, made(Wish({BOB: 4}), Kind.FILE))
    notes.chmod(0o600)
    assert walk(project).changed == 1
    assert os.getxattr(notes, posix.ACCESS) == made(Wish({BOB: 4}), Kind.FILE)


@root
def test_nobody_can_be_shut_out_of_the_project_itself(project: Path) -> None:
    os.setxattr(project, posix.ACCESS, made(Wish({BOB: 0}, True), Kind.DIRECTORY))
    os.setxattr(project, posix.DEFAULT, made(Wish({BOB: 0}, True), Kind.DIRECTORY))
    walk(project)
    for attribute in (posix.ACCESS, posix.DEFAULT):
        assert os.getxattr(project, attribute) == permissions.rules(TEAM)[Kind.DIRECTORY, False].access


@root
def test_a_file_that_becomes_a_program_keeps_what_was_meant(project: Path) -> None:
    notes = project / "notes.md"
    os.setxattr(notes, posix.ACCESS, made(Wish({BOB: 4}), Kind.FILE))
    notes.chmod(0o700)
    walk(project)
    after = named(os.getxattr(notes, posix.ACCESS))
    assert (after[OWNER], after[BOB]) == (7, 4)
