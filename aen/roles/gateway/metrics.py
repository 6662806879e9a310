"""Metrics: the data plane's counts for Prometheus. It counts in plain integers; they are read only when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from aen.proxy.plane import Plane


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
        for (what, which), count in list(self._plane.counts.items()):
            family = failures if what in ("refused", "unreachable") else requests
            family.add_metric((what, which), count)
        yield requests
        yield failures
        yield GaugeMetricFamily("aen_gateway_connections", "Open client connections.", len(self._plane.connections))
        yield GaugeMetricFamily("aen_gateway_websockets", "Open WebSockets.", self._plane.open_sockets())
        yield GaugeMetricFamily("aen_gateway_routes", "Sessions that can be reached.", len(self._plane.routes))


@contextmanager
def registered(plane: Plane) -> Iterator[None]:
    """Offer a data plane's counts while it runs."""
    collector = PlaneCollector(plane)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
