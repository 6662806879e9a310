"""Ports: where a broker that AEN runs may listen."""

from __future__ import annotations

import socket
from pathlib import Path

from aen.config.checks import split_listen


def as_given(place: str) -> str:
    """`host:port`, with what `*` stands for on this machine."""
    host, port = split_listen(place)
    if host == "*":
        host = "::" if Path("/proc/net/if_inet6").exists() else "0.0.0.0"  # noqa: S104 - that is what `*` asks for
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def taken(place: str) -> bool:
    """Whether somebody listens there."""
    host, port = split_listen(place)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def free(place: str, besides: str = "") -> int:
    """A port that nobody has, and that `besides` does not name."""
    reserved = split_listen(besides)[1] if besides else 0
    with socket.create_server((split_listen(place)[0].replace("*", ""), 0)) as probe:
        found = int(probe.getsockname()[1])
        return found if found != reserved else free(place, besides)
