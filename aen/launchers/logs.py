"""Logs of apps: bounded while the app writes on. An app outlives us, so its output is a file and no pipe of ours."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress

KEPT_DAYS = 30  # of a session that ended; the next start of the same one writes on
_LOG = re.compile(r"[a-z2-7]{16}\.log")
_MOST_KEPT = 8 << 20  # bytes: they pass through the launcher's memory
_CUT = "[AEN: this log had grown to {size:,} bytes, and what came before was cut off (compute.app_log)]\n"


def bound(path: str, most: int) -> bool:
    """Cut a log that is larger than `most` bytes down to its end, at most half of that; whether that was needed.

    The app has the file open for appending, so it goes on at the new end. What it writes in the moment between our
    reading and our writing may come before the kept lines, or be lost.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False  # none, or nothing that an app's log can be
    try:
        return _cut(fd, most)
    except OSError:
        return False  # the disk is full, say: there is another time
    finally:
        os.close(fd)


def remove_old(folder: str, living: set[str], now: float) -> None:
    """Remove logs that nothing was written to for `KEPT_DAYS` days, but of living sessions."""
    with os.scandir(folder) as found:
        old = [entry.path for entry in found if _is_old(entry, living, now - KEPT_DAYS * 86400)]
    for path in old:
        with suppress(OSError):
            os.unlink(path)


def _is_old(entry: os.DirEntry[str], living: set[str], last: float) -> bool:
    if not _LOG.fullmatch(entry.name) or entry.name.removesuffix(".log") in living:
        return False
    with suppress(OSError):  # it has just gone
        return entry.stat(follow_symlinks=False).st_mtime < last
    return False


def _cut(fd: int, most: int) -> bool:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size <= most:
        return False
    kept = min(most // 2, _MOST_KEPT)
    tail = os.pread(fd, kept, status.st_size - kept)
    tail = tail[tail.find(b"\n") + 1 :]  # from the beginning of a line, if there is one
    os.ftruncate(fd, 0)
    os.write(fd, _CUT.format(size=status.st_size).encode() + tail)
    return True
