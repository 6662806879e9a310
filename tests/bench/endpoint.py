"""Apps on another host: gateway → port 5002 → app over mutual TLS, beside the app on the gateway's own host and nginx → nginx.

Load and app on one processor, gateway and node together on another; in rounds; medians. Processor time is that of both.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from aen.model import now
from aen.model.route import Grant
from aen.tickets import Signer
from tests.bench.peers import far, load, systems
from tests.bench.peers.load import Found
from tests.bench.peers.servers import ORIGIN
from tests.bench.peers.systems import ROOT, System
from tests.bench.row import Row
from tests.ports import free_port

SECONDS, ROUNDS = 3, 3
MIB = 1024 * 1024
_NGINX = """worker_processes 1; pid {folder}/{kind}.pid; error_log {folder}/{kind}.log crit; daemon off;
worker_rlimit_nofile 65536; events {{ worker_connections 32768; }}
http {{ access_log {log}; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxied;
 fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 1000000;
 client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
 map $http_upgrade $upgraded {{ default upgrade; "" ""; }}
 upstream next {{ server {next}; keepalive 1024; keepalive_requests 1000000; }}
 server {{ listen 127.0.0.1:{port} {listen} backlog=4096; {tls} location / {{ proxy_pass {scheme}://next;
 proxy_http_version 1.1; proxy_set_header Connection $upgraded; proxy_set_header Upgrade $http_upgrade;
 proxy_read_timeout 600s; proxy_set_header Host $host; {client} }} }} }}
"""


@dataclass(frozen=True)
class Two(System):
    """A gateway and the node behind it: the work of both counts."""

    behind: System

    def cpu(self) -> float:
        """Seconds of processor time of both."""
        return super().cpu() + self.behind.cpu()


async def measure() -> AsyncIterator[Row]:
    """Row after row."""
    with tempfile.TemporaryDirectory(prefix="aen-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        signer = Signer.load_or_make(folder / "key.pem")
        far.papers(folder)
        grant = Grant(user="alice", login="L1", audience=ORIGIN, issued=now(), expires=now() + 3_600_000)
        cookie = f"Cookie: aen-gateway={signer.grant(grant)}"
        stack.enter_context(systems.running("app", folder, free_port()))
        those = [stack.enter_context(systems.running("gateway", folder, 0)), stack.enter_context(_aen(folder))]
        if systems.kinds("nginx"):
            those.append(stack.enter_context(_nginx(folder)))
        for row in await asyncio.to_thread(list, _rows(those, cookie)):
            yield row


def _rows(those: list[System], cookie: str) -> Iterator[Row]:
    for name, size in (("1 KiB, 50 connections", 1024), ("64 KiB, 50 connections", 65536)):
        yield from _beside(name, those, lambda one: load.requests(one, size, 50, cookie, SECONDS))  # noqa: B023
    for count in (1, 100):
        name = f"WebSocket echo, {count} connections"
        yield from _beside(name, those, lambda one: load.echoes(one, count, cookie, SECONDS))  # noqa: B023
    for way in ("down", "up"):
        rate, grown = load.transfer(those[1], way, cookie)
        yield Row(f"1 GiB {way}: rate, against the same host", rate, "MB/s", load.transfer(those[0], way, cookie)[0])
        yield Row(f"1 GiB {way}: memory of the gateway grows by", grown / MIB, "MiB", None, "<= 8")


def _beside(name: str, those: list[System], one: Callable[[System], Found]) -> Iterator[Row]:
    found: dict[str, list[Found]] = {system.kind: [] for system in those}
    for _ in range(ROUNDS):
        for system in those:
            found[system.kind].append(one(system))
    rate, cost, wait = (
        {kind: median(getattr(figure, part) for figure in each) for kind, each in found.items()}
        for part in ("rate", "cost", "wait")
    )
    for kind in [kind for kind in found if kind != "far"]:
        against = "the same host" if kind == "gateway" else kind
        yield Row(f"{name}: against {against}", rate["far"], "1/s", rate[kind])
        yield Row(f"{name}: processor time, against {against}", cost["far"], "us", cost[kind])
        yield Row(f"{name}: wait, against {against}", wait["far"], "ms", wait[kind])


@contextmanager
def _aen(folder: Path) -> Iterator[System]:
    port, behind = free_port(), free_port()
    (folder / "endpoint.port").write_text(str(behind))
    program = [sys.executable, "-m", "tests.bench.peers.far"]
    with (
        _running([*program, "endpoint", str(folder), str(behind)], behind) as node,
        _running([*program, "gateway", str(folder), str(port)], port) as gateway,
    ):
        yield Two("far", gateway, port, System("endpoint", node, behind))


@contextmanager
def _nginx(folder: Path) -> Iterator[System]:
    """Two of them, with the same certificates both ways."""
    port, behind = free_port(), free_port()
    trusted = f"{folder}/n1/node/authority.pem"
    ours, theirs = (f"{folder}/{node}/node" for node in ("g1", "n1"))
    tls = f"ssl_certificate {theirs}/certificate.pem; ssl_certificate_key {theirs}/key.pem; ssl_protocols TLSv1.3; "
    tls += f"ssl_client_certificate {trusted}; ssl_verify_client on;"
    client = f"proxy_ssl_certificate {ours}/certificate.pem; proxy_ssl_certificate_key {ours}/key.pem; "
    client += f"proxy_ssl_trusted_certificate {trusted}; proxy_ssl_verify on; proxy_ssl_name n1; "
    client += "proxy_ssl_protocols TLSv1.3; proxy_ssl_session_reuse on;"
    near = {"next": f"unix:{folder}/app", "scheme": "http", "tls": tls, "client": "", "listen": "ssl", "log": "off"}
    front = {"next": f"127.0.0.1:{behind}", "scheme": "https", "tls": "", "client": client, "listen": ""}
    front["log"] = f"{folder}/front-access.log"
    with (
        _running(_nginx_argv(folder, "near", behind, near), behind) as node,
        _running(_nginx_argv(folder, "front", port, front), port) as gateway,
    ):
        yield Two("nginx", systems._worker(gateway), port, System("near", systems._worker(node), behind))


def _nginx_argv(folder: Path, kind: str, port: int, words: dict[str, str]) -> list[str]:
    conf = folder / f"{kind}.conf"
    conf.write_text(_NGINX.format(folder=folder, kind=kind, port=port, **words))
    return [systems._nginx(), "-c", str(conf), "-g", "user root;"]


@contextmanager
def _running(argv: list[str], port: int) -> Iterator[int]:
    """A program on the measured processor, until its port is open; its process id."""
    process = subprocess.Popen(["taskset", "-c", str(systems.cores()[1]), *argv], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 40
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)
