"""Metrics: the data plane's counts for Prometheus. It counts in plain integers; they are read only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate

from prometheus_client import REGISTRY, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from aen.proxy.tally import BOUNDS, Answered
from aen.roles.gateway.figures import Figures


class PlaneCollector(Collector):
    """Offers the figures of one data plane or of several. Labels are bounded: where a request went, and the class of its status."""

    def __init__(self, figures: Callable[[], Figures], routes: Callable[[], int]) -> None:
        self._figures, self._routes = figures, routes

    def collect(self) -> Iterable[Metric]:
        """See Collector."""
        requests = CounterMetricFamily("aen_gateway_requests", "Requests answered.", labels=("to", "status"))
        failures = CounterMetricFamily(
            "aen_gateway_failures", "Refused heads, unreachable apps.", labels=("what", "why")
        )
        seconds = HistogramMetricFamily(
            "aen_gateway_request_seconds", "From a request's head to the end of its answer.", labels=("to",)
        )
        found = self._figures()
        for where, answered in found.answered.items():
            for index, count in enumerate(answered.statuses):
                if count:
                    requests.add_metric((where, f"{index}xx"), count)
            seconds.add_metric((where,), _buckets(answered), answered.seconds)
        for (what, which), count in list(found.failures.items()):
            failures.add_metric((what, which), count)
        messages = CounterMetricFamily(
            "aen_gateway_messages", "Messages that people sent over WebSockets.", found.messages
        )
        yield messages
        yield requests
        yield seconds
        yield failures
        yield GaugeMetricFamily("aen_gateway_lag_seconds", "How late the event loop was at its last tick.", found.lag)
        yield GaugeMetricFamily("aen_gateway_connections", "Open client connections.", found.connections)
        yield GaugeMetricFamily("aen_gateway_websockets", "Open WebSockets.", found.websockets)
        yield GaugeMetricFamily("aen_gateway_routes", "Sessions that can be reached.", self._routes())


def _buckets(answered: Answered) -> list[tuple[str, float]]:
    """As Prometheus wants them: each holds those before it."""
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    return list(zip(bounds, accumulate(answered.slower), strict=True))


@contextmanager
def registered(figures: Callable[[], Figures], routes: Callable[[], int]) -> Iterator[None]:
    """Offer these counts while a gateway runs."""
    collector = PlaneCollector(figures, routes)
    REGISTRY.register(collector)
    try:
        yield
    finally:
        REGISTRY.unregister(collector)
