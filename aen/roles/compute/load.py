"""Load: how busy this machine is, from /proc and the file system of the projects."""

from __future__ import annotations

import os
from pathlib import Path

from aen.model.node import Load


def read_load(project_root: Path) -> Load:
    """Processors, load, memory and disk now. What can't be read is 0."""
    memory = _memory()
    total, free = _disk(project_root)
    return Load(
        cpus=len(os.sched_getaffinity(0)),
        load1=round(os.getloadavg()[0], 2),
        memory_total=memory.get("MemTotal", 0),
        memory_free=memory.get("MemAvailable", 0),
        disk_total=total,
        disk_free=free,
    )


def _memory() -> dict[str, int]:
    found: dict[str, int] = {}
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return found
    for line in lines:
        name, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            found[name] = int(rest[:-3]) * 1024
    return found


def _disk(path: Path) -> tuple[int, int]:
    try:
        seen = os.statvfs(path)
    except OSError:
        return 0, 0
    return seen.f_blocks * seen.f_frsize, seen.f_bavail * seen.f_frsize
