"""Halves: one job cut into parts and done by two processes; threads would only hand the interpreter to each other.

Both take one part after the other from a pipe, so that neither waits for a part that turns out to be large.
Standard library only: the launcher's privileged side works with it. Only for a process without threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn, TypeVar

MOST = 1000  # pieces of work that are handed out: what they are told by must fit into a pipe at once
_PART = struct.Struct("=Q")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")

Numbers = Iterator[int]


def in_two(count: int, mine: Callable[[Numbers], T], theirs: Callable[[Numbers], bytes]) -> tuple[T, bytes]:
    """Do `count` parts: `mine` here, `theirs` in a second process, which answers with bytes. Each is given its parts' numbers.

    What `mine` raises ends the other. The answer must not be empty. RuntimeError: the second process did not get to its end.
    """
    size = 1 + count // MOST
    queue, fill = os.pipe2(os.O_CLOEXEC)
    os.write(fill, b"".join(_PART.pack(first) for first in range(0, count, size)))
    os.close(fill)
    answer, write = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _other(lambda: theirs(_numbers(queue, count, size)), write, parent)
    os.close(write)
    try:
        done = mine(_numbers(queue, count, size))
        said = _all_of(answer)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(queue)
        os.close(answer)
        os.waitpid(pid, 0)
    if not said:
        raise RuntimeError("the second process of a job was ended from outside")
    return done, said


def _other(theirs: Callable[[], bytes], answer: int, parent: int) -> NoReturn:
    """In the second process, which ends with the first."""
    try:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        said = theirs()
        with os.fdopen(answer, "wb") as file:
            file.write(said)
    except Exception:
        traceback.print_exc()  # the first process sees that there is no answer
    finally:
        os._exit(0)


def _numbers(queue: int, count: int, size: int) -> Numbers:
    """Until none is left. The kernel gives each piece to one reader."""
    while packed := os.read(queue, _PART.size):
        first = int(_PART.unpack(packed)[0])
        yield from range(first, min(first + size, count))


def _all_of(fd: int) -> bytes:
    data = b""
    while part := os.read(fd, 1 << 16):
        data += part
    return data
