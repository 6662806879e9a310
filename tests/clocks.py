"""Clocks that can be set: a program's time of day is moved, as when its machine's clock is set, by a library before libc's.

Only the time of day: monotonic clocks are nobody's to set, and go on. Compiled here; where there is no compiler, tests
that need it say that they were skipped.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile const long *ahead;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("AEN_TEST_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *at = mmap(0, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED) ahead = at;
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (!result && ahead && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *ahead;
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""


def why_not() -> str:
    """Why clocks can't be set here; empty: they can."""
    return "" if shutil.which("cc") else "needs a C compiler"


class Clock:
    """The clock of one machine. Programs that are started with `environ` see it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"clock-{name}"
        self._file.write_bytes(struct.pack("@l", 0))
        self._file.chmod(0o644)
        self.environ = {"LD_PRELOAD": str(_library(folder)), "AEN_TEST_CLOCK": str(self._file)}

    def set(self, ahead: float) -> None:
        """Let it be so many seconds ahead of what it really is."""
        with self._file.open("r+b") as file:  # in place: those who look have it mapped
            file.write(struct.pack("@l", round(ahead)))


def _library(folder: Path) -> Path:
    made = folder / "clock.so"
    if not made.exists():
        source = folder / "clock.c"
        source.write_text(_SOURCE)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(made), str(source)], check=True)
        made.chmod(0o755)
    return made
