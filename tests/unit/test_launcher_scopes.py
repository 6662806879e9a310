"""Scopes when systemd does not do as asked: it refuses, hangs, goes away or speaks nonsense. Each app starts all the same."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aen.errors import Invalid
from aen.launchers import dbus
from aen.launchers.cgroups import Cgroup
from aen.launchers.systemd import Scopes


class Hand:
    """A loop turned by hand."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.watched: dict[int, Callable[[], None]] = {}

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.timers.append((seconds, call))

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        self.watched[fd] = call

    def unwatch(self, fd: int) -> None:
        self.watched.pop(fd, None)

    def time_is_up(self) -> None:
        timers, self.timers = self.timers, []
        for _, call in timers:
            call()


class Bus:
    """A socket that lets in and then does what a test wants."""

    def __init__(self, path: Path, greeting: bytes = b"OK 0123\r\n") -> None:
        self._greeting = greeting
        self.heard: list[bytes] = []
        self.connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.recv(512)
            sock.sendall(self._greeting)
            self.connections.append(sock)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for sock in self.connections:
            sock.close()


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    made = Bus(tmp_path / "bus")
    yield made
    made.close()


def answer(serial: int, error: str = "") -> bytes:
    """A return, or an error with words."""
    signature = "s" if error else "o"
    body = dbus._marshal(signature, [error or "/job/1"])
    fields = [(5, dbus.Value("u", serial)), (8, dbus.Value("g", signature))]
    head = dbus._marshal("yyyyuua(yv)", [ord("l"), 3 if error else 2, 0, 1, len(body), 9, fields])
    return head + b"\0" * (-len(head) % 8) + body


def asked(path: Path) -> tuple[Scopes, Hand, list[Cgroup | None]]:
    """Scopes, of which one was asked for, for a process that is in none."""
    hand, placed = Hand(), list[Cgroup | None]()
    scopes = Scopes("aent0000", hand, str(path))  # type: ignore[arg-type]
    scopes.place("a.1", 1, {"processes": 5}, placed.append)
    return scopes, hand, placed


def test_none_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, _, placed = asked(tmp_path / "nothing")
    assert placed == [None]
    assert "made no scope for aen-aent0000-a.1.scope" in capfd.readouterr().err


def test_it_says_no(tmp_path: Path, bus: Bus, capfd: pytest.CaptureFixture[str]) -> None:
    scopes, hand, placed = asked(tmp_path / "bus")
    until_one(bus).sendall(answer(1, "Unit is masked."))
    (readable,) = hand.watched.values()
    readable()
    assert placed == [None]
    assert "Unit is masked." in capfd.readouterr().err
    hand.time_is_up()
    assert placed == [None]  # once
    scopes.close()


def test_it_does_not_know_a_property(tmp_path: Path, bus: Bus) -> None:
    """Asked again without it, and never with it any more."""
    scopes, hand, placed = asked(tmp_path / "bus")
    sock = until_one(bus)
    assert b"OOMPolicy" in sock.recv(4096)
    sock.sendall(answer(1, "Cannot set property OOMPolicy, or unknown property."))
    (readable,) = hand.watched.values()
    readable()
    assert placed == []
    second = sock.recv(4096)
    assert b"TasksMax" in second
    assert b"OOMPolicy" not in second
    scopes.close()


@pytest.mark.parametrize("limited", [True, False])
def test_a_limit_of_memory_is_none_of_memory_and_swap(tmp_path: Path, bus: Bus, limited: bool) -> None:
    scopes = Scopes("aent0000", Hand(), str(tmp_path / "bus"))  # type: ignore[arg-type]
    scopes.place("a.1", 1, {"memory_bytes": 1 << 30} if limited else {"processes": 5}, lambda group: None)
    assert (b"MemorySwapMax" in until_one(bus).recv(4096)) == limited
    scopes.close()


def test_it_hangs(tmp_path: Path, bus: Bus) -> None:
    scopes, hand, placed = asked(tmp_path / "bus")
    until_one(bus)
    hand.time_is_up()
    assert placed == [None]
    scopes.close()


@pytest.mark.parametrize("words", [b"", b"l" + b"\xff" * 40, b"B" * 40, answer(1)[:-1] + b"\xff" * 3])
def test_it_goes_away_or_speaks_nonsense(tmp_path: Path, bus: Bus, words: bytes) -> None:
    """The connection is given up; the next start makes a new one."""
    scopes, hand, placed = asked(tmp_path / "bus")
    sock = until_one(bus)
    sock.sendall(words)
    sock.close()
    while hand.watched:
        (readable,) = hand.watched.values()
        readable()
    hand.time_is_up()
    assert placed == [None]
    scopes.place("b.1", 1, {}, placed.append)
    assert len(hand.watched) == 1
    scopes.close()


def test_it_lets_nobody_in(tmp_path: Path) -> None:
    bus = Bus(tmp_path / "other", b"REJECTED EXTERNAL\r\n")
    try:
        with pytest.raises(Invalid):
            dbus.connect(str(tmp_path / "other"), 1)
        _, _, placed = asked(tmp_path / "other")
        assert placed == [None]
    finally:
        bus.close()


def until_one(bus: Bus) -> socket.socket:
    """The connection, once the bus's thread has it."""
    while not bus.connections:
        threading.Event().wait(0.01)
    return bus.connections[0]
