"""Usage: what each app takes, added up over its processes as /proc tells."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from aen.launchers import Process, Usage, proc
from aen.launchers.cgroups import Cgroup

_TICKS = os.sysconf("SC_CLK_TCK")
_OWN = ("RssAnon:", "RssShmem:")  # pages of files are shared with everybody who maps them
_NOTHING = Usage(0.0, 0.0, 0, 0)


@dataclass(frozen=True)
class Leader:
    """A living app, and how its processes are known."""

    process: Process
    marker: str
    cgroup: Cgroup | None


def of_apps(leaders: Sequence[Leader]) -> dict[str, dict[str, Any]]:
    """Usage of each app, by session, as it goes over the wire."""
    found = {leader.process.session: _NOTHING for leader in leaders}
    for leader in leaders:
        if leader.cgroup is not None:
            for pid in leader.cgroup.pids():
                _add(found, leader, pid)
            used = found[leader.process.session]
            found[leader.process.session] = replace(used, out_of_memory=leader.cgroup.out_of_memory())
    grouped = {leader.process.session for leader in leaders if leader.cgroup is not None}
    _scan([leader for leader in leaders if leader.process.session not in grouped], found)
    return {session: asdict(used) for session, used in found.items()}


def _scan(leaders: Sequence[Leader], found: dict[str, Usage]) -> None:
    """Apps without a group: one look at every process of their users."""
    uids = {leader.process.uid for leader in leaders}
    by_marker = {leader.marker: leader for leader in leaders}
    by_session = {leader.process.pid: leader for leader in leaders}
    for pid in proc.pids() if leaders else ():
        seen = proc.look(pid)
        if seen is None or seen.dead or proc.uid_of(pid) not in uids:
            continue
        leader = by_session.get(seen.session) or by_marker.get(proc.marker_of(pid) or "")
        if leader is not None:
            _add(found, leader, pid)


def _add(found: dict[str, Usage], leader: Leader, pid: int) -> None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return  # it has just ended
    fields = text[text.rindex(")") + 2 :].split()
    own = (int(fields[11]) + int(fields[12])) / _TICKS  # user and system time
    reaped = (int(fields[13]) + int(fields[14])) / _TICKS  # of children that have ended
    so_far = found[leader.process.session]
    found[leader.process.session] = replace(
        so_far,
        cpu_seconds=so_far.cpu_seconds + own + reaped,
        own_cpu_seconds=own if pid == leader.process.pid else so_far.own_cpu_seconds,
        memory_bytes=so_far.memory_bytes + _memory(status),
        processes=so_far.processes + 1,
    )


def _memory(status: str) -> int:
    lines = (line.split() for line in status.splitlines() if line.startswith(_OWN))
    return sum(int(words[1]) * 1024 for words in lines)
