"""Load: wrk for requests; WebSockets and large bodies are programs of ours: `python -m tests.bench.peers.load WHAT …`."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import uvloop

from tests.bench.peers.servers import FIRST, FRAME
from tests.bench.peers.systems import ROOT, System, cores, loading
from tests.bench.row import percentile

PATH = "/alice/genome/jupyter/api/contents"
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Accept: application/json, text/javascript, */*; q=0.01",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Site: same-origin",
    "Referer: http://127.0.0.1/alice/genome/jupyter/lab/tree/notebooks/welcome.ipynb",
)
GIB = 1 << 30
_MESSAGE = b"\x82\xc0\0\0\0\0" + b"e" * 64
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True)
class Found:
    """One round: things per second, microseconds of processor time for each, the slow end (p99) or the middle, in ms."""

    rate: float
    cost: float
    wait: float


def requests(
    system: System, size: int, connections: int, cookie: str, seconds: int, *, new: bool = False, threads: int = 1
) -> Found:
    """wrk with a browser's headers; `new`: no request is like another. Raises RuntimeError when an answer is wrong."""
    scheme = "https" if system.kind.endswith("-tls") else "http"
    headers = [part for line in (*BROWSER, cookie) for part in ("-H", line)]
    argv = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency", *headers]
    if new:
        argv += ["-s", str(Path(__file__).with_name("unlike.lua"))]
    argv.append(f"{scheme}://127.0.0.1:{system.port}{PATH}?size={size}")
    before = system.cpu()
    text = subprocess.run(["taskset", "-c", loading(), *argv], capture_output=True, text=True, check=True).stdout
    used = system.cpu() - before
    if "Non-2xx" in text:
        raise RuntimeError(f"{system.kind}: wrong answers: {text}")
    count = int(_figure(r"(\d+) requests in", text)[0])
    wait, unit = _figure(r"99%\s+([\d.]+)(us|ms|s)", text)
    return Found(
        float(_figure(r"Requests/sec:\s+([\d.]+)", text)[0]), used / count * 1e6, float(wait) * _UNITS[unit] * 1e3
    )


def echoes(system: System, connections: int, cookie: str, seconds: float) -> Found:
    """Messages of 64 bytes there and back; each connection sends the next when the last is back."""
    before = system.cpu()
    said = json.loads(_ours("echo", system.port, connections, seconds, cookie))
    return Found(said["rate"], (system.cpu() - before) / said["count"] * 1e6, said["p50_ms"])


def idle_sockets(system: System, connections: int, cookie: str) -> float:
    """Bytes of memory that the system takes for each open WebSocket."""
    before = system.memory()
    with subprocess.Popen(
        _argv("idle", system.port, connections, 0, cookie), stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=ROOT
    ) as program:
        assert program.stdout is not None
        if program.stdout.readline() != b"open\n":
            raise RuntimeError(f"{system.kind}: {connections} WebSockets could not be opened")
        taken = system.memory() - before
        program.kill()
    return taken / connections


def first_requests(folder: Path, port: int, cookie: str) -> list[float]:
    """For each of many new routes: ms from the event's arrival at the gateway until its first request is answered."""
    argv = [*_argv("first", port, FIRST, 0, cookie), str(folder / "events")]
    return cast(list[float], json.loads(subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout))


def transfer(system: System, way: str, cookie: str) -> tuple[float, int]:
    """MB/s of one body of 1 GiB, `down` or `up`; and by how much the system's memory grew at most."""
    before = system.memory()
    Path(f"/proc/{system.pid}/clear_refs").write_text("5")  # VmHWM begins anew
    rate = float(_ours(way, system.port, 1, 0, cookie))
    return rate, system.memory("VmHWM") - before


def _figure(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"no {pattern} in: {text}")
    return match.groups()


def _argv(what: str, port: int, connections: int, seconds: float, cookie: str) -> list[str]:
    here = [sys.executable, "-m", "tests.bench.peers.load", what, str(port), str(connections), str(seconds), cookie]
    return ["taskset", "-c", str(cores()[0]), *here]


def _ours(what: str, port: int, connections: int, seconds: float, cookie: str) -> str:
    argv = _argv(what, port, connections, seconds, cookie)
    return subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


# ── the programs ────────────────────────────────────────────────────────────────────────────────────


