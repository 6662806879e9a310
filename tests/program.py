"""One `aen serve` in a process of its own: started, waited for, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 180.0  # on a machine that is busy with other tests


@dataclass(frozen=True)
class Runner:
    """Who runs AEN in a world: root (managed mode), or an ordinary account (evaluation mode)."""

    uid: int
    gid: int
    name: str
    home: str


@dataclass
class Program:
    """`aen serve --role …` with one configuration file. `logs` gives every log of its world, for messages."""

    program: Path
    role: str
    file: Path
    log: Path
    ops: str
    runner: Runner
    environ: dict[str, str]
    logs: Callable[[], str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready. AssertionError with the logs when it does not."""
        self.spawn()
        self.wait_ready()

    def spawn(self) -> None:
        """Start it, and wait for nothing."""
        assert self.process is None, "it runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.program), "serve", "--role", self.role, "-c", str(self.file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=self.environ,
                user=self.runner.uid if os.geteuid() == 0 else None,
                group=self.runner.gid if os.geteuid() == 0 else None,
                extra_groups=[] if os.geteuid() == 0 else None,
                start_new_session=True,
            )

    def stop(self, seconds: float = 60.0) -> int:
        """SIGTERM, and wait. Returns its exit code."""
        return self.end(signal.SIGTERM, seconds)

    def kill(self) -> None:
        """kill -9, as a power cut would."""
        self.end(signal.SIGKILL, 10.0)

    def ended(self, seconds: float) -> int:
        """Wait until it ends by itself. Returns its exit code."""
        assert self.process is not None, "it does not run"
        process, self.process = self.process, None
        return process.wait(seconds)

    def end(self, number: int, seconds: float) -> int:
        """Send a signal and wait."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(number)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{self.role} did not end within {seconds:g} s:\n{self.logs()}") from None

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until it says that it is ready. AssertionError with the logs when it ends, or does not."""
        deadline = time.monotonic() + seconds
        while not _answers(f"{self.ops}/-/ready"):
            assert self.process is not None
            code = self.process.poll()
            if code is not None:
                self.process = None
                raise AssertionError(f"aen {self.role} ended with {code} before it was ready:\n{self.logs()}")
            assert time.monotonic() < deadline, f"{self.role} not ready after {seconds:g} s:\n{self.logs()}"
            time.sleep(0.05)  # between two looks; the fact decides, not the time


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
