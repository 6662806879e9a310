"""Metrics of the server for Prometheus: nodes, sessions, jobs, the store's writes, and how late the event loop is."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from aen.model.session import Phase
from aen.roles.server.domain import Domain

_TICK = 0.5  # seconds


class Lag:
    """How late the event loop is: for so long everybody who asks the server for something waits."""

    def __init__(self) -> None:
        self.last = 0.0  # seconds
        self.longest = 0.0  # since somebody looked

    async def watch(self) -> None:
        """For life."""
        while True:
            due = time.monotonic() + _TICK
            await asyncio.sleep(_TICK)
            self.last = max(time.monotonic() - due, 0.0)
            self.longest = max(self.longest, self.last)

    def taken(self) -> float:
        """The longest since this was asked the last time."""
        longest, self.longest = self.longest, self.last
        return longest


class ServerCollector(Collector):
    """Offers what the server knows. Labels are bounded: roles, phases, what happened."""

    def __init__(self, domain: Domain, lag: Lag) -> None:
        self._domain, self._lag = domain, lag

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: the figures are those of the moment."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        yield from self._nodes()
        yield from self._sessions()
        yield from self._store()
        busy = self._domain.jobs.health()
        jobs = GaugeMetricFamily("aen_server_jobs", "Jobs that wait, and that run here.", labels=("state",))
        for state in ("waiting", "running"):
            jobs.add_metric((state,), busy[state])
        yield jobs
        yield GaugeMetricFamily(
            "aen_server_lag_seconds",
            "How late the event loop was at the most, since this was last asked.",
            self._lag.taken(),
        )

    def _nodes(self) -> Iterator[Metric]:
        nodes = self._domain.nodes
        found = GaugeMetricFamily("aen_server_nodes", "Nodes, by whether they are heard.", labels=("role", "heard"))
        counts = Counter((role, nodes.up(node.id)) for node in nodes.list() for role in node.roles)
        for (role, up), count in sorted(counts.items()):
            found.add_metric((role, "yes" if up else "no"), count)
        yield found

    def _sessions(self) -> Iterator[Metric]:
        sessions = self._domain.sessions
        found = GaugeMetricFamily("aen_server_sessions", "Live sessions, as nodes told them last.", labels=("phase",))
        counts = Counter(report.phase for reports in sessions.reports.present.values() for report in reports.values())
        for phase in (Phase.QUEUED, Phase.STARTING, Phase.RUNNING, Phase.STOPPING):
            found.add_metric((phase.value.lower(),), counts[phase])
        yield found
        yield GaugeMetricFamily("aen_server_routes", "Sessions that gateways can lead to.", len(sessions.routes))

    def _store(self) -> Iterator[Metric]:
        health = self._domain.store.health()
        yield CounterMetricFamily("aen_store_writes", "Documents written.", health.get("writes", 0))
        if "commits" in health:
            yield CounterMetricFamily("aen_store_commits", "Commits that wrote them, each on disk.", health["commits"])
        yield GaugeMetricFamily("aen_store_up", "Whether the store answers.", health["status"] == "ok")


@contextmanager
def registered(domain: Domain, lag: Lag) -> Iterator[None]:
    """Offer these figures while the server runs."""
    collector = ServerCollector(domain, lag)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
