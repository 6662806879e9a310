"""The walk, on real trees: what it changes, what it leaves, and what it says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from aen.acl import posix
from aen.acl.permissions import Grants, Kind, Tag, entries, rules
from aen.acl.tree import DEEPEST, Report, Task, Walk

ME = os.geteuid()
GROUP = os.getegid()
root = pytest.mark.skipif(ME != 0, reason="needs root: files of several people")

OWNER, MEMBER, VIEWER, GONE, STRANGER, SERVICE = 61901, 61902, 61903, 61904, 61905, 61999


def mine(people: dict[int, bool] | None = None, linked_stay: bool = False) -> Task:
    """A project of the running user."""
    return Task(
        Grants(ME, GROUP, people or {}, group=True), untouched=frozenset(), may_chown=False, linked_stay=linked_stay
    )


def theirs(people: dict[int, bool] | None = None, former: frozenset[int] = frozenset()) -> Task:
    """A project of OWNER, as root walks it."""
    grants = Grants(OWNER, OWNER, {MEMBER: True, VIEWER: False} if people is None else people, group=True)
    return Task(grants, untouched=frozenset({0, SERVICE}), may_chown=True, former=former)


def walk(path: Path, task: Task, *, top_only: bool = False) -> Report:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return Walk(task).run(fd, top_only=top_only)
    finally:
        os.close(fd)


def give(path: Path, uid: int) -> Path:
    os.chown(path, uid, uid, follow_symlinks=False)
    return path


def access(path: Path) -> bytes:
    return os.getxattr(path, posix.ACCESS)


def has_acl(path: Path) -> bool:
    return posix.ACCESS in os.listxattr(path, follow_symlinks=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project: a file, a program, a directory, `public/`, in a directory of its own."""
    top = tmp_path / "genome"
    (top / "nb" / "deep").mkdir(parents=True)
    (top / "public" / "figures").mkdir(parents=True)
    for name in ("notes.md", "nb/a.ipynb", "nb/deep/data.csv", "public/report.html", "public/figures/1.png"):
        (top / name).write_text(name)
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o700)
    if ME == 0:
        for folder, folders, files in os.walk(top):
            for name in (".", *folders, *files):
                give(Path(folder, name), OWNER)
    return top


def task() -> Task:
    return theirs() if ME == 0 else mine({61902: True})


def test_every_kind_gets_its_rule(tree: Path) -> None:
    given = task()
    wanted = rules(given.grants)
    report = walk(tree, given)
    assert report.looked_at == report.changed == 11
    for path, kind, public in (
        (tree, Kind.DIRECTORY, False),
        (tree / "nb/deep", Kind.DIRECTORY, False),
        (tree / "nb/deep/data.csv", Kind.FILE, False),
        (tree / "run.sh", Kind.PROGRAM, False),
        (tree / "public", Kind.DIRECTORY, True),
        (tree / "public/figures", Kind.DIRECTORY, True),
        (tree / "public/figures/1.png", Kind.FILE, True),
    ):
        assert access(path) == wanted[kind, public].access, path
        if kind is Kind.DIRECTORY:
            assert os.getxattr(path, posix.DEFAULT) == wanted[kind, public].access, path
            assert path.stat().st_mode & 0o2000, path


def test_the_second_walk_changes_nothing(tree: Path) -> None:
    walk(tree, task())
    report = walk(tree, task())
    assert (report.looked_at, report.changed, report.passed_on, report.notes) == (11, 0, 0, [])


def test_only_a_public_folder_at_the_top_is_public(tree: Path) -> None:
    (tree / "nb" / "public").mkdir()
    if ME == 0:
        give(tree / "nb" / "public", OWNER)
    walk(tree, task())
    assert (tree / "nb/public").stat().st_mode & 0o007 == 0o001


def test_what_is_made_afterwards_is_shared_by_default(tree: Path) -> None:
    walk(tree, task())
    fd = os.open(tree / "nb" / "new.txt", os.O_CREAT | os.O_WRONLY, 0o666)
    os.close(fd)
    fd = os.open(tree / "nb" / "new.txt", os.O_PATH)
    named = [entry for entry in posix.read(fd) if entry.tag is Tag.USER]
    os.close(fd)
    assert named == [entry for entry in entries(task().grants, Kind.DIRECTORY, public=False) if entry.tag is Tag.USER]


def test_top_only_touches_one_inode(tree: Path) -> None:
    report = walk(tree, task(), top_only=True)
    assert (report.looked_at, report.changed) == (1, 1)
    assert not has_acl(tree / "notes.md")


def test_lost_rights_are_repaired(tree: Path) -> None:
    """`chmod 700` and `cp -p` are what people do; both shut the team out."""
    walk(tree, task())
    (tree / "nb").chmod(0o700)
    (tree / "notes.md").chmod(0o600)
    report = walk(tree, task())
    assert report.changed == 2
    assert access(tree / "nb") == rules(task().grants)[Kind.DIRECTORY, False].access


def test_symlinks_and_special_files_stay(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    outside.chmod(0o600)
    (tree / "link").symlink_to(outside)
    (tree / "folder").symlink_to("/etc")
    os.mkfifo(tree / "pipe", 0o600)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(tree / "sock"))
    report = walk(tree, task())
    assert report.skipped == 4
    assert not has_acl(outside)
    assert outside.stat().st_mode & 0o777 == 0o600
    assert not has_acl(tree / "pipe")


def test_too_deep_is_told(tmp_path: Path) -> None:
    top = tmp_path / "deep"
    top.mkdir()
    fds = [os.open(top, os.O_RDONLY)]
    for _ in range(DEEPEST + 50):
        os.mkdir("d", 0o700, dir_fd=fds[-1])
        fds.append(os.open("d", os.O_RDONLY, dir_fd=fds[-1]))
        os.close(fds[-2])
    os.close(fds[-1])
    report = walk(top, mine({61902: True}))
    assert report.looked_at == DEEPEST + 1
    assert "deeper than 200 levels" in report.notes[0]


