"""What the kernel ended for want of memory is told of scopes that are gone, of those alone, and once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aen.launchers.toll import Toll


class Slice:
    """A slice as the kernel shows it: its own count is that of all that ever lay below it."""

    def __init__(self, top: Path) -> None:
        self.top, self.total = top, 0
        self._write(top, 0)

    def scope(self, name: str) -> Path:
        self._write(self.top / f"{name}.scope", 0)
        return self.top / f"{name}.scope"

    def kill(self, scope: Path, count: int) -> None:
        self.total += 1
        self._write(scope, count)
        self._write(self.top, self.total)

    @staticmethod
    def gone(scope: Path) -> None:
        shutil.rmtree(scope)

    @staticmethod
    def _write(group: Path, count: int) -> None:
        group.mkdir(exist_ok=True)
        (group / "memory.events").write_text(f"low 0\nhigh 0\nmax 9\noom 9\noom_kill {count}\noom_group_kill 0\n")


@pytest.fixture
def kernel(tmp_path: Path) -> Slice:
    return Slice(tmp_path)


def test_one_that_is_there(kernel: Slice) -> None:
    toll, one = Toll(kernel.top), kernel.scope("one")
    assert toll.of(one) == 0
    kernel.kill(one, 1)
    assert toll.of(one) == 1


def test_one_that_was_taken_away_at_once(kernel: Slice) -> None:
    toll, one, other = Toll(kernel.top), kernel.scope("one"), kernel.scope("other")
    kernel.kill(one, 1)
    kernel.gone(one)
    assert (toll.of(one), toll.of(one), toll.of(other)) == (1, 1, 0)


def test_what_was_seen_of_one_is_not_told_of_the_next(kernel: Slice) -> None:
    toll, one, other = Toll(kernel.top), kernel.scope("one"), kernel.scope("other")
    kernel.kill(one, 1)
    assert toll.of(one) == 1
    kernel.gone(one)
    toll.settled(one)
    kernel.gone(other)
    assert toll.of(other) == 0


@pytest.mark.parametrize("settled", [True, False])
def test_one_whose_scope_stays_a_little(kernel: Slice, settled: bool) -> None:
    """Settled while it is still there: its count must not be lost, nor be counted twice."""
    toll, one, other = Toll(kernel.top), kernel.scope("one"), kernel.scope("other")
    kernel.kill(one, 1)
    assert toll.of(one) == 1
    if settled:
        toll.settled(one)
    kernel.gone(one)
    kernel.kill(other, 1)
    kernel.gone(other)
    assert toll.of(other) == 1


def test_what_was_before_us_is_nobodys(kernel: Slice) -> None:
    lost, one = kernel.scope("lost"), kernel.scope("one")
    kernel.kill(lost, 1)
    kernel.gone(lost)
    kernel.kill(one, 1)
    toll = Toll(kernel.top)
    kernel.gone(one)
    assert toll.of(one) == 1
    other = kernel.scope("other")
    kernel.gone(other)
    assert toll.of(other) == 0


def test_without_a_slice_or_a_controller(tmp_path: Path) -> None:
    toll = Toll(tmp_path / "none")
    assert toll.of(tmp_path / "none/one.scope") == 0
