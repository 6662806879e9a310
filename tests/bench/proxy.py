"""The gateway's data plane against nginx and a plain aiohttp proxy: requests per second, and processor time for each.

Processor time is the steadier figure. nginx and the aiohttp proxy check no login; the gateway does, on every request.
The other programs it measures are this file run with an argument.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web

from aen.bus.local import LocalBus
from aen.model import now
from aen.model.route import Grant, Route
from aen.proxy.plane import Plane
from aen.proxy.routes import RouteTable
from aen.proxy.sites import Sites
from aen.roles.gateway.accesslog import AccessLog
from aen.roles.gateway.admission import Doorman, Revoked
from aen.tickets import Signer
from tests.bench.row import Row

SECONDS, ROUNDS = 3, 3
PATH = "/alice/genome/jupyter/api/contents"
ORIGIN = "http://127.0.0.1"
CASES = {
    "1 KiB, 50 connections": (1024, 50),
    "1 KiB, 200 connections": (1024, 200),
    "64 KiB, 50 connections": (65536, 50),
}
BROWSER = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Accept: application/json, text/javascript, */*; q=0.01",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Site: same-origin",
    "Referer: http://127.0.0.1/alice/genome/jupyter/lab/tree/notebooks/welcome.ipynb",
)

_NGINX = """worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit; daemon off;
events {{ worker_connections 4096; }}
http {{ access_log {folder}/nginx-access.log; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxied;
 fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 1000000;
 upstream app {{ server unix:{folder}/app; keepalive 256; keepalive_requests 1000000; }}
 server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://app; proxy_http_version 1.1;
 proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }} }} }}
"""


async def measure() -> AsyncIterator[Row]:
    """Each system in turn, in rounds; medians."""
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk, which makes the load, is not installed (Debian: apt install wrk)")
    with tempfile.TemporaryDirectory(prefix="aen-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        signer = Signer.load_or_make(folder / "key.pem")
        grant = Grant(user="alice", login="L1", audience=ORIGIN, issued=now(), expires=now() + 3_600_000)
        cookie = f"Cookie: aen-gateway={signer.grant(grant)}"
        stack.enter_context(_program("app", folder, 0))
        systems = {kind: stack.enter_context(_program(kind, folder, _free())) for kind in _kinds()}
        for case, (size, connections) in CASES.items():
            found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in systems}
            for _ in range(ROUNDS):
                for kind, (pid, port) in systems.items():
                    try:
                        found[kind].append(await asyncio.to_thread(_load, port, size, connections, cookie, pid))
                    except RuntimeError as error:
                        raise RuntimeError(f"{kind}: {error}") from error
            rates = {kind: sorted(one[0] for one in each)[ROUNDS // 2] for kind, each in found.items()}
            costs = {kind: sorted(one[1] for one in each)[ROUNDS // 2] for kind, each in found.items()}
            for other in [kind for kind in systems if kind != "gateway"]:
                aim = ">= 1.0" if other == "aiohttp" else ""
                yield Row(f"{case}: requests, against {other}", rates["gateway"], "1/s", rates[other], aim)
                yield Row(f"{case}: processor time, against {other}", costs["gateway"], "us", costs[other])


def _kinds() -> list[str]:
    return ["gateway", "aiohttp", *(["nginx"] if shutil.which("nginx") or Path("/usr/sbin/nginx").exists() else [])]


def _free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


@contextmanager
def _program(kind: str, folder: Path, port: int) -> Iterator[tuple[int, int]]:
    """One system in a process of its own: the process that does the work, and its port."""
    if kind == "nginx":
        conf = folder / "nginx.conf"
        conf.write_text(_NGINX.format(folder=folder, port=port))
        folder.chmod(0o755)
        argv = [shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(conf), "-g", f"user {_me()};"]
    else:
        argv = [sys.executable, "-m", "tests.bench.proxy", kind, str(folder), str(port)]
    process = subprocess.Popen(argv, cwd=Path(__file__).parents[2])
    try:
        _wait(folder / "app" if kind == "app" else None, port, process)
        yield (_worker(process.pid) if kind == "nginx" else process.pid), port
    finally:
        process.terminate()
        process.wait(10)


def _me() -> str:
    return "root" if os.getuid() == 0 else "nobody"


def _wait(path: Path | None, port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end and process.poll() is None:
        try:
            if path is not None:
                with socket.socket(socket.AF_UNIX) as one:
                    one.connect(str(path))
            else:
                socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{process.args!r} did not start")


def _worker(master: int) -> int:
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return int(children[0])


def _load(port: int, size: int, connections: int, cookie: str, pid: int) -> tuple[float, float]:
    """Requests per second, and microseconds of processor time for each."""
    headers = [part for line in (*BROWSER, cookie) for part in ("-H", line)]
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", *headers, f"http://127.0.0.1:{port}{PATH}?size={size}"]
    before = _cpu(pid)
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    used = _cpu(pid) - before
    if "Non-2xx" in text:
        raise RuntimeError(f"wrong answers: {text}")
    count = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])  # type: ignore[index]
    return rate, used / count * 1e6


def _cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


# ── the programs measured ───────────────────────────────────────────────────────────────────────────


class App(asyncio.Protocol):
    """An app that answers at once, so that what is measured is the way to it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._to = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._rest += data
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            size = 65536 if b"size=65536" in self._rest[:300] else 1024
            self._rest = self._rest[end + 4 :]
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size
            self._to.write(head + b"x" * size)  # type: ignore[attr-defined]


async def _app(folder: Path, _: int) -> None:
    await asyncio.get_running_loop().create_unix_server(App, folder / "app", backlog=4096)


async def _gateway(folder: Path, port: int) -> None:
    bus, routes = LocalBus(), RouteTable()
    doorman = Doorman(bus, Revoked())
    doorman.use_keys(Signer.load_or_make(folder / "key.pem").public_keys())
    key = {"owner": "alice", "project": "genome", "project_id": "p1", "app_server": "jupyter"}
    who = {"session": "s1", "generation": 1, "user": "alice", "users": ["alice"], "node": "n1", "secret": "s" * 32}
    routes.add(Route.model_validate({**key, **who, "upstream": f"unix:{folder}/app", "uid": os.getuid()}))
    log = AccessLog(folder / "access.log")
    pages = (f"unix:{folder}/none", os.getuid())
    plane = Plane(
        doorman, routes, Sites(ORIGIN), cookie=b"aen-gateway", pages=pages, page_token="x", write_access=log.write
    )
    await plane.start()
    await plane.listen(socket.create_server(("127.0.0.1", port)))


async def _aiohttp(folder: Path, port: int) -> None:
    connector = aiohttp.UnixConnector(str(folder / "app"), limit=0)
    session = aiohttp.ClientSession(connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())

    async def forward(request: web.Request) -> web.StreamResponse:
        url = f"http://app{request.raw_path}"
        async with session.request(request.method, url, headers=request.headers, allow_redirects=False) as answer:
            response = web.StreamResponse(status=answer.status)
            response.content_length = answer.content_length
            await response.prepare(request)
            async for block in answer.content.iter_any():
                await response.write(block)
            return response

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", forward)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()


async def _serve(kind: str, folder: Path, port: int) -> None:
    await {"app": _app, "gateway": _gateway, "aiohttp": _aiohttp}[kind](folder, port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.disable()  # clients that hang up at the end of a round
    uvloop.run(_serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
