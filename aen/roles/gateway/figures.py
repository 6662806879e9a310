"""Figures: what a data plane has counted, as plain numbers that can be sent and added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aen.proxy.plane import Plane
from aen.proxy.tally import BOUNDS, Answered

KINDS = ("app", "pages", "own")


@dataclass
class Figures:
    """Counts since the start, and what is open now. Those of several data planes are added by `total`."""

    answered: dict[str, Answered] = field(default_factory=lambda: {kind: Answered() for kind in KINDS})
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    lag: float = 0.0  # seconds; of several the worst
    connections: int = 0
    websockets: int = 0
    messages: int = 0  # of people, over WebSockets

    def wire(self) -> dict[str, Any]:
        """To be sent."""
        return {
            "answered": {kind: [one.statuses, one.slower, one.seconds] for kind, one in self.answered.items()},
            "failures": [[what, which, count] for (what, which), count in self.failures.items()],
            "messages": self.messages,
            "now": [self.lag, self.connections, self.websockets],
        }

    def add(self, other: Figures) -> None:
        """Add what another has counted."""
        for kind, mine in self.answered.items():
            theirs = other.answered[kind]
            mine.statuses = [sum(pair) for pair in zip(mine.statuses, theirs.statuses, strict=True)]
            mine.slower = [sum(pair) for pair in zip(mine.slower, theirs.slower, strict=True)]
            mine.seconds += theirs.seconds
        self.failures.update(other.failures)
        self.lag = max(self.lag, other.lag)
        self.connections += other.connections
        self.websockets += other.websockets
        self.messages += other.messages

    def ended(self) -> Figures:
        """What stays of a data plane that is gone: its counts, nothing that is open."""
        return Figures(self.answered, self.failures, messages=self.messages)


def read(plane: Plane) -> Figures:
    """What this data plane has counted. The numbers are its own: not to be changed."""
    tally = plane.tally
    answered = dict(zip(KINDS, (tally.apps, tally.pages, tally.own), strict=True))
    tunnels = [client.tunnel for client in plane.connections if client.tunnel is not None]
    messages = tally.messages + sum(tunnel.messages for tunnel in tunnels)
    return Figures(answered, tally.failures, tally.lag, len(plane.connections), len(tunnels), messages)


def from_wire(message: dict[str, Any]) -> Figures:
    """What another has sent."""
    found = Figures()
    for kind, (statuses, slower, seconds) in message["answered"].items():
        one = found.answered[kind]
        one.statuses, one.slower, one.seconds = statuses, slower, seconds
    found.failures = Counter({(what, which): count for what, which, count in message["failures"]})
    found.messages = message["messages"]
    found.lag, found.connections, found.websockets = message["now"]
    return found


def total(those: Iterable[Figures]) -> Figures:
    """All together."""
    found = Figures()
    for one in those:
        found.add(one)
    return found


__all__ = ["BOUNDS", "Figures", "from_wire", "read", "total"]
