"""systemd: each app in a transient scope of its own below `aen-apps.slice`, with its limits. Asked over its own socket."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aen.errors import Invalid
from aen.launchers import dbus
from aen.launchers.cgroups import CONTROLLERS, Cgroup, Kept, Placed, v1_places
from aen.launchers.loop import Loop
from aen.launchers.toll import Toll

BOOTED = "/run/systemd/system"  # there when systemd is the machine's first process
_SOCKET = "/run/systemd/private"  # root's own way to it: works without a message bus
_SLICE = "aen-apps.slice"
_SLICE_PLACE = "aen.slice/aen-apps.slice"
_PLACES = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
_CONNECT_SECONDS = 1.0
_PLACE_SECONDS = 5.0
_LOOK_SECONDS = 0.005  # between two looks at whether the process was moved
_STOP_MICROSECONDS = 15_000_000  # when the machine goes down
_PROPERTIES = {
    "memory_bytes": ("MemoryMax", 1),
    "processes": ("TasksMax", 1),
    "cpu_millis": ("CPUQuotaPerSecUSec", 1000),
}


@dataclass
class Waiting:
    """A process that is to be moved into its scope."""

    pid: int
    unit: str
    limits: Mapping[str, int]
    placed: Placed
    deadline: float


class Scopes(Kept):
    """See Kept. What systemd does not do within 5 s is done without: the app starts, its limits are rlimits alone."""

    how = "systemd"

    def __init__(self, label: str, loop: Loop, sock: str = _SOCKET) -> None:
        self._label, self._loop, self._path = label, loop, sock
        self._top = _unified()
        self._sock: socket.socket | None = None
        self._answers = dbus.Answers()
        self._serial = 0
        self._waiting: dict[int, Waiting] = {}
        self._extra: list[tuple[str, dbus.Value]] = [("OOMPolicy", dbus.Value("s", "continue"))]  # from 253 on
        self._toll = Toll(self._top / _SLICE_PLACE)
        self.holds = held_by_systemd()

    @staticmethod
    def usable() -> bool:
        """Whether this machine's groups are systemd's to give, and we may ask it."""
        return os.geteuid() == 0 and os.path.isdir(BOOTED) and os.path.exists(_SOCKET)

    def place(self, name: str, pid: int, limits: Mapping[str, int], placed: Placed) -> None:
        """See Kept."""
        unit = f"aen-{self._label}-{name}.scope"
        self._ask(Waiting(pid, unit, limits, placed, time.monotonic() + _PLACE_SECONDS))

    def known(self, path: str) -> Cgroup | None:
        """See Kept."""
        name = os.path.basename(path)
        ours = name.startswith(f"aen-{self._label}-") and name.endswith(".scope")
        return Scope(Path(path), self._top, self._toll) if ours and os.path.isdir(path) else None

    def sweep(self, in_use: Iterable[Path]) -> None:
        """See Kept. systemd tidies up by itself."""

    def close(self) -> None:
        """See Kept. What runs goes on in its scope."""
        if self._sock is not None:
            self._sock.close()

    # ── the bus ─────────────────────────────────────────────────────────────────────────────────────

    def _ask(self, waiting: Waiting) -> None:
        self._serial += 1
        message = dbus.call(
            self._serial,
            to="org.freedesktop.systemd1",
            path="/org/freedesktop/systemd1",
            interface="org.freedesktop.systemd1.Manager",
            member="StartTransientUnit",
            signature="ssa(sv)a(sa(sv))",
            values=[waiting.unit, "fail", self._properties(waiting), []],
        )
        self._waiting[self._serial] = waiting
        try:
            self._connected().sendall(message)
        except (OSError, Invalid) as error:
            self._lost(str(error))
            return
        serial = self._serial
        self._loop.later(_PLACE_SECONDS, lambda: self._failed(serial, "no answer in time"))

    def _properties(self, waiting: Waiting) -> list[tuple[str, dbus.Value]]:
        limits = [
            (name, dbus.Value("t", waiting.limits[limit] * factor))
            for limit, (name, factor) in _PROPERTIES.items()
            if limit in waiting.limits
        ]
        if (
            "memory_bytes" in waiting.limits
        ):  # else what is too much goes to the machine's swap, and slows down everybody
            limits.append(("MemorySwapMax", dbus.Value("t", 0)))
        return [
            ("Description", dbus.Value("s", "An app of AEN")),
            ("Slice", dbus.Value("s", _SLICE)),
            ("PIDs", dbus.Value("au", [waiting.pid])),
            ("CollectMode", dbus.Value("s", "inactive-or-failed")),
            ("TimeoutStopUSec", dbus.Value("t", _STOP_MICROSECONDS)),
            *self._extra,
            *limits,
        ]

    def _connected(self) -> socket.socket:
        if self._sock is None:
            self._sock = dbus.connect(self._path, _CONNECT_SECONDS)
            self._answers = dbus.Answers()
            self._loop.watch(self._sock.fileno(), self._readable)
        return self._sock

    def _readable(self) -> None:
        assert self._sock is not None
        try:
            data = self._sock.recv(1 << 16)
            answers = list(self._answers.feed(data))
        except (OSError, Invalid) as error:
            self._lost(str(error))
            return
        for answer in answers:
            self._answered(answer)
        if not data:
            self._lost(
                "systemd closed the connection"
            )  # it does when it is started anew; the next start connects again

    def _answered(self, answer: dbus.Answer) -> None:
        if not answer.error:
            self._look(answer.serial)
            return
        if self._extra and "OOMPolicy" in answer.error:
            self._extra = []
            self._ask(self._waiting.pop(answer.serial))
            return
        self._failed(answer.serial, answer.error)

    def _look(self, serial: int) -> None:
        """The job was taken on; the process is moved a moment later."""
        waiting = self._waiting.get(serial)
        if waiting is None:
            return
        path = _group_of(waiting.pid)
        if path.endswith(f"/{waiting.unit}"):
            del self._waiting[serial]
            waiting.placed(Scope(self._top / path.lstrip("/"), self._top, self._toll))
        elif time.monotonic() > waiting.deadline:
            self._failed(serial, "the process was not moved in time")
        else:
            self._loop.later(_LOOK_SECONDS, lambda: self._look(serial))

    def _failed(self, serial: int, why: str) -> None:
        waiting = self._waiting.pop(serial, None)
        if waiting is None:
            return
        print(f"systemd made no scope for {waiting.unit}: {why[:300]}", file=sys.stderr)
        waiting.placed(None)

    def _lost(self, why: str) -> None:
        if self._sock is not None:
            self._loop.unwatch(self._sock.fileno())
            self._sock.close()
            self._sock = None
        for serial in list(self._waiting):
            self._failed(serial, why)


class Scope(Cgroup):
    """A control group that systemd made and takes away itself once nobody is in it."""

    def __init__(self, path: Path, top: Path, toll: Toll) -> None:
        below = path.relative_to(top)
        super().__init__(path, {name: place / below for name, place in v1_places().items()})
        self._toll = toll

    def out_of_memory(self) -> int:
        """See Cgroup. Often systemd has taken it away before we hear that its last process ended."""
        return super().out_of_memory() if "memory" in self._first else self._toll.of(self.path)

    def remove(self) -> bool:
        """Nothing to do: systemd does."""
        self._toll.settled(self.path)
        return True


def _group_of(pid: int) -> str:
    """The path of a process's group in the unified hierarchy; empty when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line[3:] for line in lines if line.startswith("0::")), "")


def _unified() -> Path:
    """Where version 2 of control groups is mounted: beside version 1, or alone."""
    return next((Path(place) for place in _PLACES if os.path.exists(f"{place}/cgroup.procs")), Path(_PLACES[-1]))


def held_by_systemd() -> frozenset[str]:
    """Which limits systemd can keep: those whose controllers the kernel gives it, in either version."""
    have = set(v1_places())
    with suppress(OSError):
        have.update((_unified() / "cgroup.controllers").read_text().split())
    return frozenset(limit for limit, controller in CONTROLLERS.items() if controller in have)
