"""Register: which accounts AEN made on this node, for whom, and which numbers were given. Root's alone."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from aen.errors import Internal
from aen.launchers import passwd


class Standing(StrEnum):
    """What a known account is to somebody of its name."""

    THEIRS = "theirs"
    UNTOLD = "untold"  # theirs, but nobody has written down yet whose
    EARLIER = "earlier"  # it was made for an earlier person of that name
    LATER = "later"  # somebody else has the name by now: who asks is gone


def standing(data: dict[str, Any], name: str, incarnation: str) -> Standing:
    """See `Register.stands_for`; `data` is the register's content."""
    entry = data["accounts"].get(name)
    if not incarnation or (entry and entry.get("incarnation") == incarnation):
        return Standing.THEIRS
    if any(one["name"] == name and one["incarnation"] == incarnation for one in data.get("before", ())):
        return Standing.LATER
    if entry and (entry.get("incarnation") or entry.get("retired")):
        return Standing.EARLIER
    return Standing.UNTOLD


class Register:
    """`accounts.json` in the launcher's state directory: name → uid and whether AEN made it, and the next uid.

    A uid is never given twice: what an earlier person of that name left behind stays out of reach of the next.
    """

    def __init__(self, state_dir: str, first_uid: int) -> None:
        self._path = Path(state_dir, "accounts.json")
        self._lock = Path(state_dir, "accounts.lock")
        self._first_uid = first_uid

    def get(self, name: str) -> int | None:
        """The uid under which `name` is known, or None."""
        entry = self._read()["accounts"].get(name)
        return int(entry["uid"]) if entry else None

    def made(self, name: str) -> bool:
        """Whether AEN made this account (and not an administrator, who let AEN use it)."""
        entry = self._read()["accounts"].get(name)
        return bool(entry and entry["made"])

    def retired(self, name: str) -> bool:
        """Whether the account was locked because its person is gone."""
        entry = self._read()["accounts"].get(name)
        return bool(entry and entry.get("retired"))

    def stands_for(self, name: str, incarnation: str) -> Standing:
        """What the account known under `name` is to this incarnation of the name (empty: whichever)."""
        return standing(self._read(), name, incarnation)

    def uids(self, name: str) -> set[int]:
        """Every uid that `name` ever had here."""
        data = self._read()
        found = [entry["uid"] for entry in data.get("before", ()) if entry["name"] == name]
        return {int(uid) for uid in found} | ({self.get(name)} - {None})  # type: ignore[operator]

    @contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """The register's content, alone with it; written back when the block ends well."""
        with open(self._lock, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            data = self._read()
            yield data
            self.keep(data)

    def keep(self, data: dict[str, Any]) -> None:
        """Write it down now; only inside `changing`."""
        write_json(self._path, data)

    def next_uid(self, data: dict[str, Any]) -> int:
        """The next uid that neither we nor anybody else on this node has given; the counter moves past it at once."""
        uid = max(int(data["next_uid"]), self._first_uid)
        while passwd.taken(uid):
            uid += 1
        data["next_uid"] = uid + 1
        self.keep(data)
        return uid

    def _read(self) -> dict[str, Any]:
        try:
            data: dict[str, Any] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return {"next_uid": self._first_uid, "accounts": {}}
        except ValueError:
            raise Internal(
                f"{self._path} is damaged. Restore it from a backup: it says which accounts AEN made."
            ) from None
        return data


def write_json(path: Path, data: dict[str, Any], *, durable: bool = True) -> None:
    """Written whole or not at all, 0600. `durable`: on the disk when this returns (not for what a new boot makes void)."""
    beside = path.with_name(f".{path.name}.new")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "w") as file:
        json.dump(data, file, indent=1, sort_keys=True)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    os.replace(beside, path)
