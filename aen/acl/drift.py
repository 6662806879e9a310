"""Drift: what in a project's tree is not as the walk would leave it, who is shut out by that, and why. Changes nothing."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from aen.acl.permissions import READ, Entry, Grants, Rule, Tag, decode, kept
from aen.acl.posix import ACCESS, DEFAULT, attribute
from aen.acl.tree import Report, Task, Walk

MOST_ITEMS = 100
_LONGEST_PATH = 500  # characters shown
_MOST_NAMES = 20  # people shown for one item
_LETTERS = ((4, "r"), (2, "w"), (1, "x"))


@dataclass(frozen=True)
class Item:
    """One file or directory that differs. `lacks` and `extra`: by person, letters of rwx; `reason`: a sentence."""

    path: str
    directory: bool
    reason: str
    lacks: Mapping[str, str]
    extra: Mapping[str, str]


@dataclass
class Drift:
    """What a look found. `items` are the first ones; `unreadable`: how many inodes each person can't read but should."""

    looked_at: int = 0
    differing: int = 0
    items: list[Item] = field(default_factory=list)
    unreadable: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Look(Walk):
    """The walk with its hands tied. `names`: people by uid."""

    def __init__(
        self, task: Task, names: Mapping[int, str], progress: Callable[[int, int], None] | None = None
    ) -> None:
        super().__init__(task, progress)
        self.drift = Drift()
        self._names = names
        self._here = ""

    def look(self, fd: int) -> Drift:
        """Look at all that is in the directory `fd`. Raises NoAcl."""
        report: Report = self.run(fd)
        self.drift.looked_at, self.drift.seconds = report.looked_at, report.seconds
        self.drift.notes = list(report.notes)
        return self.drift

    # ── instead of changing ─────────────────────────────────────────────────────────────────────────

    def _directory(self, fd: int, place: str, *, public: bool) -> bool:
        self._here = place
        return super()._directory(fd, place, public=public)

    def _settle(self, fd: int, status: os.stat_result, rule: Rule, *, top: bool) -> bool:
        return self._compare(fd, status, rule, None if top else self._task.grants)

    def _pinned(self, fd: int, target: int | str, place: str, public: bool) -> None:
        self._here = place
        super()._pinned(fd, target, place, public)

    def _settle_file(self, target: int | str, status: os.stat_result, rule: Rule) -> bool:
        return self._compare(target, status, rule, self._task.grants)

    # ── comparing ───────────────────────────────────────────────────────────────────────────────────

    def _compare(self, target: int | str, status: os.stat_result, rule: Rule, grants: Grants | None) -> bool:
        """Note an inode that differs; whether it does. `grants`: see `_bring`."""
        raw = attribute(target, ACCESS)
        wanted = rule.access if grants is None else kept(raw, rule.access, grants)
        mode = stat.S_IMODE(status.st_mode)
        reason = self._reason(target, status, raw, wanted, rule, grants)
        if not reason:
            return False
        have = decode(raw) if raw is not None else _of_mode(mode)
        lacks, extra = {}, {}
        for uid, gids, name in self._people():
            right = _effective(decode(wanted), uid, gids, status.st_gid, None)
            real = _effective(have, uid, gids, status.st_gid, status.st_uid)
            lacks[name], extra[name] = right & ~real, real & ~right
        self._keep(reason, status, lacks, extra)
        return True

    def _reason(
        self,
        target: int | str,
        status: os.stat_result,
        raw: bytes | None,
        wanted: bytes,
        rule: Rule,
        grants: Grants | None,
    ) -> str:
        """Why an inode is not as it must be, in a sentence; empty when it is."""
        directory = stat.S_ISDIR(status.st_mode)
        mode = stat.S_IMODE(status.st_mode)
        if self._task.may_chown and status.st_uid not in self._writers:
            return f"It belongs to {self._name(status.st_uid)}, who may not write in this project."
        if raw is None and not (rule.minimal and mode & 0o777 == rule.mode):
            return (
                "It was brought in with rights of its own (as mv, cp -p and some programs do), none of them the team's."
            )
        if raw is not None and raw != wanted and (directory or not _alike(raw, wanted)):
            return _why_differs(decode(raw), decode(wanted), mode)
        if directory:
            default = attribute(target, DEFAULT)
            if default != (rule.access if grants is None else kept(default, rule.access, grants)):
                return "What is made in it will not get the team's rights."
            if not mode & stat.S_ISGID:
                return "What is made in it will not get the owner's group."
        if self._task.may_chown and status.st_gid != self._task.grants.owner_gid:
            return "Its group is not the owner's."
        return ""

    def _people(self) -> Iterable[tuple[int, frozenset[int], str]]:
        grants = self._task.grants
        yield grants.owner_uid, frozenset({grants.owner_gid}), self._name(grants.owner_uid)
        for uid, writes in grants.people.items():
            gids = frozenset({grants.groups[0 if writes else 1]} if grants.groups else ())
            yield uid, gids, self._name(uid)

    def _keep(self, reason: str, status: os.stat_result, lacks: dict[str, int], extra: dict[str, int]) -> None:
        self.drift.differing += 1
        self.drift.unreadable.update(name for name, rights in lacks.items() if rights & READ)
        if len(self.drift.items) < MOST_ITEMS:
            path, directory = self._here[-_LONGEST_PATH:] or "./", stat.S_ISDIR(status.st_mode)
            path = path.encode(errors="replace").decode()
            self.drift.items.append(Item(path, directory, reason, _letters(lacks), _letters(extra)))

    def _name(self, uid: int) -> str:
        return self._names.get(uid, f"uid {uid}")


