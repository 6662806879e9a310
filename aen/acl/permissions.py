"""Permissions: a team → the entries of directories and files. Pure: no disk, no accounts."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

READ, WRITE, EXECUTE = 4, 2, 1
#: Groups that nobody is in. An entry for one of them marks an ACL as meant by the inode's owner: rights that people lack
#: in it were taken away on purpose. Those who join the team later have their role's rights, or (CLOSED) none.
MEANT, MEANT_CLOSED = 65533, 65532
MOST_PEOPLE = 200  # ext4 holds 249 named entries on a directory (access and default in one block)


class Tag(IntEnum):
    """Kinds of entries, as the kernel numbers them."""

    USER_OBJ = 0x01
    USER = 0x02
    GROUP_OBJ = 0x04
    GROUP = 0x08
    MASK = 0x10
    OTHER = 0x20


class Entry(NamedTuple):
    """One line of an ACL. `who` is a uid or gid for USER and GROUP, else 0."""

    tag: Tag
    who: int
    rights: int


@dataclass(frozen=True)
class Grants:
    """Who has rights on a project's files, by uid. True: reads and writes; False: reads only (viewer)."""

    owner_uid: int
    owner_gid: int
    people: Mapping[int, bool]  # without the owner
    group: bool  # whether the owner's primary group gets rights
    groups: tuple[int, int] | None = None  # gids (who writes, who looks) that stand for the people

    def writers(self) -> frozenset[int]:
        """Those who may keep what they made; what anybody else owns in the project passes to the owner."""
        return frozenset({self.owner_uid, *(uid for uid, writes in self.people.items() if writes)})


class Kind(IntEnum):
    """What an inode is to the rules."""

    DIRECTORY = 0
    FILE = 1
    PROGRAM = 2  # a file that its owner may execute


def grants_group(setting: str, private_group: bool) -> bool:
    """Whether the owner's primary group gets rights: `acl.group` is private-only, always or never."""
    return setting == "always" or (setting == "private-only" and private_group)


def entries(grants: Grants, kind: Kind, *, public: bool) -> list[Entry]:
    """The ACL of one kind of inode, in the kernel's order. For directories it is the default ACL as well.

    The owner is a named entry too: what a member makes has the member as its owner, and would shut the owner out.
    """
    execute = EXECUTE if kind is not Kind.FILE else 0
    full, look = READ | WRITE | execute, READ | execute
    people = {} if grants.groups else grants.people
    named = {**{uid: full if writes else look for uid, writes in people.items()}, grants.owner_uid: full}
    groups = zip(grants.groups, (full, look), strict=True) if grants.groups else ()
    return [
        Entry(Tag.USER_OBJ, 0, full),
        *(Entry(Tag.USER, uid, named[uid]) for uid in sorted(named)),
        Entry(Tag.GROUP_OBJ, 0, full if grants.group else 0),
        *(Entry(Tag.GROUP, gid, rights) for gid, rights in sorted(groups)),
        Entry(Tag.MASK, 0, full),
        Entry(Tag.OTHER, 0, _others(kind, look, public)),
    ]


def _others(kind: Kind, look: int, public: bool) -> int:
    """What strangers get: reading in `public/`, passing through directories, nothing of files."""
    if public:
        return look
    return EXECUTE if kind is Kind.DIRECTORY else 0


# ── the kernel's form of an ACL: what stands in the extended attribute ────────────────────────────────

_HEAD = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_VERSION = 2
_NOBODY = 0xFFFFFFFF


def encode(acl: list[Entry]) -> bytes:
    """An ACL as the bytes of `system.posix_acl_access` or `_default`."""
    named = (Tag.USER, Tag.GROUP)
    packed = (_ENTRY.pack(tag, rights, who if tag in named else _NOBODY) for tag, who, rights in acl)
    return _HEAD.pack(_VERSION) + b"".join(packed)


def decode(raw: bytes) -> list[Entry]:
    """The ACL in those bytes. Raises ValueError when they are not one."""
    if len(raw) < _HEAD.size or _HEAD.unpack_from(raw)[0] != _VERSION or (len(raw) - _HEAD.size) % _ENTRY.size:
        raise ValueError("not an ACL in the kernel's form")
    found = _ENTRY.iter_unpack(raw[_HEAD.size :])
    return [Entry(Tag(tag), 0 if who == _NOBODY else who, rights) for tag, rights, who in found]


_MARKS = tuple(_ENTRY.pack(Tag.GROUP, 0, group) for group in (MEANT, MEANT_CLOSED))