class Echo(asyncio.Protocol):
    """One WebSocket. `waits` gets the seconds of each message; nothing is sent when it is None."""

    def __init__(self, head: bytes, waits: list[float] | None, opened: asyncio.Future[None]) -> None:
        self._head, self._waits, self._opened = head, waits, opened
        self._got, self._sent = b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._to = cast(asyncio.Transport, transport)
        self._to.write(self._head)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._got += data
        if not self._opened.done():
            if b"\r\n\r\n" not in self._got:
                return
            if b" 101 " not in self._got[:20]:
                self._opened.set_exception(ConnectionError(self._got.decode()))
                return
            self._got = self._got.partition(b"\r\n\r\n")[2]
            self._opened.set_result(None)
        elif len(self._got) >= FRAME and self._waits is not None:
            self._got = self._got[FRAME:]
            self._waits.append(time.perf_counter() - self._sent)
        else:
            return
        if self._waits is not None:
            self._sent = time.perf_counter()
            self._to.write(_MESSAGE)


async def _open(port: int, count: int, cookie: str, waits: list[float] | None) -> None:
    lines = (f"GET {PATH} HTTP/1.1", "Host: 127.0.0.1", cookie, "Origin: http://127.0.0.1", "Upgrade: websocket")
    key = ("Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    head = "\r\n".join([*lines, *key, "", ""]).encode()
    loop = asyncio.get_running_loop()
    for begin in range(0, count, 100):
        opened = [loop.create_future() for _ in range(min(100, count - begin))]
        for one in opened:
            await loop.create_connection(lambda one=one: Echo(head, waits, one), "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.gather(*opened)


async def _echo(port: int, count: int, seconds: float, cookie: str) -> None:
    waits: list[float] = []
    await _open(port, count, cookie, waits)
    waits.clear()
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    took, seen = time.perf_counter() - begun, list(waits)
    print(json.dumps({"rate": len(seen) / took, "count": len(seen), "p50_ms": percentile(seen, 0.5) * 1e3}))


async def _idle(port: int, count: int, _: float, cookie: str) -> None:
    await _open(port, count, cookie, None)
    print("open", flush=True)
    await asyncio.Event().wait()


async def _transfer(port: int, up: bool, cookie: str) -> None:
    """With plain blocking sockets: they cost the least."""
    connection = socket.create_connection(("127.0.0.1", port))
    common = f"HTTP/1.1\r\nHost: 127.0.0.1\r\n{cookie}\r\nOrigin: http://127.0.0.1\r\n"
    block = bytearray(1 << 20)
    begun = time.perf_counter()
    if up:
        connection.sendall(f"POST {PATH} {common}Content-Length: {GIB}\r\n\r\n".encode())
        for _ in range(GIB // len(block)):
            connection.sendall(block)
        if b" 200 " not in connection.recv(65536):
            raise ConnectionError("the upload was not taken")
    else:
        connection.sendall(f"GET {PATH}?size={GIB} {common}\r\n".encode())
        got = 0
        while got < GIB:
            count = connection.recv_into(block)
            if not count:
                raise ConnectionError(f"cut off after {got} bytes: {bytes(block[:300])!r}")
            got += count
    print(GIB / (time.perf_counter() - begun) / 1e6)


async def _first(port: int, count: int, events: str, cookie: str) -> None:
    """A browser that waits at the start page has its connection already, and asks when it is told that the app is there."""
    told, tell = await asyncio.open_unix_connection(events)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    waits: list[float] = []
    for number in range(1, count + 1):
        begun = time.perf_counter()
        tell.write(b"%d\n" % number)
        await told.readline()
        writer.write(f"GET /alice/p{number}/jupyter/?size=10 HTTP/1.1\r\nHost: 127.0.0.1\r\n{cookie}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head:
            raise ConnectionError(head.decode())
        await reader.readexactly(10)
        waits.append((time.perf_counter() - begun) * 1e3)
    print(json.dumps(waits))


def _run(what: str, port: int, count: int, seconds: float, cookie: str) -> Any:
    if what in ("up", "down"):
        return _transfer(port, what == "up", cookie)
    if what == "first":
        return _first(port, count, sys.argv[6], cookie)
    return {"echo": _echo, "idle": _idle}[what](port, count, seconds, cookie)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]))
