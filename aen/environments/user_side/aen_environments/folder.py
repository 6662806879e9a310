"""The folder `envs` of a project: one change at a time, built beside and renamed, what was cut short is swept."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from aen_environments import Refused

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,61}[A-Za-z0-9]|[A-Za-z0-9]")
_HALF = (".building-", ".gone-")  # names that no environment has: nobody sees what is half made


class Folder:
    """`<project>/envs`. What begins with a dot is ours and no environment."""

    def __init__(self, project: str) -> None:
        self.path = os.path.join(project, "envs")

    def names(self) -> list[str]:
        """The environments, `default` first. Empty when the project was never started."""
        try:
            with os.scandir(self.path) as found:
                names = [one.name for one in found if one.is_dir(follow_symlinks=False) and _NAME.fullmatch(one.name)]
        except FileNotFoundError:
            return []
        complete = (name for name in names if os.path.lexists(os.path.join(self.path, name, "bin", "python")))
        return sorted(complete, key=lambda name: (name != DEFAULT, name.lower()))

    def at(self, name: str) -> str:
        """Where an environment is. Refused when there is none."""
        if name not in self.names():
            raise Refused(f"There is no environment {name!r} in this project.")
        return os.path.join(self.path, name)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else changes environments meanwhile. The kernel gives the lock back when we are killed."""
        if not os.path.isdir(self.path):
            raise Refused("This project has no environments yet: start it once.")
        fd = os.open(os.path.join(self.path, ".lock"), os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(
                    "Environments of this project are being changed right now. Try again afterwards."
                ) from None
            self._sweep()
            yield
        finally:
            os.close(fd)

    def free(self, name: str) -> str:
        """`name`, if an environment may be made by it. Refused otherwise."""
        if not _NAME.fullmatch(name) or ".." in name:
            raise Refused(f"{name!r} can't be an environment name.")
        if os.path.lexists(os.path.join(self.path, name)):
            raise Refused(f"There is an environment {name} already. Choose another name.")
        return name

    @contextmanager
    def building(self, name: str) -> Iterator[str]:
        """A place beside to build in, renamed to `name` at the end; when anything fails, nothing is left of it."""
        final = os.path.join(self.path, self.free(name))
        place = os.path.join(self.path, f".building-{name}-{secrets.token_hex(4)}")
        try:
            yield place
            self.free(name)
            os.rename(place, final)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def remove(self, name: str) -> None:
        """Out of sight at once, then removed."""
        gone = os.path.join(self.path, f".gone-{secrets.token_hex(4)}")
        os.rename(self.at(name), gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _sweep(self) -> None:
        with os.scandir(self.path) as found:
            left = [one.name for one in found if one.name.startswith(_HALF)]
        for name in left:
            with suppress(OSError):  # somebody else's, with rights of its own: it stays out of sight
                shutil.rmtree(os.path.join(self.path, name), ignore_errors=True)
