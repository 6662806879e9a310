"""After a project's directory was moved (renamed, passed on): what in its environments names the old place names the new one.

Scripts, settings, kernel specs, path files of editable installs, links, and whatever conda's records name. Each file is
written beside and put in its place: a file of the root environment that is shared by links is never written to.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator

from aen_environments import Refused, Told
from aen_environments.folder import Folder
from aen_environments.prefix import held, patched

_FOLDERS = ("bin", "etc", "share", "conda-meta")
_ENDINGS = (".pth", ".egg-link", ".pc", "direct_url.json", "pyvenv.cfg", "_sysconfigdata__linux_.py")
_LARGEST_TEXT = 1 << 20
_LARGEST_BINARY = 1 << 28
_NAME = rb"[A-Za-z0-9._-]"  # what a longer name of a directory would go on with


def moved(told: Told) -> Told:
    """`froms`: where the project was. Done twice it changes nothing more. What can't be changed is told, and left."""
    folder = Folder(told["project"])
    changed, left = 0, []
    with folder.alone():
        for name in folder.names():
            environment = os.path.join(folder.path, name)
            for old in told["froms"]:
                if old == told["project"]:
                    continue
                place = Place(environment, old, told["project"])
                changed += place.bring()
                left += place.left
    print(f"{changed} files name the new place.", flush=True)
    if left:
        raise Refused(f"{len(left)} files of environments still name the project's old place: {', '.join(left[:5])}.")
    return {"changed": changed}


class Place:
    """One environment, from one place to another."""

    def __init__(self, path: str, old: str, new: str) -> None:
        self.left: list[str] = []
        self._path, self._old, self._new = path, old.encode(), new.encode()
        self._whole = re.compile(rb"(?<!" + _NAME + rb")" + re.escape(self._old) + rb"(?!" + _NAME + rb")")

    def bring(self) -> int:
        """How many files and links were changed."""
        records = self._records()
        count = 0
        for path, status in _entries(self._path):
            inside = os.path.relpath(path, self._path)
            try:
                if stat.S_ISLNK(status.st_mode):
                    count += self._link(path)
                elif stat.S_ISREG(status.st_mode) and (inside in records or _suspect(inside)):
                    count += self._file(path, status, records.get(inside, 0))
            except (OSError, ValueError) as error:
                print(f"{inside}: {error}", file=sys.stderr, flush=True)
                self.left.append(inside)
        return count

    def _records(self) -> dict[str, int]:
        """Files of conda packages that hold the prefix, and the room that binaries have for it."""
        found: dict[str, int] = {}
        folder = os.path.join(self._path, "conda-meta")
        for name in os.listdir(folder) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            if name.endswith(".json") and stat.S_ISREG(os.lstat(path).st_mode):
                with open(path, "rb") as file:
                    found |= held(file.read(_LARGEST_BINARY))
        return found

    def _link(self, path: str) -> int:
        to = os.fsencode(os.readlink(path))
        new = self._whole.sub(lambda _: self._new, to)
        if new == to:
            return 0
        beside = f"{path}.{secrets.token_hex(4)}"
        os.symlink(os.fsdecode(new), beside)
        os.rename(beside, path)
        return 1

    def _file(self, path: str, status: os.stat_result, room: int) -> int:
        if status.st_size > (_LARGEST_BINARY if room else _LARGEST_TEXT):
            return 0
        with open(path, "rb") as file:
            data = file.read()
        if self._old not in data or (not room and b"\0" in data):
            return 0
        new = self._in_binary(data, room) if room else self._whole.sub(lambda _: self._new, data)
        if new == data:
            return 0
        beside = f"{path}.{secrets.token_hex(4)}"
        try:
            with open(beside, "xb") as file:
                file.write(new)
            if status.st_mode & 0o111:
                os.chmod(beside, 0o775)  # noqa: S103  the team's: others have nothing by the ACL above
            os.utime(beside, ns=(status.st_atime_ns, status.st_mtime_ns))  # .pyc files name the time of their source
            os.rename(beside, path)
        finally:
            if os.path.lexists(beside):
                os.unlink(beside)
        return 1

    def _in_binary(self, data: bytes, room: int) -> bytes:
        """The whole prefix of the environment, for which the room was measured."""
        inside = os.fsencode(self._path)[len(self._new) :]
        return patched(data, self._old + inside, self._new + inside, room)


def _suspect(inside: str) -> bool:
    top = inside.split(os.sep)[0]
    return top in _FOLDERS or inside.endswith(_ENDINGS) or os.path.basename(inside).startswith("__editable__")


def _entries(top: str) -> Iterator[tuple[str, os.stat_result]]:
    """All but directories; links are not followed."""
    for folder, folders, files in os.walk(top):
        for name in [*files, *(name for name in folders if os.path.islink(os.path.join(folder, name)))]:
            path = os.path.join(folder, name)
            try:
                yield path, os.lstat(path)
            except FileNotFoundError:
                continue
