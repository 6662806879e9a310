"""Control groups (v2) for apps, used directly where the system lets us: found out by doing. Elsewhere: none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_PLACES = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
_SYSTEMD = "/run/systemd/system"  # there, groups are systemd's to give
_CONTROLLERS = ("cpu", "memory", "pids")
_CPU_PERIOD = 100_000  # µs
#: Limit → the file that sets it, and what is written there.
_FILES = {
    "memory_bytes": ("memory.max", "{}"),
    "processes": ("pids.max", "{}"),
    "cpu_millis": ("cpu.max", f"{{}}00 {_CPU_PERIOD}"),  # thousandths of a processor are hundreds of µs of the period
}


class Cgroup:
    """The control group of one app. Only root can make more below it, so nothing gets out of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, pid: int) -> None:
        """Put a process in. Raises OSError."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def limit(self, limits: Mapping[str, int]) -> set[str]:
        """Set what the controllers here can; the names of the limits that now hold."""
        held = set()
        for name in _FILES.keys() & limits.keys():
            file, words = _FILES[name]
            with suppress(OSError):
                (self.path / file).write_text(words.format(limits[name]))
                held.add(name)
        return held

    def pids(self) -> list[int]:
        """Who is in it."""
        try:
            return [int(line) for line in (self.path / "cgroup.procs").read_text().split()]
        except OSError:
            return []

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
            self.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


class Cgroups:
    """Where apps' groups are made; `available` is False where they can't be."""

    def __init__(self, label: str) -> None:
        self._top = _make_top(label)

    @property
    def available(self) -> bool:
        return self._top is not None

    def make(self, name: str) -> Cgroup | None:
        """A fresh group, or None where there are none."""
        if self._top is None:
            return None
        path = self._top / name
        try:
            path.mkdir(exist_ok=True)
        except OSError:
            return None
        return Cgroup(path)

    def known(self, path: str) -> Cgroup | None:
        """The group that an earlier launcher made, if it is one of ours and still there."""
        if self._top is None or not path or Path(path).parent != self._top or not os.path.isdir(path):
            return None
        return Cgroup(Path(path))

    def close(self) -> None:
        """Remove the top group when nothing is in it any more."""
        if self._top is not None:
            with suppress(OSError):
                self._top.rmdir()


def kept_here() -> set[str]:
    """Which limits control groups keep on this machine: tried with a group of its own, which is removed again."""
    groups = Cgroups(f"probe{os.getpid()}")
    group = groups.make("probe")
    try:
        most = {"memory_bytes": 1 << 30, "processes": 100, "cpu_millis": 1000}
        return group.limit(most) if group is not None else set()
    finally:
        if group is not None:
            group.remove()
        groups.close()


def _make_top(label: str) -> Path | None:
    if os.geteuid() != 0 or os.path.isdir(_SYSTEMD):
        return None
    for place in _PLACES:
        if not os.path.exists(f"{place}/cgroup.procs"):
            continue
        top = Path(place, f"aen-{label}")
        try:
            top.mkdir(exist_ok=True)
        except OSError:
            continue
        for controller in _CONTROLLERS:
            with suppress(OSError):
                (Path(place) / "cgroup.subtree_control").write_text(f"+{controller}")
                (top / "cgroup.subtree_control").write_text(f"+{controller}")
        return top
    return None
