"""Old root environments: what an update left behind is removed when it has not been the newest for a week and nothing runs in it.

A project's environments lose nothing by it: a clone holds its files by links or copies of its own. What must stay is the
environment of the apps that a session still runs in; its processes have the path in their arguments.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

from aen.environments.building import remove

log = structlog.get_logger(__name__)

KEPT_DAYS = 7
_DU_SECONDS = 300  # for `du` over all of them on a slow disk
_TIMED_OUT = 124  # says `timeout`
_VERSION = re.compile(r"(?:conda-)?(?:root|apps)-[0-9a-f]{12}")


def note_use(environment: Path) -> None:
    """It is the newest today: its age counts from here. Fine when it can't be noted: it is then younger than it seems."""
    try:
        os.utime(environment)
    except OSError as error:
        log.warning("a root environment can't be marked as used", path=str(environment), reason=str(error))


def versions(top: Path) -> list[Path]:
    """All root environments of a node."""
    try:
        return sorted(path for path in top.iterdir() if _VERSION.fullmatch(path.name) and path.is_dir())
    except OSError:
        return []


def remove_old(top: Path, newest: Iterable[Path], now: float | None = None) -> list[Path]:
    """Remove them, and say which. Nothing is removed where we can't see what runs."""
    last = (time.time() if now is None else now) - KEPT_DAYS * 86400
    keep = {path.name for path in newest}
    old = [path for path in versions(top) if path.name not in keep and path.stat().st_mtime < last]
    if not old:
        return []
    running = list(_arguments())
    gone = []
    for path in old:
        if not running or any(f"{path}/".encode() in arguments for arguments in running):
            continue
        hidden = path.with_name(f".building-{path.name}-old")  # swept with what a build left, should we be cut off
        path.rename(hidden)
        remove(hidden)
        gone.append(path)
        log.info("removed an old root environment", path=str(path))
    return gone


def sizes(top: Path) -> list[tuple[Path, int]]:
    """Bytes on the disk of each; a file that several share counts with the first. Empty where that can't be measured."""
    found = versions(top)
    if not found:
        return []
    # A process of its own, and a polite one: 100,000 files looked at in a thread of ours hold up whoever loads a page.
    # It ends by itself, should we be gone before it.
    measure = ["nice", "-n", "19", "timeout", "--foreground", str(_DU_SECONDS)]
    measure += ["du", "--summarize", "--block-size=1", "--null", "--", *map(str, found)]
    try:
        done = subprocess.run(measure, capture_output=True, check=False)
    except OSError as error:
        log.warning("root environments can't be measured", path=str(top), reason=str(error))
        return []
    if done.returncode == _TIMED_OUT:
        log.warning("root environments can't be measured", path=str(top), reason=f"not done in {_DU_SECONDS} s")
        return []
    parts = (one.partition(b"\t") for one in done.stdout.split(b"\0") if one)
    return [(Path(os.fsdecode(path)), int(size)) for size, _, path in parts]


def _arguments() -> Iterator[bytes]:
    """Of every process; nothing at all where /proc hides those of others."""
    if not os.path.exists("/proc/1/cmdline"):
        return
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                yield Path("/proc", name, "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
