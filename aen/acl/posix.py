"""POSIX ACLs of one inode, through pylibacl. The walk compares raw bytes; here is what builds, reads and probes."""

from __future__ import annotations

import errno
import os
import stat
import tempfile

import posix1e  # type: ignore[import-not-found]

from aen.acl.permissions import Entry, Tag, decode

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"
NO_ACL = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})


class NoAcl(Exception):
    """The file system keeps no POSIX ACLs."""


_TAGS = {
    Tag.USER_OBJ: posix1e.ACL_USER_OBJ,
    Tag.USER: posix1e.ACL_USER,
    Tag.GROUP_OBJ: posix1e.ACL_GROUP_OBJ,
    Tag.GROUP: posix1e.ACL_GROUP,
    Tag.MASK: posix1e.ACL_MASK,
    Tag.OTHER: posix1e.ACL_OTHER,
}


def build(acl: list[Entry]) -> posix1e.ACL:
    """The library's object for an ACL. Raises ValueError when the entries don't make a valid one."""
    made = posix1e.ACL()
    for entry in acl:
        line = made.append()
        line.tag_type = _TAGS[entry.tag]
        if entry.tag in (Tag.USER, Tag.GROUP):
            line.qualifier = entry.who
        rights = line.permset
        rights.clear()
        for bit, right in ((4, posix1e.ACL_READ), (2, posix1e.ACL_WRITE), (1, posix1e.ACL_EXECUTE)):
            if entry.rights & bit:
                rights.add(right)
    if not made.valid():
        raise ValueError("these entries don't make a valid ACL")
    return made


def apply(fd: int, access: list[Entry], default: list[Entry] | None = None) -> None:
    """Set the ACL of the inode that `fd` pins (O_PATH will do), and the default ACL of a directory.

    By /proc/self/fd, because the library writes nothing to the default ACL of a plain descriptor, without a word.
    """
    place = f"/proc/self/fd/{fd}"
    build(access).applyto(place, posix1e.ACL_TYPE_ACCESS)
    if default is not None:
        build(default).applyto(place, posix1e.ACL_TYPE_DEFAULT)


def read(fd: int, attribute: str = ACCESS) -> list[Entry]:
    """The ACL of the inode that `fd` pins. One that says no more than the mode is given as three entries; no default: []."""
    try:
        return decode(os.getxattr(f"/proc/self/fd/{fd}", attribute))
    except OSError as error:
        if error.errno != errno.ENODATA and error.errno not in NO_ACL:
            raise
    if attribute == DEFAULT:
        return []
    mode = stat.S_IMODE(os.fstat(fd).st_mode)
    parts = ((Tag.USER_OBJ, mode >> 6), (Tag.GROUP_OBJ, mode >> 3), (Tag.OTHER, mode))
    return [Entry(tag, 0, bits & 7) for tag, bits in parts]


def supports_acl(directory: str) -> bool:
    """Whether this file system keeps POSIX ACLs, found out by doing it: mount options don't tell."""
    uid = os.geteuid() + 1
    acl = [
        Entry(Tag.USER_OBJ, 0, 7),
        Entry(Tag.USER, uid, 5),
        Entry(Tag.GROUP_OBJ, 0, 0),
        Entry(Tag.MASK, 0, 5),
        Entry(Tag.OTHER, 0, 0),
    ]
    with tempfile.TemporaryDirectory(prefix=".aen-probe-", dir=directory) as made:
        fd = os.open(made, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            apply(fd, acl, acl)
            return read(fd) == acl and read(fd, DEFAULT) == acl
        except OSError as error:
            if error.errno in NO_ACL:
                return False
            raise
        finally:
            os.close(fd)


def attribute(target: int | str, name: str) -> bytes | None:
    """An extended attribute, or None when there is none."""
    try:
        return os.getxattr(target, name)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return None
        raise
