"""Addresses, as `aen doctor` examines them: where they lead, who else could answer there, and what they mean for isolation."""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from aen.config import Config
from aen.config.checks import split_listen
from aen.doctor.findings import Finding, Patient, ok, problem, warning

_PROBE = "aen-doctor--probe"  # stands for a project in {project}
_OTHERWISE = "Listen on a port below 1024, or at all addresses."
_FREE_FOR_ALL = 1024  # the lowest port that accounts other than root may listen on


def addresses(patient: Patient) -> Iterator[Finding]:
    """Whether the addresses that people use lead somewhere, and what they mean for isolation."""
    config = patient.config
    for option, url, listen in _urls(config):
        yield _resolved(option, url)
        yield from _other_loopback(option, url, listen)
    if "{project}" not in config.gateway.url:
        yield warning(
            "gateway.url",
            "all projects share one browser origin: code in one project's app can act in another that the same person "
            "has open",
            "Set gateway.url to https://{project}.apps.example.org, best below a domain apart from the server's, with a "
            "wildcard DNS record and certificate.",
        )
    if config.server.url.startswith("http:") and not _is_local(_host(config.server.url)):
        yield warning(
            "server.url",
            "is not HTTPS: passwords cross the network readable",
            "Set server.tls, or a front proxy with TLS.",
        )


def _urls(config: Config) -> Iterator[tuple[str, str, str]]:
    yield "server.url", config.server.url, config.server.listen
    yield "gateway.url", config.gateway.url, config.gateway.listen
    if config.gateway.api_url:
        yield "gateway.api_url", config.gateway.api_url, config.gateway.listen


def _resolved(option: str, url: str) -> Finding:
    """Which addresses the name has on this machine."""
    host = _host(url)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        wild = " (a wildcard DNS record is needed for {project})" if "{project}" in url else ""
        if host.endswith(".localhost"):
            wild = " (browsers know it all the same; for other programs there is gateway.api_url)"
            cure = f"Nothing for people in a browser; scripts on this machine need gateway.api_url, or {host} in /etc/hosts."
            return warning(option, f"{host} does not resolve on this machine{wild}", cure)
        return problem(
            option,
            f"{host} does not resolve on this machine{wild}",
            f"Add a DNS record, or set {option} to a name that has one.",
        )
    known = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    return ok(option, url if known == [host] else f"{url}: {host} is {', '.join(known)}")


def _other_loopback(option: str, url: str, listen: str) -> Iterator[Finding]:
    """`localhost` is two addresses. Where we listen at one of them, any account of the machine may listen at the other."""
    host = _host(url)
    if listen.startswith("unix:") or not (host == "localhost" or host.endswith(".localhost")):
        return
    name, port = split_listen(listen)
    ours = _loopback(name)
    if not ours or not port:
        return
    other = "127.0.0.1" if ":" in ours else "::1"
    shown, instead = _shown(other, port), ""
    if "{project}" not in url:
        instead = f"Use {url.replace(host, _shown(ours), 1)} as {option}: only one program can be there."
    state = _bindable(other, port)
    if state == errno.EADDRINUSE:
        yield problem(
            option,
            f"{host} is {shown} too, where another program listens: it may be sent logins",
            instead or _OTHERWISE,
        )
    elif state == 0 and port >= _FREE_FOR_ALL:
        yield warning(
            option,
            f"{host} is {shown} too, where AEN does not listen: any account of this machine could, and browsers that "
            f"try it first would send it people's logins",
            instead or _OTHERWISE,
        )


def _loopback(host: str) -> str:
    """The one address of the loopback that a listener takes; empty when it takes another, or all."""
    try:
        found = "" if host == "*" else str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
        return found if found and ipaddress.ip_address(found).is_loopback else ""
    except (OSError, ValueError):
        return ""


def _shown(host: str, port: int | None = None) -> str:
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def _bindable(host: str, port: int) -> int:
    """0, or the errno that says why nobody can listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((host, port))
    except OSError as error:
        return error.errno or errno.EINVAL
    return 0


def _host(url: str) -> str:
    return urlsplit(url.replace("{project}", _PROBE)).hostname or ""


def _is_local(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost") or host.startswith("127.") or host == "::1"