def test_progress_is_told(tmp_path: Path) -> None:
    for number in range(4100):
        (tmp_path / str(number)).touch()
    seen: list[tuple[int, int]] = []
    fd = os.open(tmp_path, os.O_RDONLY)
    Walk(mine({61902: True}), lambda looked_at, changed: seen.append((looked_at, changed))).run(fd)
    os.close(fd)
    assert [looked_at for looked_at, _ in seen] == [2000, 4000]


def test_hard_links_stay_where_they_may_be_a_clone_of_ours(tree: Path, tmp_path: Path) -> None:
    """Evaluation mode: the root environment belongs to the same user as the project."""
    shared = tmp_path / "shared.py"
    shared.write_text("x = 1\n")
    shared.chmod(0o444)
    os.link(shared, tree / "shared.py")
    walk(tree, mine({61902: True}, linked_stay=True))
    assert not has_acl(shared)
    assert shared.stat().st_mode & 0o777 == 0o444


@root
def test_files_of_root_and_service_stay(tree: Path, tmp_path: Path) -> None:
    """A hard link into the environment keeps its inode's rights, and the cache it comes from."""
    cache = tmp_path / "cache.py"
    cache.write_text("safe = 1\n")
    cache.chmod(0o444)
    give(cache, SERVICE)
    os.link(cache, tree / "nb" / "module.py")
    (tree / "of-root").write_text("")
    (tree / "of-root").chmod(0o600)
    report = walk(tree, theirs())
    assert report.skipped == 2
    for path in (cache, tree / "of-root"):
        assert not has_acl(path)
    assert cache.stat().st_mode & 0o777 == 0o444
    assert cache.stat().st_uid == SERVICE


@root
def test_what_ex_members_and_viewers_own_passes_to_the_owner(tree: Path) -> None:
    for uid in (GONE, VIEWER, MEMBER, STRANGER):
        (tree / f"of-{uid}").write_text("x")
        give(tree / f"of-{uid}", uid)
    report = walk(tree, theirs(former=frozenset({GONE})))
    owners = {uid: (tree / f"of-{uid}").stat().st_uid for uid in (GONE, VIEWER, MEMBER, STRANGER)}
    assert owners == {GONE: OWNER, VIEWER: OWNER, MEMBER: MEMBER, STRANGER: OWNER}
    assert report.passed_on == 3
    assert {path.stat().st_gid for path in tree.rglob("*")} == {OWNER}


@root
def test_a_setuid_program_does_not_pass_on_its_bit(tree: Path) -> None:
    """Else an ex-member could leave a program behind that runs as the owner."""
    path = tree / "run-as"
    path.write_text("#!/bin/sh\n")
    give(path, GONE)
    path.chmod(0o6755)
    walk(tree, theirs(former=frozenset({GONE})))
    assert path.stat().st_uid == OWNER
    assert path.stat().st_mode & 0o6000 == 0


@root
def test_hard_links_are_judged_by_owner(tree: Path, tmp_path: Path) -> None:
    """An ex-member can't keep a file by giving it a second name; a stranger's file is left alone and told of."""
    for uid in (GONE, STRANGER):
        path = tmp_path / f"home-of-{uid}"
        path.write_text("x")
        path.chmod(0o600)
        give(path, uid)
        os.link(path, tree / f"link-{uid}")
    report = walk(tree, theirs(former=frozenset({GONE})))
    assert (tmp_path / f"home-of-{GONE}").stat().st_uid == OWNER
    foreign = tmp_path / f"home-of-{STRANGER}"
    assert foreign.stat().st_uid == STRANGER
    assert not has_acl(foreign)
    assert report.notes == [f"'link-{STRANGER}' is a hard link to a file of somebody outside the team: left as it is."]


@root
def test_team_change(tree: Path) -> None:
    walk(tree, theirs({MEMBER: True, VIEWER: False}))
    report = walk(tree, theirs({MEMBER: False}, frozenset({VIEWER})))
    assert report.changed == report.looked_at == 11
    fd = os.open(tree / "notes.md", os.O_PATH)
    named = {entry.who: entry.rights for entry in posix.read(fd) if entry.tag is Tag.USER}
    os.close(fd)
    assert named == {OWNER: 6, MEMBER: 4}


def test_a_file_that_is_held_shut_gets_its_rule_all_the_same(tree: Path) -> None:
    """Under a lease the kernel lets nobody else open a file at once: as a hostile member would have it."""
    holder = (
        "import fcntl, os, signal, sys\n"
        "signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
        "fd = os.open(sys.argv[1], os.O_RDWR)\n"
        "fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    held = tree / "notes.md"
    with subprocess.Popen(
        [sys.executable, "-c", holder, held], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError):
            os.open(held, os.O_RDONLY | os.O_NONBLOCK)
        given = task()
        report = walk(tree, given)
        process.communicate()
    assert report.notes == []
    assert access(held) == rules(given.grants)[Kind.FILE, False].access


@root
def test_other_file_systems_stay(tree: Path) -> None:
    mounted = tree / "data"
    mounted.mkdir()
    give(mounted, OWNER)
    if subprocess.run(["mount", "-t", "tmpfs", "aent", mounted], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let us mount a tmpfs")
    try:
        give(mounted, OWNER)
        (mounted / "x").write_text("")
        report = walk(tree, theirs())
        assert report.notes == ["'data/' is another file system: left as it is."]
        assert not has_acl(mounted)
    finally:
        subprocess.run(["umount", mounted], check=True)
