"""The reference topology on one machine: a server, two data centers, 50 compute nodes, each its own process over NATS.

Cold start: every process and broker ended, then all started at once, until the server hears each node and each can start
apps. Joining (an invitation and a certificate each) is told apart. `AEN_BENCH_NODES=4,6` measures a smaller one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from aen.bus.broker import stop
from tests.bench.row import Row
from tests.topology import Topology
from tests.waiting import until

_TICKS = os.sysconf("SC_CLK_TCK")
_OPEN_SECONDS = 120.0


async def measure() -> AsyncIterator[Row]:
    """Row after row."""
    paris, lyon = (int(part) for part in os.environ.get("AEN_BENCH_NODES", "20,30").split(","))
    topology = Topology({"paris": paris, "lyon": lyon})
    begun = time.monotonic()
    with topology:
        await asyncio.to_thread(topology.wait_all)
        yield Row(f"{paris + lyon} hosts joined, and up for the first time", time.monotonic() - begun, "s")
        await asyncio.to_thread(topology.stop)
        for folder in topology.folder.glob("*/broker"):
            await stop(folder.parent)
        begun = time.monotonic()
        topology.spawn_rest()
        await asyncio.to_thread(topology.wait_all)
        yield Row(f"cold start of all {3 + paris + lyon} processes", time.monotonic() - begun, "s", None, "<= 60")
        for row in _sizes(topology):
            yield row
        async for row in _used(topology):
            yield row


def _sizes(topology: Topology) -> Iterator[Row]:
    nodes = [name for name, one in topology.programs.items() if one.role == "compute"]
    main = [_pid(topology, name) for name in nodes]
    beside = [topology.launcher_of(name) for name in nodes]
    yield Row("memory of a compute node (PSS, median)", median(map(pss_of, main)), "MB", None, "<= 60")
    yield Row("memory of its launcher (PSS, median)", median(map(pss_of, beside)), "MB")
    yield Row("processor time of a compute node until here (median)", median(map(cpu_of, main)), "s")
    for name in ("server", "edge-paris"):
        yield Row(f"memory of {name} (PSS)", pss_of(_pid(topology, name)), "MB")


async def _used(topology: Topology) -> AsyncIterator[Row]:
    """A project in each data center, used through its gateway; then a third one is added while they go on."""
    alice = await asyncio.to_thread(topology.add, "alice")
    token = {"Authorization": f"Bearer {await asyncio.to_thread(topology.token, alice)}"}
    async with aiohttp.ClientSession(headers=token) as http:
        sessions = []
        for center in topology.centers:
            begun = time.monotonic()
            url, steps = await _opened(http, topology, alice, center, "first")
            yield Row(f"a notebook of the first project in {center}, until it answers", time.monotonic() - begun, "s")
            for step in steps:
                yield Row(f"of that: step {step['name']}", step["seconds"] or 0.0, "s")
            sessions.append(url)
            begun = time.monotonic()
            await _opened(http, topology, alice, center, "second")
            yield Row(f"the same of a second project in {center}", time.monotonic() - begun, "s")
        waits: list[float] = []
        asking = [asyncio.create_task(_ask_on(http, url, waits)) for url in sessions]
        begun = time.monotonic()
        await asyncio.to_thread(topology.add_center, "oslo", 1)
        yield Row("a third data center, from nothing until it is ready", time.monotonic() - begun, "s")
        for task in asking:
            task.cancel()
        for done in await asyncio.gather(*asking, return_exceptions=True):
            assert isinstance(done, asyncio.CancelledError), f"a user was disturbed: {done!r}"
        yield Row(f"the users meanwhile: longest of {len(waits)} answers, none failed", max(waits), "s")
        await _opened(http, topology, alice, "oslo", "first")


async def _opened(
    http: aiohttp.ClientSession, topology: Topology, owner: str, center: str, which: str
) -> tuple[str, list[dict[str, Any]]]:
    """The address of a running notebook server of a new project there, and the steps of its start."""
    name = f"{which}-in-{center}"
    await _said(http, "POST", f"{topology.server}/api/v1/projects", {"name": name, "datacenter": center})
    place = f"{topology.server}/api/v1/projects/{owner}/{name}/sessions"
    session = await _said(http, "POST", place, {"app": "jupyterlab"})

    async def runs() -> dict[str, Any] | None:
        found = await _said(http, "GET", f"{topology.server}/api/v1/sessions/{session['id']}")
        assert found["phase"] not in ("PROBLEM", "LOST"), found
        return found if found["phase"] == "RUNNING" else None

    running = await until(runs, _OPEN_SECONDS, f"the notebook in {center} runs")
    url, steps = str(running["url"]), list[dict[str, Any]](running["steps"])
    assert url.startswith(topology.urls[center]), url

    async def answers() -> bool:
        with contextlib.suppress(aiohttp.ClientResponseError):
            return "started" in await _said(http, "GET", f"{url}api/status")
        return False

    await until(answers, 30, "its gateway leads there")
    return url, steps


async def _ask_on(http: aiohttp.ClientSession, url: str, waits: list[float]) -> None:
    while True:
        begun = time.monotonic()
        await _said(http, "GET", f"{url}api/status")
        waits.append(time.monotonic() - begun)
        await asyncio.sleep(0.05)


async def _said(http: aiohttp.ClientSession, method: str, url: str, body: Any = None) -> dict[str, Any]:
    async with http.request(method, url, json=body) as answer:
        answer.raise_for_status()
        found: dict[str, Any] = await answer.json()
        return found


def _pid(topology: Topology, name: str) -> int:
    process = topology.programs[name].process
    assert process is not None
    return process.pid


def pss_of(pid: int) -> float:
    """MB that are the process' own, and its share of what it shares."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu_of(pid: int) -> float:
    """Seconds of processor time that it has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
