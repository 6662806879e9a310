"""Rights on one file or folder of a project: between people's names and letters, and the uids and bits of `acl/rights.py`."""

from __future__ import annotations

import pwd
from collections.abc import Mapping, Sequence
from typing import Any

from aen.acl.rights import Found, Rights, Wish
from aen.acl.tree import Task
from aen.errors import Conflict, Invalid
from aen.launchers import ProjectRef, RightsWish

_LETTERS = (("r", 4), ("w", 2), ("x", 1))


def rights_at(
    fd: int, parts: Sequence[str], project: ProjectRef, task: Task, names: Mapping[int, str], wish: RightsWish | None
) -> dict[str, Any]:
    """Look at, or set, what the team has there; as it goes over the wire. Raises AenErrors, NoAcl."""
    found = Rights(task, None).at(fd, parts)
    if wish is not None:
        _check_may(found, task, wish, names)
        found = Rights(task, _in_numbers(wish, names)).at(fd, parts)
    roles = {**project.team, project.owner: "owner"}
    people = [
        {
            "user": names[uid],
            "role": roles[names[uid]],
            "most": _letters(most),
            "given": _letters(found.given[uid]),
            "owns": uid == found.owner,
        }
        for uid, most in sorted(found.most.items(), key=lambda each: names[each[0]])
    ]
    return {
        "directory": found.directory,
        "owner": _name(found.owner, names),
        "public": found.public,
        "closed": found.closed,
        "people": people,
        "changed": found.changed,
        "theirs": {_name(uid, names): count for uid, count in found.theirs.items()},
    }


def _in_numbers(wish: RightsWish, names: Mapping[int, str]) -> Wish:
    uids = {name: uid for uid, name in names.items()}
    if strangers := sorted(set(wish.rights) - set(uids)):
        raise Invalid(f"{strangers[0]} is not in the team, or has no account on this node yet.")
    whose = None if wish.only is None else frozenset({uids[wish.only]} if wish.only in uids else ())
    rights = {uids[name]: _bits(letters) for name, letters in wish.rights.items()}
    return Wish(rights, wish.closed, wish.contents, wish.dry, whose)


def _check_may(found: Found, task: Task, wish: RightsWish, names: Mapping[int, str]) -> None:
    """Before anything is changed: what is in a folder may be of several people, the folder itself must be theirs."""
    if found.owner in task.untouched:
        raise Conflict("It belongs to AEN itself: its rights stay as they are.")
    if wish.only is not None and found.owner != {name: uid for uid, name in names.items()}.get(wish.only):
        whose = _name(found.owner, names)
        raise Conflict(f"It belongs to {whose}: {whose} can change its rights, or a maintainer of the project.")


def _name(uid: int, names: Mapping[int, str]) -> str:
    if uid in names:
        return names[uid]
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _bits(letters: str) -> int:
    return sum(bit for letter, bit in _LETTERS if letter in letters)


def _letters(bits: int) -> str:
    return "".join(letter for letter, bit in _LETTERS if bits & bit)
