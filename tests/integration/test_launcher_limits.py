"""Limits of sessions, kept by real control groups: memory, processes, processors of all an app starts; and what is told of it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aen.launchers import Account, Process, preparation
from aen.launchers.cgroups import Cgroups
from aen.launchers.keeping import kept_here
from aen.launchers.process import ProcessLauncher
from tests.launching import Place, app
from tests.waiting import until

HOW, HOLDS = kept_here() if os.geteuid() == 0 else ("rlimits", frozenset())
pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts")]

ONE, TWO = "a" * 16, "b" * 16
MB = 1 << 20
#: Takes memory in many processes, each of which stays far below the limit, and tells how many live.
MANY = "for i in 1 2 3 4 5 6 7 8; do python3 -c 'x = bytearray(16 << 20); import time; time.sleep(60)' & done; wait"


def needs(limit: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(limit not in HOLDS, reason=f"no controller of control groups keeps {limit} here ({HOW})")


async def ended(launcher: ProcessLauncher, process: Process) -> int | None:
    async with asyncio.timeout(30):
        return await asyncio.shield(launcher.exited(process))


def test_the_machine_is_told_of(spot: Place) -> None:
    with_launcher = spot.spawn()
    try:
        assert with_launcher.limits == {"how": HOW, "whole_session": sorted(HOLDS)}
    finally:
        with_launcher.close()


@needs("memory_bytes")
async def test_memory_of_all_its_processes_together(launcher: ProcessLauncher, ann: Account) -> None:
    """No process alone is large: an rlimit would not notice. The leader lives on, and that it lost some is told."""
    process = await launcher.start(app(ONE, ann, MANY, limits={"memory_bytes": 64 * MB}))

    async def some_were_ended() -> bool:
        return (await launcher.usage())[ONE].out_of_memory > 0

    try:
        await until(some_were_ended, 30, "the kernel ended some")
        assert not launcher.exited(process).done()
    finally:
        await launcher.stop(process, 0)


@needs("memory_bytes")
async def test_an_app_that_takes_too_much_itself(launcher: ProcessLauncher, ann: Account) -> None:
    greedy = "exec python3 -c 'x = bytearray(500 << 20)'"
    process = await launcher.start(app(ONE, ann, greedy, limits={"memory_bytes": 64 * MB}))
    assert await ended(launcher, process) == -9
    assert launcher.ran_out_of_memory(process)
    await launcher.stop(process, 0)
    killed = await launcher.start(app(TWO, ann, "kill -9 $$", limits={"memory_bytes": 64 * MB}))
    assert await ended(launcher, killed) == -9
    assert not launcher.ran_out_of_memory(killed)
    await launcher.stop(killed, 0)


@needs("processes")
async def test_a_fork_bomb_hurts_its_own_session_only(launcher: ProcessLauncher, ann: Account) -> None:
    """Even another session of the same person starts meanwhile and does its work; and the bomb can be stopped."""
    bomb = await launcher.start(app(ONE, ann, "b() { b | b & }; b; sleep 60", limits={"processes": 60}))

    async def it_is_full() -> bool:
        return (await launcher.usage())[ONE].processes >= 50

    try:
        await until(it_is_full, 30, "it has all it may have")
        other = await launcher.start(app(TWO, ann, "ls / | wc -l; echo worked", limits={"processes": 60}))
        assert await ended(launcher, other) == 0
        assert (await launcher.log_tail(TWO, 5)).endswith("worked")
        assert (await launcher.usage())[ONE].processes <= 60
    finally:
        await launcher.stop(bomb, 0)
    assert (await launcher.usage()).get(ONE) is None


@needs("cpu_millis")
async def test_processors(launcher: ProcessLauncher, ann: Account) -> None:
    """A tenth of a processor for one that wants two: what it was given is counted, not how long that took."""
    busy = "(while :; do :; done) & while :; do :; done"
    process = await launcher.start(app(ONE, ann, busy, limits={"cpu_millis": 100}))
    try:
        before, began = (await launcher.usage())[ONE], time.monotonic()

        async def a_while() -> bool:
            return time.monotonic() - began > 3

        await until(a_while, 10, "three seconds")
        used = (await launcher.usage())[ONE].cpu_seconds - before.cpu_seconds
        assert 0 < used / (time.monotonic() - began) < 0.3
    finally:
        await launcher.stop(process, 0)


@pytest.mark.skipif(HOW != "cgroups", reason=f"groups are not ours to make here ({HOW})")
async def test_nothing_is_left_behind(spot: Place) -> None:
    """Not by a launcher that ends, and what one left that was killed goes with the next, as do those of other places."""
    label = preparation.label(spot.policy)
    async with spot.launcher() as launcher:
        ann = await launcher.ensure_account("aentann")
        process = await launcher.start(app(ONE, ann, "sleep 60"))
        tops = list(Path("/sys/fs/cgroup").glob(f"*/aen-{label}"))
        assert groups_in(tops[0]) == [f"{ONE}.1"]
        await launcher.stop(process, 0)

        async def group_is_gone() -> bool:
            return groups_in(tops[0]) == []

        await until(group_is_gone, 10, "its group is removed")
    assert not any(top.exists() for top in tops)


@pytest.mark.skipif(HOW != "cgroups", reason=f"groups are not ours to make here ({HOW})")
def test_old_empty_groups_are_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    lost, mine = Cgroups("aent0000"), Cgroups("aent0001")
    group = lost.make("x.1")
    kept = mine.make("y.1")
    assert group is not None
    assert kept is not None
    try:
        mine.sweep([])
        assert group.path.exists()  # young: somebody may be about to use it
        monkeypatch.setattr("aen.launchers.cgroups._YOUNG_SECONDS", -1)
        sweep_only(monkeypatch, ("aen-aent0000", "aen-aent0001"))
        mine.sweep([kept.path])
        assert not group.path.exists()
        assert not group.path.parent.exists()
        assert kept.path.exists()
    finally:
        group.remove()
        kept.remove()
        lost.close()
        mine.close()


def groups_in(top: Path) -> list[str]:
    return [path.name for path in top.iterdir() if path.is_dir()]


def sweep_only(monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]) -> None:
    """Other AENs of this machine are not ours to sweep here."""
    real = Path.glob

    def only(self: Path, pattern: str) -> Iterator[Path]:
        return (path for path in real(self, pattern) if path.name in names)

    monkeypatch.setattr(Path, "glob", only)
