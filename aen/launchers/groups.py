"""Groups of projects (`acl.subject: group`): two numbers for each project, one for who writes and one for who looks.

They stand in no /etc/group: an app gets its project's number when it is started, nothing else has it. So a new member
changes no file. What the register says of a team is what the last walk was told.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aen.errors import Internal
from aen.launchers import ProjectRef
from aen.launchers.register import Register, write_json


class Groups:
    """`groups.json` in the launcher's state directory. A number is never given twice."""

    def __init__(self, state_dir: str, numbers: Register) -> None:
        self._path = Path(state_dir, "groups.json")
        self._lock = Path(state_dir, "groups.lock")
        self._numbers = numbers

    def keep(self, project: ProjectRef) -> tuple[int, int]:
        """The project's numbers (writers', lookers'), made when there are none; its team is written down."""
        known = self._read().get(_key(project.owner, project.name))
        team = dict(project.team)
        if known is None or known["team"] != team:
            with self._changing() as data:
                known = data.setdefault(_key(project.owner, project.name), {})
                if "write" not in known:
                    known["write"], known["look"] = self._new_number(), self._new_number()
                known["team"] = team
        return int(known["write"]), int(known["look"])

    def of(self, user: str, owner: str, project: str) -> int | None:
        """The number that this person's apps get in the project. None: not in its team, or there is no such project."""
        known = self._read().get(_key(owner, project))
        role = known["team"].get(user) if known else None
        if known is None or role is None:
            return None
        return int(known["look" if role == "viewer" else "write"])

    def numbers(self, owner: str, project: str) -> set[int]:
        """Both numbers of a project, if it has them."""
        known = self._read().get(_key(owner, project))
        return {int(known["write"]), int(known["look"])} if known else set()

    def rename(self, owner: str, project: str, new_owner: str, new_name: str) -> None:
        """The project has another name or owner now, and the same numbers."""
        with self._changing() as data:
            if known := data.pop(_key(owner, project), None):
                data[_key(new_owner, new_name)] = known

    def forget(self, owner: str, project: str) -> None:
        """The project is gone: the next of its name gets other numbers."""
        with self._changing() as data:
            data.pop(_key(owner, project), None)

    def _new_number(self) -> int:
        with self._numbers.changing() as accounts:
            return self._numbers.next_uid(accounts)

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        with open(self._lock, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            data = self._read()
            before = json.dumps(data, sort_keys=True)
            yield data
            if json.dumps(data, sort_keys=True) != before:
                write_json(self._path, data)

    def _read(self) -> dict[str, Any]:
        try:
            data: dict[str, Any] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            raise Internal(
                f"{self._path} is damaged. Restore it from a backup: it says which group is whose."
            ) from None
        return data


def _key(owner: str, project: str) -> str:
    return f"{owner}/{project}"
