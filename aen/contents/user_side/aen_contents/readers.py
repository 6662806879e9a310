"""Readers: who of the team the kernel would let read an inode, reckoned from its owner, mode and ACL as POSIX.1e says."""

from __future__ import annotations

import errno
import os
import pwd
import stat
import struct
from dataclasses import dataclass

_ACCESS = "system.posix_acl_access"
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_ENTRY = struct.Struct("<HHI")
READ, EXECUTE = 4, 1


@dataclass(frozen=True)
class Person:
    """One of the team, as the kernel knows them."""

    name: str
    uid: int
    groups: frozenset[int]


def people(accounts: dict[str, str]) -> list[Person]:
    """Those of the team who have an account here; `accounts` maps names to Linux names."""
    found = []
    for name, account in accounts.items():
        try:
            entry = pwd.getpwnam(account)
        except KeyError:
            continue
        found.append(Person(name, entry.pw_uid, frozenset(os.getgrouplist(account, entry.pw_gid))))
    return found


class Readers:
    """Who may do what with an inode. Most inodes of a project have the same rights, so answers are kept."""

    def __init__(self, team: list[Person]) -> None:
        self._team = team
        self._known: dict[tuple[int, int, int, bytes, int], frozenset[str]] = {}

    def of(self, path: str, status: os.stat_result, wanted: int) -> frozenset[str]:
        """The names of those who have `wanted` (READ or EXECUTE) on it. Raises OSError."""
        acl = _acl(path)
        key = (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode), acl, wanted)
        if key not in self._known:
            self._known[key] = frozenset(
                person.name for person in self._team if rights(person, status, acl) & wanted == wanted
            )
        return self._known[key]


def rights(person: Person, status: os.stat_result, acl: bytes) -> int:
    """What a person has: the owner's entry, else their own, else any group's that has it, else everybody's."""
    mode = status.st_mode
    if person.uid == status.st_uid:
        return (mode >> 6) & 7
    entries: list[tuple[int, int, int]] = list(_ENTRY.iter_unpack(acl[4:])) if acl else []
    if not entries:
        return (mode >> 3) & 7 if status.st_gid in person.groups else mode & 7
    mask = next((given for tag, given, _ in entries if tag == _MASK), 7)
    for tag, given, who in entries:
        if tag == _USER and who == person.uid:
            return given & mask
    theirs = [
        given & mask
        for tag, given, who in entries
        if (tag == _GROUP and who in person.groups) or (tag == _GROUP_OBJ and status.st_gid in person.groups)
    ]
    if theirs:
        return max(theirs, key=lambda given: (given & READ, given & EXECUTE))
    return mode & 7


def _acl(path: str) -> bytes:
    try:
        return os.getxattr(path, _ACCESS, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOTSUP):
            return b""
        raise
