"""Reaching, as `aen doctor` examines it: who answers at the addresses, whose clock says what, whether WebSockets come through."""

from __future__ import annotations

import base64
import email.utils
import http.client
import os
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aen.doctor.findings import Finding, Patient, ok, problem, warning

_SECONDS = 5.0
_CLOCK_WARN, _CLOCK_BAD = 5.0, 25.0  # seconds; tickets are good for 30
_PROBE = "aen-doctor"
_TRUST = (
    "Put the certificate of who signed it into /usr/local/share/ca-certificates and run update-ca-certificates "
    "(Fedora: /etc/pki/ca-trust/source/anchors, update-ca-trust), and start AEN again."
)


@dataclass(frozen=True)
class Answer:
    """What somebody said, or why nobody did."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    why: str = ""
    cure: str = ""
    at: float = 0.0  # our clock, when it came


def answers(patient: Patient) -> Iterator[Finding]:
    """Whether AEN answers where people and nodes are sent, and whether server and gateway mean each other."""
    for option, url in _urls(patient):
        yield from _resolves_back(option, url)
        yield _who(option, url, patient)


def _urls(patient: Patient) -> Iterator[tuple[str, str]]:
    """Addresses that this node should reach; a compute node talks to its gateway's host over the bus only."""
    config, roles = patient.config, set(patient.roles)
    if roles & {"server", "gateway"} and config.server.url:
        yield "server.url", config.server.url
    if config.gateway.url and "gateway" in roles:
        yield "gateway.url", config.gateway.url.replace("{project}", _PROBE)


def _who(option: str, url: str, patient: Patient) -> Finding:
    server = option == "server.url"
    answer = ask(url, "/api/v1/openapi.json" if server else "/")
    if answer.why:
        role = "server" if server else "gateway"
        state = problem if role not in patient.roles or patient.inside else warning
        cure = answer.cure or f"Start it, open the port in the firewalls, or set {option} to where it is."
        return state(option, f"{url}: {answer.why}", cure)
    if server:
        if answer.status == 200 and '"AEN' in answer.body[:4000]:
            return ok(option, f"AEN answers at {url}")
        return problem(
            option,
            f"at {url} something else answers than AEN (status {answer.status})",
            "Set server.url, or the front proxy, right.",
        )
    leads = answer.headers.get("location", "")
    ours = patient.config.server.url.rstrip("/")
    if not leads:
        return problem(
            option,
            f"at {url} something else answers than AEN's gateway (status {answer.status})",
            "Set gateway.url right.",
        )
    if ("server" in patient.roles or "gateway" in patient.roles) and not leads.startswith(ours):
        return problem(
            option,
            f"the gateway at {url} sends people to {leads.split('?')[0]}, and here server.url is {ours}",
            "Give both the same server.url (a node that joined is told it by its server).",
        )
    return ok(option, f"a gateway answers at {url} and leads to {leads.split('?')[0]}")


def _resolves_back(option: str, url: str) -> Iterator[Finding]:
    """DNS the other way: the address of the name has a name again. Missing is no fault, but logs and mail tell addresses only."""
    host = urlsplit(url).hostname or ""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return  # `addresses` says so
    if host in found or host.endswith("localhost"):
        return
    address = sorted(found)[0]
    try:
        back = socket.gethostbyaddr(address)[0]
    except OSError:
        yield warning(
            option,
            f"{address} (of {host}) has no name in DNS",
            "Add a PTR record, or a line in /etc/hosts of each node.",
        )
        return
    yield ok(option, f"{host} is {address}, which is {back}")


def clock(patient: Patient) -> Iterator[Finding]:
    """Our clock beside the one of the server (for a compute node: of its gateway). Tickets are good for 30 s."""
    for option, url in list(_urls(patient))[:1]:
        answer = ask(url, "/")
        told = email.utils.parsedate_to_datetime(answer.headers["date"]) if "date" in answer.headers else None
        if told is None:
            continue
        apart = abs(answer.at - told.timestamp() - 0.5)  # the header has whole seconds
        message = (
            f"this clock and that of {option} are {apart:.0f} s apart" if apart > 1 else f"agrees with that of {option}"
        )
        cure = "Keep the time of every host by chrony or systemd-timesyncd (`timedatectl set-ntp true`)."
        if apart > _CLOCK_BAD:
            yield problem("clock", f"{message}: nobody can be let in to apps", cure)
        else:
            yield warning("clock", message, cure) if apart > _CLOCK_WARN else ok("clock", message)
    if time.time() < 1_700_000_000:
        yield problem("clock", "this machine's date is long ago", "Set it: `timedatectl set-ntp true`.")


def websockets(patient: Patient) -> Iterator[Finding]:
    """Whether a WebSocket's wish arrives at the gateway, also through a front proxy: kernels and terminals need it."""
    for option, url in _urls(patient):
        if option != "gateway.url":
            continue
        key = base64.b64encode(os.urandom(16)).decode()
        head = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
        }
        answer = ask(url, f"/{_PROBE}/probe/jupyter/api", head | {"Accept": "text/html"})
        if answer.why:
            continue  # `answers` says so
        if answer.status == 401:  # a page would have been sent to sign in: it was seen as a WebSocket
            yield ok("WebSockets", f"arrive at the gateway through {url}")
            continue
        yield problem(
            "WebSockets",
            f"do not arrive at the gateway through {url} (status {answer.status}): kernels and terminals won't connect",
            "The front proxy must pass on Upgrade and Connection, as config/nginx/aen.conf does.",
        )


def ask(url: str, path: str, headers: dict[str, str] | None = None) -> Answer:
    """One GET, no redirect followed; never raises."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        connection.request(
            "GET", parts.path.rstrip("/") + path, headers={"User-Agent": "aen-doctor", **(headers or {})}
        )
        got = connection.getresponse()
        body = b"" if got.status == 101 else got.read(65536)
        found = {name.lower(): value for name, value in got.getheaders()}
        return Answer(got.status, found, body.decode(errors="replace"), at=time.time())
    except ssl.SSLCertVerificationError as error:
        return Answer(why=f"its certificate is not trusted here ({error.verify_message})", cure=_TRUST)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return Answer(why=_why(error))
    finally:
        connection.close()


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_SECONDS:g} s"
    if isinstance(error, socket.gaierror):
        return "its name does not resolve"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    return f"it can't be asked ({error})"
