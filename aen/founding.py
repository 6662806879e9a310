"""Founding: the server of a distributed installation makes its own credentials, from the authority that it owns."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import structlog

from aen import nkeys
from aen.ca import Authority, Identity, Request, host_name, key_pem, make_key, read_certificate, request_pem
from aen.config import Config
from aen.config.checks import split_listen
from aen.config.machine import Machine
from aen.credentials import Credentials, Joined
from aen.errors import Invalid

log = structlog.get_logger(__name__)

NODE = "server"  # what the server's own node is called; no other may be


def found(config: Config, roles: tuple[str, ...], machine: Machine) -> Credentials:
    """The server's credentials: made at its first start, and again when its names or roles have changed."""
    authority = Authority.load_or_make(config.data_dir / "authority")
    center = config.gateway.datacenter if set(roles) & {"gateway", "compute"} else ""
    identity = Identity(NODE, roles, center)
    reached = _names(config, machine)
    bus_url = _bus_url(config)
    joined = Joined(NODE, roles, center, config.server.url, bus_url)
    present = Credentials.load(config.data_dir)
    if present is not None and present.joined.node != NODE:
        raise Invalid(
            f"{present.folder} holds the credentials of the node {present.joined.node}, not of a server. "
            "Give the server a data_dir of its own."
        )
    if present is not None and present.joined == joined and _still_right(present, identity, reached, authority):
        return present
    key = present.key.read_bytes() if present is not None else key_pem(make_key())
    issued = authority.issue(Request.read(request_pem(key, NODE, reached)), identity)
    log.info("the server's own credentials are made", names=",".join(reached), roles=",".join(roles))
    return Credentials.save(
        config.data_dir,
        joined,
        key=key,
        certificate=issued.certificate,
        authority=authority.bundle(),
        nkey=present.nkey.read_bytes() if present is not None else nkeys.make(),
    )


def _still_right(present: Credentials, identity: Identity, reached: list[str], authority: Authority) -> bool:
    seen = read_certificate(present.certificate.read_bytes())
    trusted = present.authority.read_bytes() == authority.bundle()
    return trusted and seen.identity == identity and set(seen.names) == set(reached)


def _names(config: Config, machine: Machine) -> list[str]:
    """What others may call this host when they reach its broker."""
    listened = split_listen(config.bus.listen)[0]
    found = [
        urlsplit(config.server.url).hostname or "",
        machine.host,
        socket.gethostname(),
        "" if listened in ("*", "0.0.0.0", "::") else listened,  # noqa: S104 - compared, not bound
        "localhost",
        "127.0.0.1",
        "::1",
    ]
    names = []
    for text in found:
        try:
            names.append(host_name(text))
        except Invalid:
            continue  # a host may be called what no certificate can say
    return list(dict.fromkeys(names))


def _bus_url(config: Config) -> str:
    """Where the server itself finds its broker."""
    host, port = split_listen(config.bus.listen)
    here = "127.0.0.1" if host in ("*", "0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
    return f"tls://{f'[{here}]' if ':' in here else here}:{port}"
