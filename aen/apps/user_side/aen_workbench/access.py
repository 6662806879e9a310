"""Access: who may read, change and run something in the project, and taking rights away on what one owns."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from . import acl
from .acl import ACCESS, DEFAULT, Person, Wish
from .folders import account
from .paths import O_LIST, O_PINNED, TRASH, Places, proc, to_wire
from .words import Trouble, shown

_DEEPEST = 200
_LETTERS = ((acl.READ, "r"), (acl.WRITE, "w"), (acl.EXECUTE, "x"))


@dataclass(frozen=True)
class Asked:
    """What the editor asks for. `rights` by account name, as letters ("rx"); `runs`: whether a file is a program."""

    rights: dict[str, str]
    closed: bool = False
    contents: bool = False
    runs: bool | None = None

    @classmethod
    def of(cls, data: dict[str, Any]) -> Asked:
        """From a request. Raises Trouble."""
        rights = data.get("rights", {})
        if not isinstance(rights, dict) or not all(
            isinstance(letters, str) and set(letters) <= set("rwx") for letters in rights.values()
        ):
            raise Trouble(400, "request", "Rights are told by name, with the letters r, w and x.")
        runs = data.get("runs")
        return cls(rights, bool(data.get("closed")), bool(data.get("contents")), None if runs is None else bool(runs))


@dataclass
class Effect:
    """What a change does, or would do: inodes that change, and those of others (by owner) that stay."""

    changed: int = 0
    theirs: Counter[str] = field(default_factory=Counter)

    def view(self) -> dict[str, Any]:
        """For the page."""
        return {"changed": self.changed, "theirs": dict(self.theirs)}


def look(places: Places, path: bytes, isolated: bool) -> dict[str, Any]:
    """The editor's table for something in the project. Raises OSError or Trouble."""
    people = _team(places, path)
    with _pinned(places, path) as fd:
        status = os.fstat(fd)
        entries, rights = acl.read(proc(fd)), named(fd)
    blocked = _blocked(places, path, people)
    wish = acl.wished(entries, people, status.st_mode)
    return {
        "path": to_wire(path),
        "name": shown(path.rpartition(b"/")[2]),
        "kind": "folder" if stat.S_ISDIR(status.st_mode) else "file",
        "owner": account(status.st_uid),
        "mine": status.st_uid == os.geteuid(),
        "isolated": isolated,
        "by_group": acl.by_group(os.fsdecode(places.project)),
        "runs": bool(status.st_mode & 0o100),
        "closed": wish.closed,
        "public": path.startswith(places.project + b"/public/") or path == places.project + b"/public",
        "people": [_person(each, rights.get(each.uid, 0), wish, status, blocked) for each in people],
        "top": path == places.project,
    }


def change(places: Places, path: bytes, asked: Asked, dry: bool) -> dict[str, Any]:
    """Give what is ours the rights that are asked for; `dry`: only tell what that would do. Raises OSError or Trouble."""
    people = _team(places, path)
    if path == places.project:
        raise Trouble(409, "top", "Who may enter the project itself is decided on its Team page.")
    if acl.by_group(os.fsdecode(places.project)):
        raise Trouble(409, "group", "Here the team has its rights as a group: set them on the project's page.")
    uids = {account(person.uid): person.uid for person in people}
    unknown = sorted(set(asked.rights) - set(uids))
    if unknown:
        raise Trouble(409, "stranger", f"{', '.join(unknown)}: not in the team. Add people on the project's Team page.")
    wish = Wish({uids[name]: _bits(letters) for name, letters in asked.rights.items()}, asked.closed)
    effect = Effect()
    with _pinned(places, path) as fd:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid():
            whose = account(status.st_uid)
            raise Trouble(
                403, "owner", f"Owned by {whose}: {whose} can change it here, maintainers on the project's page."
            )
        mode = _with_runs(status.st_mode, asked.runs)
        work = _Work(people, wish, mode, dry, effect)
        work.one(fd, mode, defaults=asked.contents)
        if asked.contents and stat.S_ISDIR(mode):
            work.below(fd)
    return effect.view()


