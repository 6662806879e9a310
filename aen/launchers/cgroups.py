"""Control groups for apps: what keeps a session's limits for all its processes. Found out by doing; elsewhere: none."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PLACES = (_ROOT / "unified", _ROOT)  # of version 2: beside version 1, or alone
_CPU_PERIOD = 100_000  # µs
_YOUNG_SECONDS = 60  # somebody may be about to use a group as young as that
#: Limit → the controller that keeps it.
CONTROLLERS = {"memory_bytes": "memory", "processes": "pids", "cpu_millis": "cpu"}
#: Limit → the files that set it, and what is written there, in either version. Thousandths of a processor are hundreds of
#: µs of the period.
_FILES = {
    "memory_bytes": (("memory.max", "{}"),),
    "processes": (("pids.max", "{}"),),
    "cpu_millis": (("cpu.max", f"{{}}00 {_CPU_PERIOD}"),),
}
_FILES_V1 = {
    "memory_bytes": (("memory.limit_in_bytes", "{}"),),
    "processes": (("pids.max", "{}"),),
    "cpu_millis": (("cpu.cfs_period_us", f"{_CPU_PERIOD}"), ("cpu.cfs_quota_us", "{}00")),
}


class Cgroup:
    """The control group of one app. Only root can make more below it, so nothing gets out of it.

    `path` is of version 2. Where a controller still is of version 1, its own hierarchy has a group of the same name.
    """

    def __init__(self, path: Path, first: Mapping[str, Path] | None = None) -> None:
        self.path = path
        self._first = dict(first or {})  # controller → directory, of version 1

    def add(self, pid: int) -> None:
        """Put a process in. Raises OSError."""
        for path in (self.path, *self._first.values()):
            (path / "cgroup.procs").write_text(str(pid))

    def limit(self, limits: Mapping[str, int]) -> set[str]:
        """Set what the controllers here can; the names of the limits that now hold."""
        held = set()
        for name in CONTROLLERS.keys() & limits.keys():
            first = self._first.get(CONTROLLERS[name])
            with suppress(OSError):
                for file, words in _FILES[name] if first is None else _FILES_V1[name]:
                    ((first or self.path) / file).write_text(words.format(limits[name]))
                held.add(name)
        if "memory_bytes" in held:
            self._no_swap(limits["memory_bytes"])
        return held

    def _no_swap(self, memory: int) -> None:
        """What is over the limit may not go to the machine's swap instead, and slow down everybody. Kernels may lack this."""
        first = self._first.get("memory")
        with suppress(OSError):
            if first is None:
                (self.path / "memory.swap.max").write_text("0")
            else:
                (first / "memory.memsw.limit_in_bytes").write_text(str(memory))

    def pids(self) -> list[int]:
        """Who is in it."""
        try:
            return [int(line) for line in (self.path / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def out_of_memory(self) -> int:
        """How many of its processes the kernel ended because it had reached its memory limit."""
        first = self._first.get("memory")
        file = first / "memory.oom_control" if first is not None else self.path / "memory.events"
        try:
            lines = (line.split() for line in file.read_text().splitlines())
            return next((int(words[1]) for words in lines if words[0] == "oom_kill"), 0)
        except (OSError, ValueError, IndexError):
            return 0

    def kill(self) -> bool:
        """End everything in it at once; False: the kernel can't."""
        try:
            (self.path / "cgroup.kill").write_text("1")
        except OSError:
            return False
        return True

    def remove(self) -> bool:
        """Remove it. False: somebody is still in it."""
        try:
            for path in (*self._first.values(), self.path):
                with suppress(FileNotFoundError):
                    path.rmdir()
        except OSError:
            return False
        return True


#: Told once the process is in its group; None: there is none for it.
Placed = Callable[[Cgroup | None], None]


class Kept(ABC):
    """Whoever keeps the limits of sessions on this machine."""

    how: str  # systemd | cgroups | rlimits
    holds: frozenset[str]  # limits that are kept for a whole session

    @abstractmethod
    def place(self, name: str, pid: int, limits: Mapping[str, int], placed: Placed) -> None:
        """Put a process that waits into a fresh group with these limits; then, or later, call `placed`."""

    @abstractmethod
    def known(self, path: str) -> Cgroup | None:
        """The group that an earlier launcher made, if it is one of ours and still there."""

    @abstractmethod
    def sweep(self, in_use: Iterable[Path]) -> None:
        """Remove what earlier launchers left behind empty."""

    @abstractmethod
    def close(self) -> None:
        """The launcher ends: leave nothing that is empty."""


class Cgroups(Kept):
    """Groups made by ourselves, where no systemd gives them; `how` is rlimits where they can't be made."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._top = self._make_top()
        self._first = {} if self._top is None else self._make_first(self._top)
        self.holds = frozenset(self._try() if self._top is not None else ())
        self.how = "rlimits" if self._top is None else "cgroups"

    @property
    def available(self) -> bool:
        """Whether groups can be made."""
        return self._top is not None

    def place(self, name: str, pid: int, limits: Mapping[str, int], placed: Placed) -> None:
        """See Kept."""
        group = self.make(name)
        if group is not None:
            group.limit(limits)
            try:
                group.add(pid)
            except OSError:
                group.remove()
                group = None
        placed(group)

    def make(self, name: str) -> Cgroup | None:
        """A fresh group, or None where there are none."""
        if self._top is None:
            return None
        first = {controller: place / name for controller, place in self._first.items()}
        try:
            for path in (self._top / name, *first.values()):
                path.mkdir(parents=True, exist_ok=True)  # the top too: another AEN may have tidied it away
        except OSError:
            return None
        return Cgroup(self._top / name, first)

    def known(self, path: str) -> Cgroup | None:
        """See Kept."""
        if self._top is None or not path or Path(path).parent != self._top or not os.path.isdir(path):
            return None
        name = Path(path).name
        first = {controller: place / name for controller, place in self._first.items()}
        return Cgroup(Path(path), {controller: place for controller, place in first.items() if place.is_dir()})

    def sweep(self, in_use: Iterable[Path]) -> None:
        """See Kept. Also what launchers with other directories left: of what is in use the kernel lets nothing go."""
        used = {path.name for path in in_use}
        for top in self._tops():
            for found in sorted(top.parent.glob("aen-????????")):
                for group in [one for one in found.iterdir() if one.is_dir() and one.name not in used]:
                    _remove_old(group)
                if found != top:
                    _remove_old(found)

    def close(self) -> None:
        """See Kept."""
        for top in self._tops():
            with suppress(OSError):
                top.rmdir()

    def _tops(self) -> list[Path]:
        return [] if self._top is None else [self._top, *self._first.values()]

    def _make_top(self) -> Path | None:
        if os.geteuid() != 0:
            return None
        for place in _PLACES:
            if not os.path.exists(place / "cgroup.procs"):
                continue
            top = place / f"aen-{self._label}"
            try:
                top.mkdir(exist_ok=True)
            except OSError:
                continue
            for controller in CONTROLLERS.values():
                with suppress(OSError):
                    (place / "cgroup.subtree_control").write_text(f"+{controller}")
                    (top / "cgroup.subtree_control").write_text(f"+{controller}")
            return top
        return None

    def _make_first(self, top: Path) -> dict[str, Path]:
        """Hierarchies of version 1, for controllers that version 2 does not have here."""
        have = (top / "cgroup.controllers").read_text().split()
        made = {}
        for controller, place in v1_places().items():
            if controller in have:
                continue
            with suppress(OSError):
                (place / top.name).mkdir(exist_ok=True)
                made[controller] = place / top.name
        return made

    def _try(self) -> set[str]:
        """Which limits hold here, by a group that is removed again."""
        group = self.make(f"try.{os.getpid()}")
        if group is None:
            return set()
        held = group.limit({"memory_bytes": 1 << 30, "processes": 100, "cpu_millis": 1000})
        group.remove()
        return held


def v1_places() -> dict[str, Path]:
    """Where the hierarchies of version 1 are mounted, by controller."""
    if not os.path.exists(_PLACES[0] / "cgroup.procs"):
        return {}
    places = {controller: _ROOT / controller for controller in CONTROLLERS.values()}
    return {controller: place for controller, place in places.items() if (place / "cgroup.procs").exists()}


def _remove_old(path: Path) -> None:
    with suppress(OSError):
        if time.time() - path.stat().st_ctime > _YOUNG_SECONDS:
            path.rmdir()
