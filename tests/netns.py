"""Network namespaces: hosts of a small network on this machine, joined by cables only where a test lays one.

Nobody forwards: a host reaches those it has a cable to, and no one else, as behind a firewall that drops all else.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_CLONE_NEWNET = 0x40000000


def why_not() -> str:
    """Why namespaces can't be had here; empty: they can."""
    if os.geteuid():
        return "needs root, to make network namespaces"
    name = f"aent-{os.getpid()}-try"
    try:
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    except FileNotFoundError:
        return "needs the program ip (Debian: iproute2)"
    if made.returncode:
        return f"network namespaces can't be made here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return ""


class Network:
    """Hosts by name. `addresses[host, other]` is the address of `host` on its cable to `other`."""

    def __init__(self) -> None:
        self._mark = f"aent-{os.getpid()}"
        self._hosts: list[str] = []
        self.addresses: dict[tuple[str, str], str] = {}

    def host(self, name: str) -> None:
        """A host with a loopback of its own."""
        _ip("netns", "add", self.namespace(name))
        self._hosts.append(name)
        _ip("-n", self.namespace(name), "link", "set", "lo", "up")

    def cable(self, one: str, other: str) -> None:
        """Join two hosts."""
        number = len(self.addresses) // 2
        ends = (f"at{os.getpid() % 100000}a{number}", f"at{os.getpid() % 100000}b{number}")
        _ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for host, peer, end, last in ((one, other, ends[0], 1), (other, one, ends[1], 2)):
            space, address = self.namespace(host), f"10.213.{number}.{last}"
            _ip("link", "set", end, "netns", space)
            _ip("-n", space, "address", "add", f"{address}/30", "dev", end)
            _ip("-n", space, "link", "set", end, "up")
            self.addresses[host, peer] = address

    def namespace(self, host: str) -> str:
        """What `ip netns exec` calls it."""
        return f"{self._mark}-{host}"

    def on(self, host: str, work: Callable[[], T]) -> T:
        """Do something on a host: in a thread of its own, whose sockets are that host's for as long as they live."""
        found: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                _enter(Path("/run/netns") / self.namespace(host))
                found.append(work())
            except BaseException as error:  # told to whoever asked
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return found[0]

    def listen(self, host: str, address: str, port: int = 0) -> socket.socket:
        """A listener on a host."""
        return self.on(host, lambda: socket.create_server((address, port)))

    def reaches(self, host: str, address: str, port: int) -> bool:
        """Whether a connection can be made from a host."""

        def probe() -> bool:
            try:
                socket.create_connection((address, port), 1).close()
            except OSError:
                return False
            return True

        return self.on(host, probe)

    def remove(self) -> None:
        """Leave nothing behind: cables go with their hosts."""
        for host in self._hosts:
            subprocess.run(["ip", "netns", "del", self.namespace(host)], check=False)


@contextmanager
def network() -> Iterator[Network]:
    """A network without hosts, removed at the end."""
    made = Network()
    try:
        yield made
    finally:
        made.remove()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _enter(place: Path) -> None:
    """Only this thread goes there."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"can't enter {place}")
    finally:
        os.close(descriptor)