class _Work:
    """One change over a tree."""

    def __init__(self, people: list[Person], wish: Wish, mode: int, dry: bool, effect: Effect) -> None:
        self._people, self._wish, self._mode, self._dry, self._effect = people, wish, mode, dry, effect

    def one(self, fd: int, mode: int, *, defaults: bool) -> None:
        """The inode that `fd` pins."""
        target = proc(fd)
        changed = self._bring(target, mode, ACCESS)
        if defaults and stat.S_ISDIR(mode):
            changed |= self._bring(target, mode, DEFAULT)
        self._effect.changed += changed

    def _bring(self, target: str, mode: int, attribute: str) -> bool:
        before = acl.read(target, attribute)
        simple = {entry.tag: entry.rights for entry in before if entry.tag in (acl.GROUP_OBJ, acl.OTHER)}
        group, others = simple.get(acl.GROUP_OBJ, 0), simple.get(acl.OTHER, mode & 7 if attribute == ACCESS else 1)
        wish = acl.for_kind(self._wish, self._mode, mode)
        after = acl.made(self._people, wish, mode, group, others)
        if after == before:
            return False
        if not self._dry:
            acl.write(target, after, attribute)
        return True

    def below(self, top: int, depth: int = 0) -> None:
        """All that is ours in the folder; links and special files stay."""
        fd = os.open(b".", O_LIST, dir_fd=top)
        try:
            for name in os.listdir(fd):
                with suppress(FileNotFoundError, PermissionError):
                    self._each(fd, os.fsencode(name), depth)
        finally:
            os.close(fd)

    def _each(self, parent: int, name: bytes, depth: int) -> None:
        fd = os.open(name, O_PINNED, dir_fd=parent)
        try:
            status = os.fstat(fd)
            if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
                return
            if status.st_uid != os.geteuid():
                self._effect.theirs[account(status.st_uid)] += 1
            else:
                self.one(fd, status.st_mode, defaults=True)
            if stat.S_ISDIR(status.st_mode) and depth < _DEEPEST:
                self.below(fd, depth + 1)
        finally:
            os.close(fd)


@contextmanager
def _pinned(places: Places, path: bytes) -> Iterator[int]:
    """What a path names, held by an O_PATH descriptor; a file or a folder. Raises OSError or Trouble."""
    if path == places.project:
        fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    else:
        with places.parent(path) as (parent, name):
            fd = os.open(name, O_PINNED, dir_fd=parent)
    try:
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            raise Trouble(409, "no-file", "Only files and folders have rights of their own.")
        yield fd
    finally:
        os.close(fd)


def _team(places: Places, path: bytes) -> list[Person]:
    if places.root_of(path) != places.project or path.startswith(places.project + b"/" + TRASH + b"/"):
        raise Trouble(409, "outside", "Rights are set for files of the project; here they are what the disk says.")
    return acl.team(os.fsdecode(places.project))


def _with_runs(mode: int, runs: bool | None) -> int:
    if runs is None or stat.S_ISDIR(mode):
        return mode
    return mode | 0o100 if runs else mode & ~0o111


def _person(person: Person, now: int, wish: Wish, status: os.stat_result, blocked: dict[int, bytes]) -> dict[str, Any]:
    name = account(person.uid)
    return {
        "name": name,
        "role": "owner" if person.owner else "member" if person.writes else "viewer",
        "owns": person.uid == status.st_uid,
        "now": _letters(now),
        "most": _letters(acl.most(person, status.st_mode)),
        "most_running": _letters(acl.most(person, status.st_mode | 0o100)),
        "set": _letters(acl.given(person, wish, status.st_mode)),
        "kept": person.owner,
        "blocked": shown(blocked[person.uid]) if person.uid in blocked else "",
    }


def _blocked(places: Places, path: bytes, people: list[Person]) -> dict[int, bytes]:
    """Uids of those who can't get to `path`, each with the first folder on the way that keeps them out."""
    found: dict[int, bytes] = {}
    for folder in _on_the_way(places, path):
        with suppress(OSError, Trouble), _pinned(places, folder) as fd:
            rights = named(fd)
            for person in people:
                if not rights.get(person.uid, 0) & acl.EXECUTE:
                    found.setdefault(person.uid, folder[len(places.project) + 1 :])
    return found


def named(fd: int) -> dict[int, int]:
    """Uids that an inode's ACL names, its owner among them, with what they really have. Raises OSError."""
    status = os.fstat(fd)
    entries = acl.read(proc(fd))
    mask = next((entry.rights for entry in entries if entry.tag == acl.MASK), 7)
    found = {entry.who: entry.rights & mask for entry in entries if entry.tag == acl.USER}
    return found | {status.st_uid: status.st_mode >> 6 & 7}


def entitled(places: Places, path: bytes) -> set[int]:
    """Uids of the team that get to `path` and may read it. Raises OSError or Trouble."""
    people = _team(places, path)
    blocked = _blocked(places, path, people)
    try:
        with _pinned(places, path) as fd:
            readers = {uid for uid, rights in named(fd).items() if rights & acl.READ}
    except Trouble:  # a link or a special file has no rights of its own
        readers = {person.uid for person in people}
    return {person.uid for person in people if person.uid not in blocked and person.uid in readers}


def _on_the_way(places: Places, path: bytes) -> Iterator[bytes]:
    """The folders between the project's own and `path`, outermost first."""
    parts = path[len(places.project) :].strip(b"/").split(b"/")
    for number in range(1, len(parts)):
        yield places.project + b"/" + b"/".join(parts[:number])


def _bits(letters: str) -> int:
    return sum(bit for bit, letter in _LETTERS if letter in letters)


def _letters(rights: int) -> str:
    return "".join(letter for bit, letter in _LETTERS if rights & bit)
