"""Places: the directories a node lives in, made with the right owners, and the lock that keeps a second node out."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from aen.config import Config
from aen.errors import Conflict, Invalid

LOCK = "node.lock"


@dataclass(frozen=True)
class Place:
    """One directory: which option names it, who owns it, how open it is."""

    option: str
    path: Path
    uid: int
    gid: int
    mode: int
    public: bool = False  # every account must be able to reach it


def launcher_dir(config: Config, *, root: bool) -> Path:
    """What the launcher keeps. As root it lies beside `data_dir`: nobody but root may rename what is in it."""
    data = config.data_dir
    return data.with_name(data.name + "-launcher") if root else data / "launcher"


def wanted(config: Config, roles: tuple[str, ...], uid: int, gid: int) -> list[Place]:
    """The directories that `roles` need; `uid` and `gid` are the service account's."""
    root = os.geteuid() == 0
    top = 0 if root else uid
    found = [
        Place("data_dir", config.data_dir, uid, gid, 0o700),
        Place("run_dir", config.run_dir, uid, gid, 0o711, public=root),
    ]
    if "compute" in roles:
        found += [
            Place("envs_dir", config.envs_dir, uid, gid, 0o755, public=root),
            Place("compute.project_root", config.compute.project_root, top, 0 if root else gid, 0o711, public=root),
        ]
    return found


def make(places: list[Place], made: list[Path]) -> None:
    """Make what is missing and check what is there. Raises Invalid with one sentence that names the option.

    `made` is told of each directory that is new, for `unmake`.
    """
    for place in places:
        try:
            _make(place, made)
        except OSError as error:
            raise Invalid(f"{place.option} {place.path} can't be used: {error.strerror}.") from error


def unmake(made: list[Path]) -> None:
    """A start that failed leaves nothing behind: remove the directories that it made, and no others."""
    for path in reversed(made):
        shutil.rmtree(path, ignore_errors=True)


def _make(place: Place, made: list[Path]) -> None:
    path = place.path
    if not path.exists():
        # Parents are made as 0755 whatever the umask, so that other accounts can pass.
        for parent in reversed(path.parents):
            if not parent.exists():
                parent.mkdir(mode=0o755)
                made.append(parent)
                parent.chmod(0o755)
        path.mkdir(mode=place.mode)
        made.append(path)
        os.chown(path, place.uid, place.gid)
        path.chmod(place.mode)
    _check(place)


def _check(place: Place) -> None:
    path = place.path
    if not path.is_dir():
        raise Invalid(f"{place.option} {path} is not a directory.")
    found = path.stat()
    if found.st_uid != place.uid:
        _take_over(place, found.st_uid)
    elif not os.access(path, os.W_OK | os.X_OK):
        raise Invalid(f"{place.option} {path} is not writable.")
    closed = closed_parent(path) if place.public else None
    if closed is not None:
        raise Invalid(
            f"{place.option} {path} lies below {closed}, which other accounts can't enter: choose another "
            f"directory, or `chmod o+x {closed}`."
        )


def _take_over(place: Place, owner: int) -> None:
    """An empty directory that root made for us becomes the service account's; nothing else is ever taken over."""
    if os.geteuid() == 0 and owner == 0 and not any(place.path.iterdir()):
        os.chown(place.path, place.uid, place.gid)
        place.path.chmod(place.mode)
        return
    raise Invalid(
        f"{place.option} {place.path} belongs to uid {owner}, and must belong to uid {place.uid}: "
        f"choose another directory, or change its owner."
    )


def closed_parent(path: Path) -> Path | None:
    """The first directory above `path` that other accounts can't pass through; None when all can be passed."""
    for parent in reversed(path.resolve().parents):
        if parent.exists() and not parent.stat().st_mode & 0o001:
            return parent
    return None


class Lock:
    """Held for as long as a node (or a command that stands in for one) uses a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / LOCK
        self._fd = -1

    def take(self, uid: int, gid: int) -> None:
        """Take it, or raise Conflict naming who has it."""
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchown(self._fd, uid, gid)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise Conflict(_taken(self.path)) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def check(self) -> None:
        """Raise Conflict when somebody holds it now; makes nothing."""
        if self.taken():
            raise Conflict(_taken(self.path))

    def taken(self) -> bool:
        """Whether somebody holds it now, as far as we may look."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False


def _taken(path: Path) -> str:
    pid = ""
    with contextlib.suppress(OSError):
        pid = path.read_text().strip()
    who = f"by another `aen` (pid {pid})" if pid else "by another `aen`"
    return f"data_dir {path.parent} is in use {who}. Stop that one first, or give this one a data_dir of its own."
