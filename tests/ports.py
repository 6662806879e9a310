"""Free ports for programs that tests start: none that another test run, or an outgoing connection, may take meanwhile."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_FIRST = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_claims: list[socket.socket] = []  # kept until this process ends


def free_port() -> int:
    """One port on the loopback interface that is this process' own until it ends."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """`count` such ports. RuntimeError when there are not as many."""
    candidates = list(range(_FIRST, _end()))
    random.shuffle(candidates)
    found: list[int] = []
    while len(found) < count:
        if not candidates:
            raise RuntimeError(f"No {count} ports are free below {_end()}. End what listens there.")
        if _claimed(port := candidates.pop()):
            found.append(port)
    return found


def _end() -> int:
    """Where the kernel begins to choose ports by itself: one from there could be a connection's before the program binds it."""
    try:
        low = int(_RANGE.read_text().split()[0])
    except (OSError, ValueError):
        low = 32_768
    return low if low > _FIRST + 1_000 else 32_768  # a machine that lets the kernel choose from nearly all


def _claimed(port: int) -> bool:
    """Whether nobody listens there and no other test process was given it: an abstract socket of its name is the claim."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0aen-test-port-{port}")
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True
