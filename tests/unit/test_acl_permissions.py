"""The rules of project files: a team → entries, and their form in the kernel."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aen.acl import posix
from aen.acl.permissions import Entry, Grants, Kind, Tag, decode, encode, entries, grants_group, rule, rules

GRANTS = Grants(owner_uid=501, owner_gid=601, people={700: True, 400: False}, group=True)


def text(acl: list[Entry]) -> str:
    """An ACL as getfacl would show it, on one line."""
    names = {Tag.USER_OBJ: "u:", Tag.USER: "u:", Tag.GROUP_OBJ: "g:", Tag.GROUP: "g:", Tag.MASK: "m:", Tag.OTHER: "o:"}
    shown = []
    for tag, who, rights in acl:
        letters = "".join(letter if rights & bit else "-" for bit, letter in ((4, "r"), (2, "w"), (1, "x")))
        shown.append(f"{names[tag]}{who if tag in (Tag.USER, Tag.GROUP) else ''}:{letters}")
    return " ".join(shown)


@pytest.mark.parametrize(
    ("kind", "public", "expected"),
    [
        (Kind.DIRECTORY, False, "u::rwx u:400:r-x u:501:rwx u:700:rwx g::rwx m::rwx o::--x"),
        (Kind.DIRECTORY, True, "u::rwx u:400:r-x u:501:rwx u:700:rwx g::rwx m::rwx o::r-x"),
        (Kind.FILE, False, "u::rw- u:400:r-- u:501:rw- u:700:rw- g::rw- m::rw- o::---"),
        (Kind.FILE, True, "u::rw- u:400:r-- u:501:rw- u:700:rw- g::rw- m::rw- o::r--"),
        (Kind.PROGRAM, False, "u::rwx u:400:r-x u:501:rwx u:700:rwx g::rwx m::rwx o::---"),
        (Kind.PROGRAM, True, "u::rwx u:400:r-x u:501:rwx u:700:rwx g::rwx m::rwx o::r-x"),
    ],
)
def test_rule_table(kind: Kind, public: bool, expected: str) -> None:
    assert text(entries(GRANTS, kind, public=public)) == expected


def test_a_shared_primary_group_gets_nothing() -> None:
    alone = Grants(501, 100, {}, group=False)
    assert text(entries(alone, Kind.FILE, public=False)) == "u::rw- u:501:rw- g::--- m::rw- o::---"


@pytest.mark.parametrize(
    ("setting", "private", "expected"),
    [
        ("private-only", True, True),
        ("private-only", False, False),
        ("always", False, True),
        ("always", True, True),
        ("never", True, False),
    ],
)
def test_group_setting(setting: str, private: bool, expected: bool) -> None:
    assert grants_group(setting, private) is expected


def test_the_owner_writes_even_when_the_team_says_less() -> None:
    odd = Grants(501, 601, {501: False}, group=True)
    assert "u:501:rw-" in text(entries(odd, Kind.FILE, public=False))


def test_viewers_keep_nothing_they_made() -> None:
    assert GRANTS.writers() == {501, 700}


_TEAMS = st.dictionaries(st.integers(1000, 2**31), st.booleans(), max_size=60)


@given(people=_TEAMS, group=st.booleans(), kind=st.sampled_from(Kind), public=st.booleans())
def test_bytes_round_trip(people: dict[int, bool], group: bool, kind: Kind, public: bool) -> None:
    acl = entries(Grants(501, 601, people, group), kind, public=public)
    assert decode(encode(acl)) == acl
    assert posix.build(acl).valid()


def test_bytes_are_the_kernels_own(tmp_path: Path) -> None:
    """What the walk compares is what the library makes the kernel store."""
    for (kind, public), wanted in rules(GRANTS).items():
        path = tmp_path / f"{kind}-{public}"
        path.mkdir()
        fd = os.open(path, os.O_PATH)
        acl = entries(GRANTS, kind, public=public)
        posix.apply(fd, acl, acl)
        os.close(fd)
        assert os.getxattr(path, posix.ACCESS) == wanted.access
        assert os.getxattr(path, posix.DEFAULT) == wanted.access
        assert path.stat().st_mode & 0o777 == wanted.mode


def test_minimal_rule_is_a_mode() -> None:
    made = rule([Entry(Tag.USER_OBJ, 0, 7), Entry(Tag.GROUP_OBJ, 0, 5), Entry(Tag.OTHER, 0, 1)])
    assert made.minimal
    assert made.mode == 0o751


@pytest.mark.parametrize("raw", [b"", b"\2\0\0\0\1", b"\1\0\0\0" + b"\0" * 8])
def test_not_an_acl(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not an ACL"):
        decode(raw)


def test_probe_finds_acls_and_leaves_nothing(tmp_path: Path) -> None:
    assert posix.supports_acl(str(tmp_path))
    assert os.listdir(tmp_path) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system without ACLs needs root")
def test_probe_on_a_file_system_without_acls(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "ramfs", "aent", tmp_path], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine does not let us mount a ramfs")
    try:
        assert not posix.supports_acl(str(tmp_path))
    finally:
        subprocess.run(["umount", tmp_path], check=True)