def kept(current: bytes | None, rule: bytes, grants: Grants) -> bytes:
    """The rule for an inode, less the rights that its owner took away: what stands in a marked ACL, and nothing else.

    Only an inode's owner can set its ACL, so a mark can't be forged; and it only ever takes away, never from the
    project's owner: whatever stands there, nobody has more than the team's rule gives.
    """
    if current is None or current == rule or not any(mark in current for mark in _MARKS):
        return rule
    acl = decode(current)
    marks = {entry.who for entry in acl if entry.tag is Tag.GROUP} & {MEANT, MEANT_CLOSED}
    if not marks:  # the bytes of a mark, but across two entries
        return rule
    closed = MEANT_CLOSED in marks
    named = {entry.who: entry.rights for entry in acl if entry.tag is Tag.USER}
    missing = 0 if closed else READ | WRITE | EXECUTE
    wanted = decode(rule)
    most = by_person(wanted, grants)
    have = {uid: rights & named.get(uid, missing) for uid, rights in most.items()}
    if have == most and not closed:
        return rule  # nothing is taken away any more
    mark = Entry(Tag.GROUP, MEANT_CLOSED if closed else MEANT, 0)
    rest = [
        _closed(entry, grants) if closed else entry for entry in wanted if (entry.tag, entry.who) not in _named(have)
    ]
    return encode(sorted([*rest, *(Entry(Tag.USER, uid, rights) for uid, rights in have.items()), mark]))


def meant(rule: bytes, grants: Grants, rights: Mapping[int, int], *, closed: bool) -> bytes:
    """The rule for an inode, narrowed on purpose: `rights` by uid (who is missing has what their role gives). `closed`:
    those who join the team later get nothing."""
    named = [Entry(Tag.USER, uid, rights.get(uid, READ | WRITE | EXECUTE)) for uid in grants.people]
    return kept(encode([*named, Entry(Tag.GROUP, MEANT_CLOSED if closed else MEANT, 0)]), rule, grants)


def from_elsewhere(current: bytes | None, grants: Grants) -> bool:
    """Whether the ACL of an inode with a group that is not the project's was meant in another project: it is marked, and
    does not give this one's owner what every marked ACL here gives them."""
    if current is None or not any(mark in current for mark in _MARKS):
        return False
    acl = decode(current)
    marked = any(entry.tag is Tag.GROUP and entry.who in (MEANT, MEANT_CLOSED) for entry in acl)
    owner = sum(entry.rights for entry in acl if entry.tag is Tag.USER and entry.who == grants.owner_uid)
    return marked and owner & (READ | WRITE) != READ | WRITE


def is_closed(acl: list[Entry]) -> bool:
    """Whether it was meant to be closed to those who join the team later."""
    return any(entry.tag is Tag.GROUP and entry.who == MEANT_CLOSED for entry in acl)


def by_person(rule: list[Entry], grants: Grants) -> dict[int, int]:
    """What a rule gives each person of the team but the owner, by name or through the project's groups."""
    if grants.groups is None:
        return {entry.who: entry.rights for entry in rule if entry.tag is Tag.USER and entry.who != grants.owner_uid}
    by_group = {entry.who: entry.rights for entry in rule if entry.tag is Tag.GROUP}
    writing, looking = (by_group[gid] for gid in grants.groups)
    return {uid: writing if writes else looking for uid, writes in grants.people.items()}


def _named(have: Mapping[int, int]) -> set[tuple[Tag, int]]:
    return {(Tag.USER, uid) for uid in have}


def _closed(entry: Entry, grants: Grants) -> Entry:
    """Who joins later comes through the project's groups: those give nothing where newcomers get nothing."""
    theirs = entry.tag is Tag.GROUP and grants.groups is not None and entry.who in grants.groups
    return entry._replace(rights=0) if theirs else entry


@dataclass(frozen=True)
class Rule:
    """What one kind of inode must have: the bytes of its ACL, and the mode where the ACL says no more than a mode."""

    access: bytes
    mode: int
    minimal: bool  # no named entries: the kernel keeps only the mode


def rule(acl: list[Entry]) -> Rule:
    """The rule that an ACL is."""
    by_tag = {entry.tag: entry.rights for entry in acl if entry.tag not in (Tag.USER, Tag.GROUP)}
    minimal = not any(entry.tag in (Tag.USER, Tag.GROUP, Tag.MASK) for entry in acl)
    middle = by_tag.get(Tag.MASK, by_tag[Tag.GROUP_OBJ])
    return Rule(encode(acl), by_tag[Tag.USER_OBJ] << 6 | middle << 3 | by_tag[Tag.OTHER], minimal)


def rules(grants: Grants) -> dict[tuple[Kind, bool], Rule]:
    """Every rule of a project, by kind and whether it is in `public/`."""
    return {(kind, public): rule(entries(grants, kind, public=public)) for kind in Kind for public in (False, True)}
