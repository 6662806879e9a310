"""500 nodes and 20,000 sessions at one server: heartbeats and events of simulated nodes over NATS, on a store that has it all.

Nodes and gateways run beside it in one process each, with the real messages; the server is the real program. Lag: how late
its event loop was. `AEN_BENCH_NODES=125,500` measures other numbers, with 40 sessions on each node.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aen.logins.local import hashed
from aen.model import now
from aen.model.project import Member, Project, ProjectState, Role
from aen.model.session import STEP_NAMES, Phase, Session, Step, StepState
from aen.store.sqlite import SqliteStore
from tests.bench.peers import nodes
from tests.bench.row import Row, percentile
from tests.bench.server import hand_over, make_user
from tests.bench.topology import cpu_of, pss_of
from tests.brokers import PlainBroker, plain_broker
from tests.program import Program
from tests.served import PASSWORD
from tests.waiting import until
from tests.world import ROOT, World, merged

SESSIONS = 40  # on each node
EVENTS = 20.0  # each second, of all nodes together
USERS = 5_000
WARM, SECONDS = 10.0, 30.0
_SPREAD = 200  # documents written at once


@dataclass(frozen=True)
class Seen:
    """What the server took in a time of measuring."""

    cpu: float  # seconds of processor each second
    writes: float  # documents each second
    commits: float
    lag: list[float]
    memory: float
    lost: int


class Alone(World):
    """A server by itself on a NATS without credentials: it hears whoever speaks there, on this machine."""

    def __init__(self, broker: PlainBroker) -> None:
        self._broker = broker.url
        super().__init__(options={"log": {"level": "warning"}})

    def configuration(self) -> dict[str, Any]:
        """See World."""
        return merged(super().configuration(), {"bus": {"mode": "external", "url": self._broker}})

    def make_programs(self) -> dict[str, Program]:
        """See World."""
        return {"server": self.program_of("server", self.file, self.config)}


async def measure() -> AsyncIterator[Row]:
    """Row after row."""
    counts = [int(part) for part in os.environ.get("AEN_BENCH_NODES", "125,250,500").split(",")]
    least = 0.0
    for count in counts:
        name = f"{count} nodes, {count * SESSIONS:,} sessions"
        async with plain_broker() as broker:
            world = Alone(broker)
            generation = await _fill(world, count)
            begun = time.monotonic()
            with world, _simulated(broker, count, generation), _gateways(broker, count) as gateways:
                await until(lambda: _knows(world, count), 240, "the server leads to every session")  # noqa: B023
                assert world.process is not None
                yield Row(f"{name}: from the server's start until it leads to each", time.monotonic() - begun, "s")
                yield Row(f"{name}: processor time of that", cpu_of(world.process.pid), "s")
                yield Row(f"{name}: until the gateways know each route", await _all_told(gateways) - begun, "s")
                yield Row(f"{name}: processor time of two gateways until then", cpu_of(gateways.pid), "s")
                before, at = cpu_of(gateways.pid), time.monotonic()
                seen = await _watched(world)
                taken = (cpu_of(gateways.pid) - before) / (time.monotonic() - at)
                yield Row(
                    f"{name}: two gateways' processor, while {EVENTS / nodes.MOVES:g} routes/s change", taken * 100, "%"
                )
        for row in _rows(name, seen):
            yield row
        each = seen.cpu * 1000 / count
        yield Row(f"{name}: processor time for each node", each, "ms/s", least or None, "<= 1.25" if least else "")
        least = least or each


def _rows(name: str, seen: Seen) -> Iterator[Row]:
    yield Row(f"{name}: processor", seen.cpu * 100, "%")
    yield Row(f"{name}: lag, p50", percentile(seen.lag, 0.5) * 1000, "ms")
    yield Row(f"{name}: lag, p99", percentile(seen.lag, 0.99) * 1000, "ms")
    yield Row(f"{name}: lag, longest", max(seen.lag) * 1000, "ms")
    yield Row(f"{name}: documents written", seen.writes, "1/s")
    yield Row(f"{name}: commits", seen.commits, "1/s")
    yield Row(f"{name}: memory (PSS)", seen.memory, "MB")
    yield Row(f"{name}: events lost", float(seen.lost), "", None, "<= 0")


async def _watched(world: World) -> Seen:
    """How the server fares, once it has settled."""
    assert world.process is not None
    await asyncio.sleep(WARM)
    pid, before, cpu, begun = world.process.pid, await _parts(world), cpu_of(world.process.pid), time.monotonic()
    lag: list[float] = []
    while time.monotonic() - begun < SECONDS:
        asked = time.monotonic()
        await asyncio.to_thread(_live, world)
        lag.append(time.monotonic() - asked)
        await asyncio.sleep(0.02)
    took, after = time.monotonic() - begun, await _parts(world)
    store, was = after["server"]["store"], before["server"]["store"]
    return Seen(
        cpu=(cpu_of(pid) - cpu) / took,
        writes=(store["writes"] - was["writes"]) / took,
        commits=(store["commits"] - was["commits"]) / took,
        lag=lag,
        memory=pss_of(pid),
        lost=after["bus"]["lost"] + after["bus"]["refused"],
    )


def _live(world: World) -> None:
    with urllib.request.urlopen(f"{world.ops}/-/live", timeout=30) as answer:
        answer.read()


async def _parts(world: World) -> dict[str, Any]:
    found: dict[str, Any] = (await asyncio.to_thread(world.health))["parts"]
    return found


async def _knows(world: World, count: int) -> bool:
    return bool((await _parts(world))["server"]["routes"] == count * SESSIONS)


@contextmanager
def _simulated(broker: PlainBroker, count: int, generation: int) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.bench.peers.nodes", broker.url]
    command += [str(count), str(SESSIONS), str(EVENTS), str(generation)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            yield
            assert process.poll() is None, "the simulated nodes ended"
        finally:
            process.terminate()


@contextmanager
def _gateways(broker: PlainBroker, count: int) -> Iterator[subprocess.Popen[str]]:
    """The gateway of each data center, in one process."""
    centers = [nodes.center(number) for number in range(count)]
    command = [sys.executable, "-m", "tests.bench.peers.gateways", broker.url]
    with tempfile.TemporaryDirectory(prefix="aen-bench-") as folder:
        command += [folder, *(f"{name}={centers.count(name) * SESSIONS}" for name in sorted(set(centers)))]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
                assert process.poll() is None, "the gateways ended"
            finally:
                process.terminate()


async def _all_told(gateways: subprocess.Popen[str]) -> float:
    """When (monotonic) the last of both gateways knew every route."""
    assert gateways.stdout is not None
    async with asyncio.timeout(240):
        lines = [await asyncio.to_thread(gateways.stdout.readline) for _ in range(2)]
    return max(float(line.split()[1]) for line in lines)


# ── what is there ───────────────────────────────────────────────────────────────────────────────────


async def _fill(world: World, count: int) -> int:
    """Users, projects, and sessions that run. Returns the sessions' generation."""
    data = Path(world.config["data_dir"])
    data.mkdir(parents=True)
    password, generation = await hashed(PASSWORD), 1
    async with SqliteStore(data / "aen.db") as store:
        await _insert(store, "users", (make_user(number, password) for number in range(USERS)))
        await _insert(store, "projects", (doc for number in range(count) for doc in _projects(number)))
        await _insert(store, "sessions", (doc for number in range(count) for doc in _sessions(number, generation)))
    hand_over(data)
    return generation


