"""Metrics: the data plane's counts for Prometheus. It counts in plain integers; they are read only when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate

from prometheus_client import REGISTRY, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from aen.proxy.plane import Plane
from aen.proxy.tally import BOUNDS, Answered


class PlaneCollector(Collector):
    """Reads one data plane. Labels are bounded: where a request went, and the class of its status."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        requests = CounterMetricFamily("aen_gateway_requests", "Requests answered.", labels=("to", "status"))
        failures = CounterMetricFamily(
            "aen_gateway_failures", "Refused heads, unreachable apps.", labels=("what", "why")
        )
        seconds = HistogramMetricFamily(
            "aen_gateway_request_seconds", "From a request's head to the end of its answer.", labels=("to",)
        )
        tally = self._plane.tally
        for where, answered in (("app", tally.apps), ("pages", tally.pages), ("own", tally.own)):
            for index, count in enumerate(answered.statuses):
                if count:
                    requests.add_metric((where, f"{index}xx"), count)
            seconds.add_metric((where,), _buckets(answered), answered.seconds)
        for (what, which), count in list(tally.failures.items()):
            failures.add_metric((what, which), count)
        yield requests
        yield seconds
        yield failures
        yield GaugeMetricFamily("aen_gateway_lag_seconds", "How late the event loop was at its last tick.", tally.lag)
        yield GaugeMetricFamily("aen_gateway_connections", "Open client connections.", len(self._plane.connections))
        yield GaugeMetricFamily("aen_gateway_websockets", "Open WebSockets.", self._plane.open_sockets())
        yield GaugeMetricFamily("aen_gateway_routes", "Sessions that can be reached.", len(self._plane.routes))


def _buckets(answered: Answered) -> list[tuple[str, float]]:
    """As Prometheus wants them: each holds those before it."""
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    return list(zip(bounds, accumulate(answered.slower), strict=True))


@contextmanager
def registered(plane: Plane) -> Iterator[None]:
    """Offer a data plane's counts while it runs."""
    collector = PlaneCollector(plane)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
