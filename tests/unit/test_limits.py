"""Limits on sign-in attempts, with a clock that the test turns."""

from __future__ import annotations

import pytest

from aen.errors import TooMany
from aen.roles.server.limits import Attempts, network


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def failed(attempts: Attempts, times: int, account: str = "alice", address: str = "10.0.0.1") -> None:
    for _ in range(times):
        attempts.failed(account, address)


def wait(attempts: Attempts, account: str = "alice", address: str = "10.0.0.1") -> float:
    try:
        attempts.check(account, address)
    except TooMany as error:
        return error.retry_after or -1
    return 0.0


def test_the_wait_doubles_and_has_an_end() -> None:
    clock = Clock()
    attempts = Attempts(3, clock)
    failed(attempts, 2)
    assert wait(attempts) == 0
    waits = []
    for _ in range(12):
        failed(attempts, 1)
        waits.append(wait(attempts))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    clock.now += 301
    assert wait(attempts) == 0


def test_all_is_forgotten_after_a_quarter_of_an_hour() -> None:
    clock = Clock()
    attempts = Attempts(3, clock)
    failed(attempts, 20)
    clock.now += 901
    failed(attempts, 1)
    assert wait(attempts) == 0


def test_success_clears_the_account_and_not_the_address() -> None:
    attempts = Attempts(3, Clock())
    failed(attempts, 2)
    attempts.succeeded("alice", "10.0.0.1")
    failed(attempts, 1, account="bob")
    assert wait(attempts, "carol") > 0
    assert wait(attempts, "alice", "10.0.0.2") == 0


def test_a_known_address_is_held_up_by_its_own_failures_only() -> None:
    attempts = Attempts(3, Clock())
    attempts.succeeded("alice", "10.0.0.1")
    for last in range(10):
        failed(attempts, 1, address=f"10.1.0.{last}")
    assert wait(attempts, address="10.1.1.1") > 0
    assert wait(attempts, address="10.0.0.1") == 0
    failed(attempts, 3, address="10.0.0.1")
    assert wait(attempts, address="10.0.0.1") > 0


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", ""),
        ("x" * 1000, "x" * 64),
    ],
)
def test_what_counts_as_one_address(address: str, counted: str) -> None:
    assert network(address) == counted


def test_memory_is_bounded() -> None:
    attempts = Attempts(3, Clock())
    for number in range(60_000):
        attempts.failed(f"name{number}", f"10.{number % 250}.{number // 250 % 250}.1")
    assert len(attempts._failures) <= 100_000
