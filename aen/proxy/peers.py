"""Peers: who is at the other end of a connection to an app, and whether a client's address is that of a trusted proxy.

A person could replace their app's socket by a link to somebody else's: so the uid is checked before a byte is sent.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

QUIET_SECONDS, PROBES = 60, 4  # after so long without a byte a peer's host is asked whether it is still there, so often
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_TABLES = {socket.AF_INET: Path("/proc/net/tcp"), socket.AF_INET6: Path("/proc/net/tcp6")}
_LISTEN = "0A"


class Stranger(Exception):
    """Somebody else than expected listens there."""


def unix_uid(connected: socket.socket) -> int:
    """The uid of whoever listens on a unix socket that we are connected to."""
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[1])


def tcp_uids(family: int, port: int) -> set[int]:
    """The uids of all that listen on a TCP port of this host, on whichever address. Reads /proc: may take milliseconds."""
    found = set()
    for line in _TABLES[socket.AddressFamily(family)].read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
            found.add(int(words[7]))
    return found


def loopback(host: str) -> bool:
    """Whether `host` is an address of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def notice_silent_ends(sock: socket.socket) -> None:
    """Have the kernel see when a peer's host is gone without a word (no FIN). A listener's connections inherit it."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, QUIET_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, QUIET_SECONDS // PROBES))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
    sock.setsockopt(
        socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, QUIET_SECONDS * 2 * 1000
    )  # what it has not acknowledged


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks that `trusted_proxies` names. Raises ValueError."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def trusted(address: str, those: Sequence[Network]) -> bool:
    """Whether `address` is in one of `those`."""
    try:
        here = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(here.version == network.version and here in network for network in those)


def client_address(peer: str, claimed: bytes, those: Sequence[Network]) -> str:
    """The client's address: the last in X-Forwarded-For that is no trusted proxy, if the peer is one; else the peer."""
    address = peer
    for part in reversed(claimed.decode("latin-1").split(",")):
        if not trusted(address, those):
            break
        try:
            address = str(ipaddress.ip_address(part.strip()))
        except ValueError:
            break
    return address
