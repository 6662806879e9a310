"""ACLs of single inodes in the kernel's form, and what a person's restriction looks like in one.

A restriction is part of the ACL itself: an entry for a group that nobody is in marks it as meant. Only an inode's owner can
set its ACL, so nobody can forge one, and AEN's own walk keeps what is marked, as far as it takes rights away (never from the
project's owner). `aen/acl/permissions.py` is the other side of this; a test holds the two together.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
READ, WRITE, EXECUTE = 4, 2, 1
MEANT, MEANT_CLOSED = 65533, 65532  # groups that mark: those who join later get their role's rights, or none

_HEAD = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_VERSION = 2
_NOBODY = 0xFFFFFFFF
_NONE = frozenset({errno.ENODATA, errno.EOPNOTSUPP, errno.ENOTSUP})


class Entry(NamedTuple):
    """One line of an ACL. `who` is a uid or gid for USER and GROUP, else 0."""

    tag: int
    who: int
    rights: int


def encode(acl: list[Entry]) -> bytes:
    """An ACL as the bytes of its extended attribute."""
    packed = (_ENTRY.pack(tag, rights, who if tag in (USER, GROUP) else _NOBODY) for tag, who, rights in acl)
    return _HEAD.pack(_VERSION) + b"".join(packed)


def decode(raw: bytes) -> list[Entry]:
    """The ACL in those bytes. Raises ValueError."""
    if len(raw) < _HEAD.size or _HEAD.unpack_from(raw)[0] != _VERSION or (len(raw) - _HEAD.size) % _ENTRY.size:
        raise ValueError("not an ACL in the kernel's form")
    found = _ENTRY.iter_unpack(raw[_HEAD.size :])
    return [Entry(tag, who if tag in (USER, GROUP) else 0, rights) for tag, rights, who in found]


def read(target: str | int, attribute: str = ACCESS) -> list[Entry]:
    """The ACL of an inode; empty when it has none (or the file system knows none). Raises OSError."""
    try:
        return decode(os.getxattr(target, attribute))
    except OSError as error:
        if error.errno in _NONE:
            return []
        raise


def write(target: str | int, acl: list[Entry], attribute: str = ACCESS) -> None:
    """Set the ACL of an inode that is ours. Raises OSError."""
    os.setxattr(target, attribute, encode(acl))


@dataclass(frozen=True)
class Person:
    """One person of the team. `writes`: their role lets them change files."""

    uid: int
    writes: bool
    owner: bool = False


@dataclass(frozen=True)
class Wish:
    """Who should have what on an inode, by uid (those who are missing: as their role says). `closed`: newcomers get nothing."""

    rights: Mapping[int, int]
    closed: bool = False


def team(project: str | int) -> list[Person]:
    """The team, as the ACL of the project's directory has it: AEN keeps that one right at all times. Raises OSError."""
    owner = os.stat(project).st_uid
    named = {entry.who: entry.rights for entry in read(project) if entry.tag == USER}
    named.setdefault(owner, READ | WRITE | EXECUTE)
    people = [Person(uid, bool(rights & WRITE) or uid == owner, uid == owner) for uid, rights in named.items()]
    return sorted(people, key=lambda person: (not person.owner, person.uid))


def is_meant(acl: list[Entry]) -> bool:
    """Whether rights were taken away in it on purpose."""
    return any(entry.tag == GROUP and entry.who in (MEANT, MEANT_CLOSED) for entry in acl)


def by_group(project: str | int) -> bool:
    """Whether the team has its rights as a group: then single people can't be told apart here. Raises OSError."""
    return any(entry.tag == GROUP and entry.who not in (MEANT, MEANT_CLOSED) for entry in read(project))


def most(person: Person, mode: int) -> int:
    """The rights that a person's role gives on an inode of that mode."""
    runs = EXECUTE if stat.S_ISDIR(mode) or mode & 0o100 else 0
    return READ | runs | (WRITE if person.writes else 0)


def given(person: Person, wish: Wish, mode: int) -> int:
    """What a person gets: never more than their role says; the project's owner always everything."""
    full = most(person, mode)
    return full if person.owner else full & wish.rights.get(person.uid, full)


def wished(acl: list[Entry], people: list[Person], mode: int) -> Wish:
    """What an inode's ACL restricts; nothing, when it isn't marked."""
    named = {entry.who: entry.rights for entry in acl if entry.tag == USER}
    marks = {entry.who for entry in acl if entry.tag == GROUP} & {MEANT, MEANT_CLOSED}
    if not marks:
        return Wish({})
    closed = MEANT_CLOSED in marks
    missing = 0 if closed else READ | WRITE | EXECUTE
    return Wish({person.uid: most(person, mode) & named.get(person.uid, missing) for person in people}, closed)


def made(people: list[Person], wish: Wish, mode: int, group: int, others: int) -> list[Entry]:
    """The ACL for a wish. `group`: rights of the inode's own group; `others`: of strangers. Without restriction: no mark."""
    full = READ | WRITE | (EXECUTE if stat.S_ISDIR(mode) or mode & 0o100 else 0)
    named = {person.uid: given(person, wish, mode) for person in people}
    meant = wish.closed or any(named[person.uid] != most(person, mode) for person in people)
    mark = [Entry(GROUP, MEANT_CLOSED if wish.closed else MEANT, 0)] if meant else []
    return [
        Entry(USER_OBJ, 0, full),
        *(Entry(USER, uid, named[uid]) for uid in sorted(named)),
        Entry(GROUP_OBJ, 0, group & full),
        *mark,
        Entry(MASK, 0, full),
        Entry(OTHER, 0, others),
    ]


def for_kind(wish: Wish, mode: int, new_mode: int) -> Wish:
    """A wish for one inode applied to another: on files "enter" means nothing, what may be entered may be run."""
    if stat.S_ISDIR(mode) == stat.S_ISDIR(new_mode):
        return wish
    runs = {uid: rights | (EXECUTE if rights & READ else 0) for uid, rights in wish.rights.items()}
    return replace(wish, rights=runs)
