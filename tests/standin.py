"""MongoDB for tests: nx-27017, a stand-in that speaks MongoDB's wire protocol over SQLite, and a real one where it is named.

The stand-in shows call shapes, encodings and reconnecting; it is no evidence of MongoDB's own semantics.
AEN_TEST_MONGODB_URI names a real server (without a database): the same tests run on it, in databases of their own.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.ports import free_port

REAL = os.environ.get("AEN_TEST_MONGODB_URI", "")
STANDIN = "MongoDB stand-in nx-27017"


class Standin:
    """One stand-in on a free port of this machine. It keeps its data when it is started again."""

    def __init__(self, folder: Path | None = None, port: int = 0) -> None:
        self._own = None if folder else tempfile.mkdtemp(prefix="aen-standin-", dir="/tmp")
        self.folder = folder or Path(str(self._own))
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without a database."""
        return f"mongodb://127.0.0.1:{self.port}"

    def start(self) -> Standin:
        """Start it and wait until it listens."""
        (self.folder / "pid").unlink(missing_ok=True)
        command = [str(Path(sys.executable).with_name("nx-27017")), "--data-dir", str(self.folder)]
        command += ["--host", "127.0.0.1", "-p", str(self.port), "--pid-file", str(self.folder / "pid")]
        command += ["--log-file", str(self.folder / "log")]
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd=self.folder)
        deadline = time.monotonic() + 30
        while not self._listens():
            assert time.monotonic() < deadline, "the stand-in does not listen"
            time.sleep(0.02)  # between two looks
        return self

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it; what it kept is removed, if the folder was its own."""
        self._end(signal.SIGTERM)
        if self._own:
            shutil.rmtree(self._own, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            self._process.wait(20)
            self._process = None

    def _signal(self, which: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(which)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "output").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


_shared: list[Standin] = []


def shared() -> Standin:
    """The one stand-in of this test process; it ends with it."""
    if not _shared:
        _shared.append(Standin().start())
        atexit.register(_shared[0].stop)
    return _shared[0]


def database(folder: Path) -> str:
    """A database's name that belongs to a folder."""
    return "aen_test_" + hashlib.sha256(str(folder).encode()).hexdigest()[:16]


#: Where a server of the tests keeps its documents, for `pytest.mark.parametrize`.
SERVER_STORES = ("sqlite", STANDIN, *(("MongoDB",) if REAL else ()))


def store_url(name: str, folder: Path) -> str:
    """The store.url of one of SERVER_STORES that belongs to a folder; empty is SQLite in the data directory."""
    if name == "sqlite":
        return ""
    return url_for(folder) if name == STANDIN else real_url(folder)


def url_for(folder: Path) -> str:
    """A store.url on the shared stand-in that belongs to a folder."""
    return f"{shared().url}/{database(folder)}"


def real_url(folder: Path) -> str:
    """A store.url on the real server (AEN_TEST_MONGODB_URI) that belongs to a folder."""
    address, _, options = REAL.partition("?")
    return f"{address.rstrip('/')}/{database(folder)}" + (f"?{options}" if options else "")
