"""Rights of single people on one file or folder, set by who may decide that. Walks as safely as the walk, which keeps them.

What is written is the mark of `permissions.kept`: it only ever takes away from what roles give, never from the owner.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aen.acl.moved import MOVED
from aen.acl.permissions import EXECUTE, READ, Kind, Rule, Tag, by_person, decode, is_closed, kept, meant
from aen.acl.pinned import O_DIRECTORY, O_PINNED
from aen.acl.posix import ACCESS, DEFAULT, NO_ACL, NoAcl, attribute
from aen.acl.tree import Task, Walk, way_back
from aen.errors import Conflict, NotFound


@dataclass(frozen=True)
class Wish:
    """What is to be. `rights` by uid, less than the role or all of it. `whose`: only inodes of these; None: of anybody."""

    rights: Mapping[int, int]
    closed: bool = False
    contents: bool = False  # with all that is in the folder, and what is made there later
    dry: bool = False  # only count
    whose: frozenset[int] | None = None


@dataclass
class Found:
    """What is, after a wish was fulfilled (before, when it was dry). Rights by uid."""

    owner: int
    directory: bool
    public: bool
    closed: bool
    most: dict[int, int]  # what roles give
    given: dict[int, int]
    changed: int = 0
    theirs: Counter[int] = field(default_factory=Counter)  # inodes left as they are, by owner


class Rights(Walk):
    """One look at, or change of, what lies at one place in a project."""

    def __init__(self, task: Task, wish: Wish | None) -> None:
        super().__init__(task)
        self._wish = wish or Wish({}, dry=True)
        self._asked = wish is not None
        self._theirs: Counter[int] = Counter()
        self._from_folder = False

    def at(self, top: int, parts: Sequence[str]) -> Found:
        """The place below the directory `top`. Raises NotFound, Conflict (a link, a special file, another disk), NoAcl."""
        self._device = os.fstat(top).st_dev
        fd = _pinned(top, parts)
        try:
            status = os.fstat(fd)
            if status.st_dev != self._device:
                raise Conflict("That is another file system: AEN sets no rights there.")
            self._from_folder = stat.S_ISDIR(status.st_mode)
            if self._asked:
                self._check_its_place(fd, status)
                self._change(fd, parts)
            return self._found(fd, public=parts[0] == "public")
        finally:
            os.close(fd)

    def _check_its_place(self, fd: int, status: os.stat_result) -> None:
        try:
            self._check_meant_here(f"/proc/self/fd/{fd}", status)
        except OSError as error:
            if error.errno != errno.EPERM:
                return  # the change itself will tell
            raise Conflict(f"{MOVED}.") from None

    def _change(self, fd: int, parts: Sequence[str]) -> None:
        public, place = parts[0] == "public", "/".join(parts)
        if not self._from_folder:
            self._file_itself(fd, place, public)
            return
        folder = os.open(f"/proc/self/fd/{fd}", O_DIRECTORY & ~os.O_NOFOLLOW)
        try:
            if self._directory(folder, f"{place}/", public=public) and self._wish.contents:
                with way_back():
                    self._inside(folder, f"{place}/", len(parts) + 1, public=public)
        finally:
            os.close(folder)

    def _file_itself(self, fd: int, place: str, public: bool) -> None:
        try:
            self._pinned(fd, f"/proc/self/fd/{fd}", place, public)
        except OSError as error:
            self._failed(error, place)

    def _found(self, fd: int, *, public: bool) -> Found:
        status = os.fstat(fd)
        rule = decode(self._rules[_kind(status.st_mode), public].access)
        most = by_person(rule, self._task.grants)
        now = decode(self._as_it_is(f"/proc/self/fd/{fd}", _kind(status.st_mode), public))
        named = {entry.who: entry.rights for entry in now if entry.tag is Tag.USER}
        given = {uid: named.get(uid, full) for uid, full in most.items()}
        found = Found(status.st_uid, stat.S_ISDIR(status.st_mode), public, is_closed(now), most, given)
        found.changed, found.theirs = self.report.changed, self._theirs
        return found

    def _as_it_is(self, target: str, kind: Kind, public: bool) -> bytes:
        try:
            return kept(attribute(target, ACCESS), self._rules[kind, public].access, self._task.grants)
        except OSError as error:
            if error.errno in NO_ACL:
                raise NoAcl from error
            raise

    # ── instead of bringing it in line with the team ────────────────────────────────────────────────

    def _right(self, name: str, status: os.stat_result, rule: Rule) -> bool:
        self.report.looked_at += 1
        return False  # each is pinned, and judged then

    def _settle(self, fd: int, status: os.stat_result, rule: Rule, *, top: bool) -> bool:
        if not self._may(status):
            return False
        self._check_meant_here(fd, status)
        changed = self._set(fd, rule, ACCESS, self._wish.rights)
        return (self._wish.contents and self._set(fd, rule, DEFAULT, self._wish.rights)) or changed

    def _settle_file(self, target: int | str, status: os.stat_result, rule: Rule) -> bool:
        if not self._may(status):
            return False
        self._check_meant_here(target, status)
        rights = self._wish.rights
        if self._from_folder:  # what may be entered may be run
            rights = {uid: bits | (EXECUTE if bits & READ else 0) for uid, bits in rights.items()}
        return self._set(target, rule, ACCESS, rights)

    def _may(self, status: os.stat_result) -> bool:
        if self._wish.whose is None or status.st_uid in self._wish.whose:
            return True
        self._theirs[status.st_uid] += 1
        return False

    def _set(self, target: int | str, rule: Rule, name: str, rights: Mapping[int, int]) -> bool:
        wanted = meant(rule.access, self._task.grants, rights, closed=self._wish.closed)
        if attribute(target, name) == wanted:
            return False
        if not self._wish.dry:
            os.setxattr(target, name, wanted)
        return True


def _kind(mode: int) -> Kind:
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.PROGRAM if mode & stat.S_IXUSR else Kind.FILE


def _pinned(top: int, parts: Sequence[str]) -> int:
    """An O_PATH descriptor of a file or folder; no part of the way is a symlink."""
    fd = os.dup(top)
    try:
        for part in parts[:-1]:
            fd = _deeper(fd, part, O_DIRECTORY)
        fd = _deeper(fd, parts[-1], O_PINNED)
        mode = os.fstat(fd).st_mode
    except (FileNotFoundError, NotADirectoryError):
        os.close(fd)
        raise NotFound("There is no such file or folder in the project.") from None
    except OSError as error:
        os.close(fd)
        raise Conflict(f"That can't be reached: {error.strerror}.") from None
    if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
        return fd
    os.close(fd)
    raise Conflict("Only files and folders have rights of their own; this is a link or a special file.")


def _deeper(fd: int, part: str, flags: int) -> int:
    deeper = os.open(part, flags, dir_fd=fd)
    os.close(fd)
    return deeper
