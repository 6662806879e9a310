"""Ports of tests: no two processes are given the same one, and none lies where the kernel chooses by itself."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ports


def test_ports_lie_below_those_of_outgoing_connections() -> None:
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if low <= 11_000:
        pytest.skip(f"this machine lets the kernel choose from {low} on: nothing is left below")
    assert all(10_000 <= port < low for port in ports.free_ports(20))


def test_two_processes_are_never_given_the_same_port() -> None:
    mine = set(ports.free_ports(30))
    code = f"from tests import ports; ports._FIRST = {min(mine)}; ports._end = lambda: {max(mine) + 1}\n"
    code += f"print(*ports.free_ports({max(mine) - min(mine) + 1 - len(mine)} // 2))"
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not mine & set(map(int, theirs.split()))


def test_a_port_that_somebody_listens_on_is_not_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert not ports._claimed(port)
    assert ports._claimed(port)
    assert not ports._claimed(port)
