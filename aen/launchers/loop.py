"""The launcher's loop: one thread that waits for its socket, its children and its clock, and forks for what takes long."""

from __future__ import annotations

import ctypes
import heapq
import itertools
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from aen.errors import AenError, Internal, Invalid
from aen.launchers.wire import Frames, error_to_wire, pack, unpack

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)
_MOST_JOBS = 4  # long verbs at the same time; the others wait
_MOST_UNSENT = 16 << 20  # bytes: a reader that far behind is gone
_MOST_SIGNALS = 4096

Report = Callable[[int, int], None]
Work = Callable[[Report], Any]


class Asked:
    """One request, to be answered exactly once."""

    def __init__(self, loop: Loop, id: int) -> None:
        self._loop = loop
        self.id = id

    def answer(self, result: Any) -> None:
        """It is done."""
        self._loop.send({"id": self.id, "result": result})

    def fail(self, error: BaseException) -> None:
        """It is not."""
        self._loop.send({"id": self.id, "error": error_to_wire(error)})


@dataclass
class Job:
    """One long verb. Jobs of one `key` run one after the other."""

    key: str
    asked: Asked | None
    work: Work
    then: Callable[[Any], None] | None = None
    cut_off: AenError | None = None  # what to say of a child that was ended before it answered
    frames: Frames = field(default_factory=Frames)
    answered: bool = False


class Loop:
    """Reads requests, calls `handle(verb, message, asked)`, reaps children, runs timers and jobs."""

    def __init__(self, sock: socket.socket, handle: Callable[[dict[str, Any], Asked], None]) -> None:
        self._sock = sock
        self._handle = handle
        self._frames = Frames()
        self._unsent = bytearray()
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._waiting: deque[Job] = deque()
        self._running: dict[int, Job] = {}  # by the descriptor of its pipe
        self._ended = False
        self.on_child: Callable[[int, int], None] = lambda pid, status: None
        sock.setblocking(False)
        self.watch(sock.fileno(), self._readable)
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._catch_children()

    def run(self) -> None:
        """Until the other side closes its end."""
        while not self._ended:
            for key, events in self._selector.select(self._until_next()):
                if key.fd == self._sock.fileno() and events & selectors.EVENT_WRITE:
                    self._write()
                if events & selectors.EVENT_READ:
                    key.data()
            self._run_timers()

    # ── what others use ─────────────────────────────────────────────────────────────────────────────

    def send(self, message: dict[str, Any]) -> None:
        """Queue a message; it leaves as soon as the other side reads."""
        self._unsent += pack(message)
        if len(self._unsent) > _MOST_UNSENT:
            self._ended = True
        self._write()

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        """Call `call` whenever `fd` can be read."""
        self._selector.register(fd, selectors.EVENT_READ, call)

    def unwatch(self, fd: int) -> None:
        """Not any more."""
        with suppress(KeyError):
            self._selector.unregister(fd)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call `call` after so many seconds."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), call))

    def job(self, job: Job) -> None:
        """Run a long verb in a child of its own, when its turn comes."""
        self._waiting.append(job)
        self._start_jobs()

    # ── the socket ──────────────────────────────────────────────────────────────────────────────────

    def _readable(self) -> None:
        try:
            data = self._sock.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended = True
            return
        try:
            for body in self._frames.feed(data):
                self._one(body)
        except Invalid as error:  # framing is lost: nothing that follows can be trusted
            self.send({"id": 0, "error": error_to_wire(error)})
            self._ended = True

    def _one(self, body: bytes) -> None:
        asked = Asked(self, 0)
        try:
            message = unpack(body)
            id = message.get("id")
            if not isinstance(id, int) or isinstance(id, bool) or not 0 < id < 2**53:
                raise Invalid("A request needs an id: a whole number above 0.")
            asked = Asked(self, id)
            self._handle(message, asked)
        except Exception as error:
            _tell(error)
            asked.fail(error)

    def _write(self) -> None:
        with suppress(BlockingIOError):
            while self._unsent:
                try:
                    sent = self._sock.send(self._unsent)
                except (BrokenPipeError, ConnectionError):
                    self._ended = True
                    return
                del self._unsent[:sent]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
        self._selector.modify(self._sock.fileno(), events, self._readable)

    # ── clock and children ──────────────────────────────────────────────────────────────────────────

    def _until_next(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            _, _, call = heapq.heappop(self._timers)
            try:
                call()
            except Exception as error:
                _tell(error)

    def _catch_children(self) -> None:
        read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

        def reap() -> None:
            with suppress(BlockingIOError):
                os.read(read, _MOST_SIGNALS)
            with suppress(ChildProcessError):
                while True:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                    if pid == 0:
                        return
                    self.on_child(pid, os.waitstatus_to_exitcode(status))

        self.watch(read, reap)

    # ── jobs ────────────────────────────────────────────────────────────────────────────────────────

    def _start_jobs(self) -> None:
        busy = {job.key for job in self._running.values()}
        for job in list(self._waiting):
            if len(self._running) >= _MOST_JOBS:
                return
            if job.key in busy:
                continue
            busy.add(job.key)
            self._waiting.remove(job)
            self._fork(job)

    def _fork(self, job: Job) -> None:
        read, write = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        if os.fork() == 0:
            _work(job.work, write, parent)
        os.close(write)
        self._running[read] = job
        self.watch(read, lambda: self._job_says(read, job))

    def _job_says(self, fd: int, job: Job) -> None:
        data = os.read(fd, 1 << 16)
        for body in job.frames.feed(data):
            message = unpack(body)
            if "progress" not in message:
                self._job_done(job, message)
            elif job.asked is not None:
                self.send({"id": job.asked.id, **message})
        if data:
            return
        self.unwatch(fd)
        os.close(fd)
        del self._running[fd]
        if not job.answered:
            error = job.cut_off or Internal("A part of the launcher was ended from outside.")
            self._job_done(job, {"error": error_to_wire(error)})
        self._start_jobs()

    def _job_done(self, job: Job, message: dict[str, Any]) -> None:
        job.answered = True
        if job.then is not None and "result" in message:
            job.then(message["result"])
        elif job.asked is not None:
            self.send({"id": job.asked.id, **message})


def _work(work: Work, write: int, parent: int) -> NoReturn:
    """In the child: do it, say how it went, end. It ends with the launcher: everything it does can be done again."""
    try:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.closerange(3, write)
        os.closerange(write + 1, 1 << 20)

        def progress(looked_at: int, changed: int) -> None:
            _write_all(write, pack({"progress": [looked_at, changed]}))

        try:
            message = {"result": work(progress)}
        except Exception as error:
            _tell(error)
            message = {"error": error_to_wire(error)}
        _write_all(write, pack(message))
    finally:
        os._exit(0)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _tell(error: BaseException) -> None:
    """A fault of ours goes to the log of the parent (stderr), with where it was; what has a name goes to the asker only."""
    if error_to_wire(error)["kind"] == "Internal":
        traceback.print_exception(error, file=sys.stderr)
