"""Processes as /proc tells them: recognised beyond doubt, looked for by marker, sent signals without hitting a reused pid."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MARKER = "AEN_APP_ID"  # in the environment of every app and, by inheritance, of what it starts


@dataclass(frozen=True)
class Seen:
    """One process as it is right now."""

    pid: int
    start_time: int  # clock ticks since boot
    session: int
    dead: bool  # a zombie: it only waits to be reaped


def boot_id() -> str:
    """This boot of this machine: start times mean nothing beyond it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def look(pid: int) -> Seen | None:
    """The process with this pid, or None."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold spaces and brackets
    return Seen(pid, int(fields[19]), int(fields[3]), fields[0] in "ZXx")


def uid_of(pid: int) -> int | None:
    """The real uid of a process. Not the owner of its /proc directory, which is root for some."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[1])
    except OSError:
        pass
    return None


def groups_of(pid: int) -> set[int]:
    """The further groups of a process."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
            if line.startswith("Groups:"):
                return {int(number) for number in line.split()[1:]}
    except OSError:
        pass
    return set()


def marker_of(pid: int) -> str | None:
    """The marker in a process's environment, as it was when it was started."""
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return None
    prefix = MARKER.encode() + b"="
    found = (part[len(prefix) :] for part in environ.split(b"\0") if part.startswith(prefix))
    value = next(found, None)
    return value.decode(errors="replace") if value is not None else None


def pids() -> Iterator[int]:
    """Every process there is."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


def of_app(leader: int, marker: str, uid: int, *, leader_lives: bool) -> list[Seen]:
    """Every living process of an app: of its uid, and with its marker or in its session.

    Once the leader is gone its number may be another's: the session counts only while nobody has that number.
    """
    by_session = leader_lives or (known := look(leader)) is None or known.dead
    found = []
    for pid in pids():
        seen = look(pid)
        if seen is None or seen.dead or uid_of(pid) != uid:
            continue
        if (by_session and seen.session == leader) or marker_of(pid) == marker:
            found.append(seen)
    return found


def inside(uid: int, top: str, groups: Set[int] = frozenset()) -> list[Seen]:
    """Every living process of `uid` that stands in the directory `top`, holds something open in it, or has a group of its."""
    mine = (pid for pid in pids() if uid_of(pid) == uid)
    found = (look(pid) for pid in mine if _touches(pid, top) or groups & groups_of(pid))
    return [seen for seen in found if seen is not None and not seen.dead]


def of_uid(uid: int) -> list[Seen]:
    """Every living process of `uid`."""
    found = (look(pid) for pid in pids() if uid_of(pid) == uid)
    return [seen for seen in found if seen is not None and not seen.dead]


def send(seen: Seen, number: signal.Signals) -> None:
    """Send a signal to exactly that process; nothing happens when it has gone."""
    try:
        fd = os.pidfd_open(seen.pid)
    except OSError:
        return
    try:
        now = look(seen.pid)  # after the pidfd: it can't be exchanged any more
        if now is not None and now.start_time == seen.start_time:
            with suppress(OSError):
                signal.pidfd_send_signal(fd, number)
    finally:
        os.close(fd)


def _touches(pid: int, top: str) -> bool:
    links = [f"/proc/{pid}/cwd"]
    with suppress(OSError):
        links += [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    for link in links:
        with suppress(OSError):
            target = os.readlink(link)
            if target == top or target.startswith(top + "/"):
                return True
    return False
