"""Simulated compute nodes: one process that says on the bus what so many nodes would say. `python -m tests.bench.peers.nodes …`.

Each heartbeat is the real message with real reports, its measurements change as a node's do (every 5 s), and the nodes
are spread over the 2 s between two heartbeats. Events: sessions whose people are warned that they will be stopped, or not;
each fourth has its app come back at another port, which changes its route.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time

from nats.aio.client import Client

from aen import names
from aen.bus import subjects
from aen.bus.wire import encode
from aen.messages import Event, NodeReported, SessionReport, SessionReported
from aen.model import now
from aen.model.node import Load
from aen.model.session import Idle, Phase, Use

BEAT, MEASURED, KEPT = 2.0, 5.0, 3_600_000  # seconds between heartbeats and measurements; ms
MOVES = 4  # one event in so many changes a route


def node(number: int) -> str:
    """The name of the node of that number."""
    return f"sim-{number:04}"


def session(number: int, which: int) -> tuple[str, str, str]:
    """Project id, person and session id of a node's session: four people share a project."""
    project = f"p{number:04}x{which // 4:03}"
    user = f"u{(number * 97 + which) % 5000:05}"
    return project, user, names.session_id(project, user, "jupyter")


class Simulated:
    """One node."""

    def __init__(self, number: int, sessions: int, client: Client, generation: int) -> None:
        self.name, self._client = node(number), client
        self._speaker = subjects.Speaker(("compute",), center(number), self.name)
        self._started, self._measured, self._warned = now(), 0.0, False
        self.reports = [
            SessionReport(
                session=session(number, which)[2],
                generation=generation,
                phase=Phase.RUNNING,
                upstream=f"node:{self.name}.example.org:5002",
                uid=20_000 + which,
                secret=f"{number:04}{which:04}" * 6,
                activity=now(),
                activity_source="kernel busy",
                idle=Idle(hours=4, most_keep_hours=72),
            )
            for which in range(sessions)
        ]

    async def beat(self) -> None:
        """One heartbeat."""
        if time.monotonic() - self._measured > MEASURED:
            self._measured = time.monotonic()
            at = now()
            for which, report in enumerate(self.reports):
                report.use = Use(cpu=(at + which) % 100, memory=(at * which) % (1 << 30), processes=3, at=at)
                report.activity = at
        heartbeat = NodeReported(
            node=self.name,
            datacenter=self._speaker.datacenter,
            roles=["compute"],
            version="0",
            load=Load(cpus=16, load1=3.5, memory_total=64 << 30, memory_free=now() % (64 << 30)),
            isolated=True,
            ready=True,
            sessions=self.reports,
            started=self._started,
        )
        await self._say(heartbeat)

    async def moves(self, which: int) -> None:
        """An event: the app of a session listens elsewhere now."""
        report = self.reports[which]
        port = 5003 if report.upstream.endswith("2") else 5002
        report.upstream = f"node:{self.name}.example.org:{port}"
        await self._say(SessionReported(node=self.name, report=report))

    async def happens(self, which: int) -> None:
        """An event: the people of a session are warned, or it is kept."""
        report = self.reports[which]
        at = now() + KEPT
        warned = not report.idle.warned if report.idle else True
        report.idle = Idle(hours=4, most_keep_hours=72, stops_at=at, warned=warned)
        await self._say(SessionReported(node=self.name, report=report))

    async def _say(self, event: Event) -> None:
        await self._client.publish(subjects.event_subject(self._speaker, event), encode(event))


def center(number: int) -> str:
    """Every other node is in the other data center."""
    return ("paris", "lyon")[number % 2]


async def main(url: str, nodes: int, sessions: int, events: float, generation: int) -> None:
    """Until it is ended."""
    client = Client()
    await client.connect(url)
    made = [Simulated(number, sessions, client, generation) for number in range(nodes)]
    await asyncio.gather(_beats(made), _events(made, sessions, events))


async def _beats(made: list[Simulated]) -> None:
    begun = time.monotonic()
    for turn, one in enumerate(itertools.cycle(made)):
        await asyncio.sleep(begun + turn * BEAT / len(made) - time.monotonic())
        await one.beat()


async def _events(made: list[Simulated], sessions: int, events: float) -> None:
    begun = time.monotonic()
    for turn in itertools.count():
        await asyncio.sleep(begun + turn / events - time.monotonic())
        one, which = made[turn * 7 % len(made)], turn % sessions
        await (one.moves(which) if turn % MOVES == 0 else one.happens(which))


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(main(given[0], int(given[1]), int(given[2]), float(given[3]), int(given[4])))
