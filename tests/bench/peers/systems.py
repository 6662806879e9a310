"""Systems: started side by side in front of one app; the load on one processor, what is measured on another."""

from __future__ import annotations

import datetime
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.ports import free_port

ROOT = Path(__file__).parents[3]
CHP_VERSION = "5.3.0"
_CHP = ROOT / ".dev/bench/node_modules/configurable-http-proxy/bin/configurable-http-proxy"
_NGINX = """worker_processes 1; pid {folder}/{kind}.pid; error_log {folder}/{kind}.log crit; daemon off;
worker_rlimit_nofile 65536; events {{ worker_connections 32768; }}
http {{ access_log {folder}/{kind}-access.log; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxied;
 fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 1000000;
 client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
 map $http_upgrade $upgraded {{ default upgrade; "" ""; }}
 upstream app {{ server unix:{folder}/app; keepalive 1024; keepalive_requests 1000000; }}
 server {{ listen 127.0.0.1:{port} {ssl} backlog=4096; {files} location / {{ proxy_pass http://app; proxy_http_version 1.1;
 proxy_set_header Connection $upgraded; proxy_set_header Upgrade $http_upgrade; proxy_read_timeout 600s;
 proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }} }} }}
"""


@dataclass(frozen=True)
class System:
    """A running one: the process that does the work, and where it listens."""

    kind: str
    pid: int
    port: int

    def cpu(self) -> float:
        """Seconds of processor time used so far."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self, line: str = "VmRSS") -> int:
        """Bytes of memory now (VmHWM: at most)."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(text.split(f"{line}:")[1].split()[0]) * 1024


def cores() -> tuple[int, int]:
    """The processor for app and load, and the one for what is measured."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def many() -> bool:
    """Whether there are processors enough for two workers beside app and load."""
    return len(os.sched_getaffinity(0)) >= 4


def loading() -> str:
    """Where the load runs, for taskset: the first processor, or all but the last two where there are many."""
    usable = sorted(os.sched_getaffinity(0))
    return ",".join(map(str, usable[:-2])) if many() else str(usable[0])


@contextmanager
def running(kind: str, folder: Path, app_port: int) -> Iterator[System]:
    """One system in a process of its own."""
    port = app_port if kind == "app" else free_port()
    environment, argv = dict(os.environ), _argv(kind, folder, port)
    token, api = secrets.token_hex(16), free_port()
    if kind.startswith("chp"):
        environment["CONFIGPROXY_AUTH_TOKEN"] = token
        argv += ["--api-port", str(api)]
    core = loading() if kind == "app" else str(cores()[1])
    if kind == "gateway-workers":
        core = ",".join(map(str, sorted(os.sched_getaffinity(0))[-2:]))
    process = subprocess.Popen(["taskset", "-c", core, *argv], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait(port, process, None if kind in ("chp", "chp-tls", "nginx", "nginx-tls") else folder / f"{kind}.ready")
        if kind.startswith("chp"):
            _add_route(api, token, f"http://127.0.0.1:{app_port}")
        yield System(kind, _worker(process.pid) if kind.startswith("nginx") else process.pid, port)
    finally:
        process.terminate()
        process.wait(10)


def kinds(*wanted: str) -> list[str]:
    """Those of `wanted` that can be had here: nginx where it is installed, configurable-http-proxy with npm."""
    return [kind for kind in wanted if _there(kind)]


def make_certificate(folder: Path) -> None:
    """A certificate for tests, as most sites have (EC P-256)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(today).not_valid_after(today + datetime.timedelta(days=1))
    form, kind = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(kind))
    (folder / "cert.key").write_bytes(key.private_bytes(kind, form, serialization.NoEncryption()))


def versions() -> dict[str, str]:
    """What was measured, for the report."""
    found: dict[str, str] = {}
    if program := _nginx():
        found["nginx"] = (
            subprocess.run([program, "-v"], capture_output=True, text=True).stderr.strip().rpartition("/")[2]
        )
    if _there("chp"):
        node = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
        found["configurable-http-proxy"] = f"{CHP_VERSION} (node {node})"
    return found


def _there(kind: str) -> bool:
    if kind.startswith("nginx"):
        return _nginx() != ""
    if not kind.startswith("chp") or _CHP.exists():
        return True
    if shutil.which("npm") is None:
        return False
    wanted = f"configurable-http-proxy@{CHP_VERSION}"
    place = str(ROOT / ".dev/bench")
    done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", place, wanted])
    return done.returncode == 0 and _CHP.exists()


def _nginx() -> str:
    return shutil.which("nginx") or ("/usr/sbin/nginx" if Path("/usr/sbin/nginx").exists() else "")


def _argv(kind: str, folder: Path, port: int) -> list[str]:
    if kind.startswith("chp"):
        tls = ["--ssl-cert", str(folder / "cert.pem"), "--ssl-key", str(folder / "cert.key")]
        argv = ["node", str(_CHP), "--ip", "127.0.0.1", "--port", str(port), "--log-level", "error"]
        return argv + (tls if kind == "chp-tls" else [])
    if not kind.startswith("nginx"):
        return [sys.executable, "-m", "tests.bench.peers.servers", kind, str(folder), str(port)]
    folder.chmod(0o755)
    conf = folder / f"{kind}.conf"
    files = f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/cert.key;"
    ssl, said = ("ssl", files) if kind == "nginx-tls" else ("", "")
    conf.write_text(_NGINX.format(folder=folder, kind=kind, port=port, ssl=ssl, files=said))
    user = "root" if os.getuid() == 0 else "nobody"
    return [_nginx(), "-c", str(conf), "-g", f"user {user};"]


def _wait(port: int, process: subprocess.Popen[bytes], ready: Path | None) -> None:
    end = time.monotonic() + 40
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            if ready is None or ready.exists():
                return
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start")


def _worker(master: int) -> int:
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return int(children[0])


def _add_route(api: int, token: str, target: str) -> None:
    end = time.monotonic() + 10
    url, body = f"http://127.0.0.1:{api}/api/routes/alice/genome/jupyter", json.dumps({"target": target}).encode()
    while True:
        asked = urllib.request.Request(url, body, {"Authorization": f"token {token}"}, method="POST")
        try:
            urllib.request.urlopen(asked, timeout=5).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return
