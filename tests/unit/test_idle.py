"""Idle: never while something works, never unannounced, never longer than was asked for; said as times."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aen.config.sessions import Idle as Policy
from aen.config.sessions import Limits, NodeLimits
from aen.roles.compute.activity import words
from aen.roles.compute.idle import Verdict, judge, pause
from aen.roles.compute.queue import Queue, ordinal

HOUR = 3_600_000
NOW = 1_700_000_000_000
POLICY = Policy(hours=2, warning_minutes=30, max_keep_hours=8)


def judged(policy: Policy = POLICY, now: int = NOW, **known: Any) -> Verdict:
    return judge(policy, now, **{"activity": NOW, "busy_since": 0, "keep_until": 0, "warned_at": 0, **known})


def test_used_lately() -> None:
    verdict = judged()
    assert verdict.idle.stops_at == NOW + 2 * HOUR
    assert (verdict.idle.warned, verdict.warned_at, verdict.stop) == (False, 0, False)


def test_what_works_is_never_stopped() -> None:
    verdict = judged(activity=NOW - 100 * HOUR, busy_since=NOW - 99 * HOUR, warned_at=NOW - HOUR)
    assert verdict.idle.busy_since == NOW - 99 * HOUR
    assert verdict.idle.stops_at == NOW + 2 * HOUR  # if it ended now
    assert (verdict.idle.warned, verdict.warned_at, verdict.stop) == (False, 0, False)


def test_warned_then_stopped() -> None:
    warned = judged(activity=NOW - 2 * HOUR + HOUR // 4)
    assert (warned.idle.warned, warned.warned_at, warned.stop) == (True, NOW, False)
    assert warned.idle.stops_at == NOW + HOUR // 2  # half an hour from the warning, as promised
    later = judged(now=warned.idle.stops_at, activity=NOW - 2 * HOUR + HOUR // 4, warned_at=NOW)
    assert later.stop


def test_found_idle_after_a_long_pause_is_warned_first() -> None:
    assert not judged(activity=NOW - 50 * HOUR).stop
    assert not judged(activity=NOW - 50 * HOUR, warned_at=NOW - HOUR // 4).stop
    assert judged(activity=NOW - 50 * HOUR, warned_at=NOW - HOUR // 2).stop


def test_use_calls_the_warning_off() -> None:
    assert judged(warned_at=NOW - HOUR // 4).warned_at == 0


def test_kept() -> None:
    verdict = judged(activity=NOW - 50 * HOUR, keep_until=NOW + 3 * HOUR, warned_at=NOW - HOUR)
    assert (verdict.idle.keep_until, verdict.idle.stops_at) == (NOW + 3 * HOUR, NOW + 3 * HOUR)
    assert not verdict.idle.warned
    over = judged(activity=NOW - 50 * HOUR, keep_until=NOW - 1)
    assert (over.idle.keep_until, over.idle.warned) == (0, True)


def test_never() -> None:
    verdict = judged(Policy(), activity=0, warned_at=5)
    assert (verdict.idle.stops_at, verdict.warned_at, verdict.stop) == (0, 0, False)


def test_the_warning_is_shorter_than_the_time() -> None:
    assert not judged(Policy(hours=0.01, warning_minutes=500)).idle.warned


def test_times() -> None:
    assert pause(Policy(hours=48)) == pause(Policy()) == 30
    assert 0.5 <= pause(Policy(hours=0.001)) < 1
    assert [words(hours) for hours in (24, 1, 0.5, 4 / 3600)] == ["24 hours", "1 hour", "30 minutes", "4 seconds"]
    assert [
        ordinal(n) for n in (1, 2, 3, 4, 11, 12, 21, 102, 113)
    ] == "1st 2nd 3rd 4th 11th 12th 21st 102nd 113th".split()


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 << 20), ("4G", 4 << 30), ("1.5 GiB", 3 << 29), ("33554432", 32 << 20), ("", 0)]
)
def test_memory(text: str, size: int) -> None:
    assert Limits.model_validate({"memory": text}).memory_bytes == size


@pytest.mark.parametrize("text", ["4 loaves", "-1G", "15M", "9999999T", "nan"])
def test_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        Limits.model_validate({"memory": text})


def test_a_node_bounds_processes_and_files() -> None:
    assert (NodeLimits().processes, NodeLimits().files, NodeLimits().memory_bytes) == (4096, 65536, 0)


class Waiter:
    """One who takes a turn: which places it was told, and whether it is in."""

    def __init__(self, queue: Queue) -> None:
        self.places: list[int] = []
        self.inside, self.leave = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._run(queue))

    async def _run(self, queue: Queue) -> None:
        async with queue.turn(self.places.append):
            self.inside.set()
            await self.leave.wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_queue_is_in_order_and_tells_places() -> None:
    queue = Queue(2)
    waiters = [Waiter(queue) for _ in range(5)]
    await settle()
    assert [waiter.inside.is_set() for waiter in waiters] == [True, True, False, False, False]
    assert [waiter.places for waiter in waiters] == [[], [], [1], [2], [3]]
    waiters[1].leave.set()
    await settle()
    assert [waiter.inside.is_set() for waiter in waiters] == [True, True, True, False, False]
    assert [waiter.places for waiter in waiters[2:]] == [[1], [2, 1], [3, 2]]
    waiters[3].task.cancel()  # told to stop while it waits
    await settle()
    assert waiters[4].places == [3, 2, 1]
    for waiter in waiters:
        waiter.leave.set()
    await asyncio.wait([waiter.task for waiter in waiters])
    assert waiters[4].inside.is_set()
    late = [Waiter(queue) for _ in range(3)]
    await settle()
    assert [waiter.inside.is_set() for waiter in late] == [True, True, False]  # no place was lost
    for waiter in late:
        waiter.leave.set()
    await asyncio.wait([waiter.task for waiter in late])


async def test_one_who_leaves_as_its_turn_comes_passes_it_on() -> None:
    queue = Queue(1)
    first, second, third = (Waiter(queue) for _ in range(3))
    await settle()
    first.leave.set()
    second.task.cancel()
    await settle()
    assert third.inside.is_set()
    third.leave.set()
    await asyncio.wait([first.task, second.task, third.task])
