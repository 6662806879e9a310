"""Listeners: bound while the process may still bind low ports; a taken port says who has it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from aen.config import Config
from aen.config.checks import split_listen
from aen.errors import Conflict, Invalid


def wanted(config: Config, roles: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """The listeners that `roles` need: name → (option, address). "ops" is the node's own."""
    listens = {"ops": ("ops.listen", "" if config.ops.listen == "off" else config.ops.listen)}
    if "server" in roles:
        listens["server"] = ("server.listen", config.server.listen)
        listens["server.redirect"] = ("server.redirect_listen", config.server.redirect_listen)
    if "gateway" in roles:
        listens["gateway"] = ("gateway.listen", config.gateway.listen)
        listens["gateway.redirect"] = ("gateway.redirect_listen", config.gateway.redirect_listen)
    if "compute" in roles and "gateway" not in roles:  # who is in one process needs no port between them
        listens["compute"] = ("compute.listen", config.compute.listen)
    return {name: place for name, place in listens.items() if place[1]}


def is_unix(place: tuple[str, str]) -> bool:
    """Whether a listener is a unix socket."""
    return place[1].startswith("unix:")


def bind(listens: Mapping[str, tuple[str, str]], *, shared: bool = False) -> dict[str, socket.socket]:
    """Bind them all, or none. They don't listen yet: a port opens when its role does.

    `shared`: others of this account that say so too may bind the gateway's ports at the same time. Raises Conflict (taken) or Invalid (may not, no such address), naming the option.
    """
    bound: dict[str, socket.socket] = {}
    try:
        for name, (option, address) in listens.items():
            bound[name] = _bound(option, address, shared=shared and name.startswith("gateway"))
    except BaseException:
        close(bound)
        raise
    return bound


def for_workers(bound: Mapping[str, socket.socket], workers: int) -> dict[str, socket.socket]:
    """A listener of its own for each worker of the gateway but the first, at the same address; the kernel shares out."""
    made: dict[str, socket.socket] = {}
    first = bound.get("gateway")
    if first is not None:
        made = {f"gateway.{number}": _another(first) for number in range(1, workers)}
    return made


def _another(first: socket.socket) -> socket.socket:
    if first.family == socket.AF_UNIX:
        return first.dup()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # after it was bound: so nobody else had the port
    host, port = first.getsockname()[:2]
    return _bound_one(first.family, host, port, shared=True)


def bind_private(path: Path, uid: int, gid: int) -> dict[str, socket.socket]:
    """A server listener that nobody but `uid` can reach: for a command that stands in for a server."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
        os.chown(path, uid, gid)
    finally:
        os.umask(before)
    return {"server": sock}


def close(bound: Mapping[str, socket.socket]) -> None:
    """Close them all."""
    for sock in bound.values():
        sock.close()


def ports(bound: Mapping[str, socket.socket]) -> dict[str, int]:
    """The port of each TCP listener."""
    return {name: sock.getsockname()[1] for name, sock in bound.items() if sock.family != socket.AF_UNIX}


def _bound(option: str, address: str, *, shared: bool) -> socket.socket:
    if address.startswith("unix:"):
        return _bound_unix(option, address.removeprefix("unix:"))
    host, port = split_listen(address)
    try:
        return _bound_tcp(host, port, shared=shared)
    except OSError as error:
        raise _explained(error, option, address, port) from error


def _bound_tcp(host: str, port: int, *, shared: bool) -> socket.socket:
    if host == "*":
        with contextlib.suppress(OSError):  # no IPv6 on this machine, or taken: the second try tells
            return _bound_one(socket.AF_INET6, "::", port, shared=shared)
        return _bound_one(socket.AF_INET, "0.0.0.0", port, shared=shared)  # noqa: S104 - that is what `*` asks for
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    return _bound_one(family, str(address[0]), port, shared=shared)


def _bound_one(family: int, host: str, port: int, *, shared: bool) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _bound_unix(option: str, path: str) -> socket.socket:
    place = Path(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if place.is_socket():
            _refuse_if_alive(option, path)
            place.unlink()
        sock.bind(path)
        os.chmod(path, 0o666)  # noqa: S103 - the front proxy's account connects; it is as open as a port would be
    except OSError as error:
        sock.close()
        raise Invalid(f"{option}: can't make the socket {path}: {error.strerror or error}.") from error
    return sock


def _refuse_if_alive(option: str, path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.connect(path)
        raise Conflict(f"{option}: something listens on {path} already.")


def _explained(error: OSError, option: str, address: str, port: int) -> Conflict | Invalid:
    if error.errno == errno.EADDRINUSE:
        who = holder(port)
        taken = f"is taken by {who}" if who else "is taken by another program"
        return Conflict(f"{option}: port {port} {taken}. End it, or choose another port with {option}.")
    if error.errno == errno.EACCES:
        return Invalid(f"{option}: only root may use port {port}. Start AEN as root, or choose a port above 1023.")
    if error.errno == errno.EADDRNOTAVAIL:
        return Invalid(f"{option}: this machine has no address {address}. Name one that it has (ip address), or *.")
    return Invalid(f"{option}: can't listen on {address}: {error.strerror or error}.")


def holder(port: int) -> str:
    """`name (pid n)` of the process that listens on a TCP port, as far as we may see; else an empty string."""
    inodes = set(_listening_inodes(port))
    for entry in Path("/proc").iterdir() if inodes else ():
        if entry.name.isdigit() and _has_socket(entry, inodes):
            with contextlib.suppress(OSError):
                return f"{(entry / 'comm').read_text().strip()} (pid {entry.name})"
    return ""


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{fields[9]}]"


def _has_socket(process: Path, inodes: set[str]) -> bool:
    with contextlib.suppress(OSError):
        return any(os.readlink(link) in inodes for link in (process / "fd").iterdir())
    return False
