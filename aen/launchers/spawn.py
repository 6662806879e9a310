"""Spawn: from the launcher to an app that runs as its user, with nothing of ours left in it."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from aen.errors import Conflict
from aen.launchers import Account

_PR_SET_NO_NEW_PRIVS = 38
_LIBC = ctypes.CDLL(None, use_errno=True)  # loaded here: after the fork nothing is to be looked up


@dataclass(frozen=True)
class Start:
    """All that the new process needs. `account` None: stay who we are."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    cwd: str
    log_fd: int
    account: Account | None
    limits: Mapping[str, int]
    groups: Sequence[int] = ()  # besides the account's own


@dataclass(frozen=True)
class Spawned:
    """A process that waits for its `go`. `error_fd` ends empty when the program runs, else it says why not."""

    pid: int
    go_fd: int
    error_fd: int

    def go(self) -> None:
        """Let it start; to be called once it is written down."""
        with suppress(BrokenPipeError):
            os.write(self.go_fd, b"g")
        os.close(self.go_fd)

    def forget(self) -> None:
        """It may not start: it ends by itself."""
        os.close(self.go_fd)
        os.close(self.error_fd)


def spawn(start: Start) -> Spawned:
    """Fork a process that waits for `go` and then becomes the app. We have one thread, so a fork is safe."""
    go_read, go_write = os.pipe2(os.O_CLOEXEC)
    error_read, error_write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _child(start, go_read, go_write, error_write)
    os.close(go_read)
    os.close(error_write)
    return Spawned(pid, go_write, error_read)


def reason(data: bytes) -> Conflict:
    """What a process wrote to `error_fd`, for people."""
    try:
        step, what, text = json.loads(data)
    except ValueError:
        return Conflict("The app could not be started.")
    sentences = {
        "chdir": f"The app's user can't enter {what}: {text}.",
        "exec": f"{what} can't be executed by the app's user: {text}.",
    }
    return Conflict(sentences.get(step, f"The app could not be started ({step}): {text}."))


def open_log(path: str, owner: tuple[int, int] | None) -> int:
    """A fresh log file, the one before kept as `.1`. Readable by its user and, through the group, the service account."""
    with suppress(OSError):
        if stat.S_ISREG(os.lstat(path).st_mode):
            os.replace(path, f"{path}.1")
    with suppress(FileNotFoundError):
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    os.fchmod(fd, 0o640)
    if owner is not None:
        os.fchown(fd, *owner)
    return fd


def _child(start: Start, go_read: int, go_write: int, error_fd: int) -> NoReturn:
    step, what = "fork", ""
    try:
        os.close(go_write)
        if not os.read(go_read, 1):
            os._exit(126)
        step = "session"
        os.setsid()
        _reset_signals()
        step = "limits"
        limit_process(0, start.limits)  # before the uid changes: afterwards it is not allowed
        step = "output"
        error_fd = _arrange_descriptors(start.log_fd, error_fd)
        step = "account"
        if start.account is not None:
            become(start.account, start.groups)
        if _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs")
        os.umask(0o027)
        step, what = "chdir", start.cwd
        os.chdir(start.cwd)  # as the user: what they may not enter, their app doesn't
        step, what = "exec", start.argv[0]
        os.execve(start.argv[0], list(start.argv), dict(start.environ))  # noqa: S606 - exactly what is wanted
    except BaseException as error:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        with suppress(OSError):
            os.write(error_fd, json.dumps([step, what[:500], text[:500]]).encode())
    finally:
        os._exit(127)


def become(account: Account, groups: Sequence[int] = ()) -> None:
    """Become that user for good: groups, gid, uid. Raises PermissionError when root would be left."""
    os.initgroups(account.user, account.gid)
    if groups:
        os.setgroups([*os.getgroups(), *groups])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    if 0 in (*os.getresuid(), *os.getresgid()):
        raise PermissionError("privileges could not be dropped")


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with suppress(OSError):  # those that the C library keeps for itself
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())


def limit_process(pid: int, limits: Mapping[str, int]) -> None:
    """Rlimits of a process that still is ours (0: this one): afterwards it is not allowed. Raises OSError."""
    kinds = {
        # What a process writes to and nobody else has. Not RLIMIT_AS: address space that is only reserved (arenas,
        # JITs, mapped files, threads of numpy) is many times what is used, and apps would die of nothing.
        "memory_bytes": resource.RLIMIT_DATA,
        "processes": resource.RLIMIT_NPROC,
        "files": resource.RLIMIT_NOFILE,
    }
    for name, most in limits.items():
        if name not in kinds:  # processors: there is no such rlimit
            continue
        _, hard = resource.prlimit(pid, kinds[name])
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.prlimit(pid, kinds[name], (bound, bound))
    resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _arrange_descriptors(log_fd: int, error_fd: int) -> int:
    """0 from nowhere, 1 and 2 to the log, 3 the way for errors (closed by exec), nothing else."""
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log_fd, 1)
    os.dup2(log_fd, 2)
    if error_fd != 3:
        os.dup2(error_fd, 3, inheritable=False)
    os.closerange(4, 1 << 20)
    return 3