def _why_differs(have: list[Entry], wanted: list[Entry], mode: int) -> str:
    masks = [next((entry.rights for entry in acl if entry.tag is Tag.MASK), 7) for acl in (have, wanted)]
    if masks[1] & ~masks[0]:
        return f"A person or program set its mode ({mode & 0o777:o}), which narrows everybody else's rights."
    named = [{entry for entry in acl if entry.tag in (Tag.USER, Tag.GROUP)} for acl in (have, wanted)]
    if named[0] != named[1]:
        return "It has the rights of another team: of an earlier one, or of where it was moved from."
    return f"A person or program set its mode ({mode & 0o777:o})."


@lru_cache(maxsize=1024)
def _alike(have: bytes, wanted: bytes) -> bool:
    """Whether two ACLs give the same. A file that was just made has more in its own, which the mask takes away."""
    return _masked(decode(have)) == _masked(decode(wanted))


def _masked(acl: list[Entry]) -> list[Entry]:
    """What an ACL really gives."""
    mask = next((entry.rights for entry in acl if entry.tag is Tag.MASK), 7)
    whole = (Tag.USER_OBJ, Tag.OTHER)
    return [entry if entry.tag in whole else entry._replace(rights=entry.rights & mask) for entry in acl]


def _of_mode(mode: int) -> list[Entry]:
    parts = ((Tag.USER_OBJ, mode >> 6), (Tag.GROUP_OBJ, mode >> 3), (Tag.OTHER, mode))
    return [Entry(tag, 0, bits & 7) for tag, bits in parts]


def _effective(acl: list[Entry], uid: int, gids: frozenset[int], group: int, owner: int | None) -> int:
    """What the kernel gives to `uid`, who is in `gids`, on an inode of `owner` and `group`. `owner` None: as a named person."""
    one = {entry.tag: entry.rights for entry in acl if entry.tag not in (Tag.USER, Tag.GROUP)}
    mask = one.get(Tag.MASK, 7)
    if uid == owner:
        return one[Tag.USER_OBJ]
    named = next((entry.rights for entry in acl if entry.tag is Tag.USER and entry.who == uid), None)
    if named is not None:
        return named & mask
    matching = [entry.rights & mask for entry in acl if entry.tag is Tag.GROUP and entry.who in gids]
    if group in gids:
        matching.append(one[Tag.GROUP_OBJ] & mask)
    found = 0
    for rights in matching:
        found |= rights
    return found if matching else one[Tag.OTHER]


def _letters(rights: Mapping[str, int]) -> dict[str, str]:
    some = [(name, bits) for name, bits in rights.items() if bits][:_MOST_NAMES]
    return {name: "".join(letter for bit, letter in _LETTERS if bits & bit) for name, bits in some}
