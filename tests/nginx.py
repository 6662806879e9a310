"""Nginx: a real nginx with one of our sample configurations, on free ports and with a certificate of its own."""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.ports import free_ports
from tests.world import ROOT

SAMPLES = ROOT / "config" / "nginx"
NAMES = ("aen.example.org", "apps.example.net", "www.example.org", "localhost", "*.localhost")
_AROUND = """daemon off; pid {folder}/pid; error_log {folder}/error.log warn; worker_processes 1; {user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{sample}
}}
"""


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and its key."""

    cert: Path
    key: Path

    @classmethod
    def within(cls, folder: Path) -> Certificate:
        """The one that `certificate` made there."""
        return cls(folder / "tls-cert.pem", folder / "tls-key.pem")

    def trusting(self) -> ssl.SSLContext:
        """A client that trusts it."""
        return ssl.create_default_context(cafile=str(self.cert))


def certificate(folder: Path, names: tuple[str, ...] = NAMES) -> Certificate:
    """Make one."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "aen test")])
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    found = Certificate.within(folder)
    found.cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return found


class Here(AbstractResolver):
    """Every name is this machine."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """See AbstractResolver."""
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        """See AbstractResolver."""


def browser(trust: ssl.SSLContext | None = None, local: str = "", **more: Any) -> aiohttp.ClientSession:
    """A browser for which every name is this machine. `local`: the address it comes from."""
    # `ssl=True`: with the usual checks, for whoever speaks no TLS anyway.
    connector = aiohttp.TCPConnector(resolver=Here(), ssl=trust or True, local_addr=(local, 0) if local else None)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.CookieJar(unsafe=True), **more)


@contextlib.contextmanager
def nginx(sample: str, folder: Path, tls: int, changes: Mapping[str, str]) -> Iterator[int]:
    """Run `sample` with HTTPS at the port `tls`; the port of plain HTTP. `changes`: what is different from the sample.

    The certificate must have been made in `folder`.
    """
    (plain,) = free_ports(1)
    text = (SAMPLES / sample).read_text()
    made = Certificate.within(folder)
    common = {"listen 443 ssl": f"listen 127.0.0.1:{tls} ssl", "listen 80;": f"listen 127.0.0.1:{plain};"}
    for name in ("server", "apps"):
        common |= {f"/etc/ssl/aen/{name}.pem": str(made.cert), f"/etc/ssl/aen/{name}.key": str(made.key)}
    for old, new in changes.items():
        assert old in text, f"the sample has no {old!r}"
        text = text.replace(old, new)
    for old, new in common.items():
        text = text.replace(old, new)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, sample=text, user=user))
    process = subprocess.Popen([str(program()), "-p", str(folder), "-c", "nginx.conf"], stderr=subprocess.PIPE)
    try:
        _wait(tls, process)
        yield plain
    finally:
        process.terminate()
        process.communicate(timeout=10)


def program() -> Path | None:
    """Where nginx is, if it is."""
    found = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/bin")
    return Path(found) if found else None


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            raise AssertionError(f"nginx ended: {process.communicate()[1].decode()}")
        assert time.monotonic() < deadline, "nginx does not listen"
        time.sleep(0.02)  # between two looks