async def _insert(store: SqliteStore, collection: str, docs: Iterator[dict[str, Any]]) -> None:
    batch: list[Any] = []
    for doc in docs:
        batch.append(store.insert(collection, doc))
        if len(batch) == _SPREAD:
            await asyncio.gather(*batch)
            batch = []
    await asyncio.gather(*batch)


def _projects(number: int) -> Iterator[dict[str, Any]]:
    """The projects of a node, each with the four people who work in it."""
    for first in range(0, SESSIONS, 4):
        those = [nodes.session(number, which) for which in range(first, min(first + 4, SESSIONS))]
        team = [
            Member(user=user, role=Role.OWNER if not place else Role.MEMBER) for place, (_, user, _) in enumerate(those)
        ]
        id, owner = those[0][0], those[0][1]
        project = Project(
            id=id,
            slug=f"{owner}/{id}",
            owner=owner,
            name=id,
            team=team,
            members=[member.user for member in team],
            datacenter=nodes.center(number),
            node=nodes.node(number),
            placed=True,
            state=ProjectState.RUNNING,
            search=id,
        )
        yield project.model_dump(mode="json")


def _sessions(number: int, generation: int) -> Iterator[dict[str, Any]]:
    for which in range(SESSIONS):
        project, user, id = nodes.session(number, which)
        owner = nodes.session(number, which // 4 * 4)[1]
        session = Session(
            id=id,
            project=project,
            slug=f"{owner}/{project}",
            owner=owner,
            name=project,
            app_server="jupyter",
            app="jupyterlab",
            user=user,
            started_by=user,
            datacenter=nodes.center(number),
            node=nodes.node(number),
            generation=generation,
            phase=Phase.RUNNING,
            activity=now(),
            steps=[Step(name=name, state=StepState.DONE, seconds=0.1) for name in STEP_NAMES],
        )
        yield session.model_dump(mode="json")
