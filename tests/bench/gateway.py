"""The gateway's data plane against nginx, configurable-http-proxy (JupyterHub's), a plain aiohttp proxy and no proxy.

All in front of the same app, in rounds, one after the other; medians, and ± half of what lies between the lowest and the
highest round. What is measured has a processor for itself; app and load share another. The app has its answers put
together beforehand, so that it is the proxies that are measured, also with 64 KiB.
The gateway is as shipped: login checked on every request, Origin checked, access log, counts, limits. nginx writes its
access log; neither it nor configurable-http-proxy checks a login.

With 1,000 connections a run lasts longer, for all alike: its p99 is that of 1,000 at work, not that of the moment in which
they all connect.

What is given up for safety: `relay` passes bytes to the app without looking at them (no login, no log, no routes, a
connection to the app for each client), on the same event loop: what the gateway takes more than that is the price of all
of it together. The rows named safety have the price of its parts: a new head is read by a strict grammar and written anew
instead of passed on; WebSocket frames are followed so that a Close of ours goes out between two; the account that listens
is looked at on each new connection to an app. Known heads are decided anew too, by what they meant and by who may come in
now: a revocation counts at once. Not given up: body bytes are not looked at, but for the sizes of chunks.

"Route added" is from the moment in which the event reaches the gateway's bus until the first answer is whole, with 10,000
other routes there, over a connection that was open before; it holds a connection to the app.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from aen.model import now
from aen.model.route import Grant
from aen.tickets import Signer
from tests.bench.peers import load, safety, systems
from tests.bench.peers.load import Found
from tests.bench.peers.servers import ORIGIN
from tests.bench.peers.systems import System
from tests.bench.row import Row, percentile, spread
from tests.ports import free_port

SECONDS, ROUNDS = 2, 5
LONGER = 6  # of 1,000 connections: in a short run their making, all at the same moment, is one request in a hundred, and so p99
IDLE = 5000
MIB = 1024 * 1024
#: name, bytes, connections, seconds, aim against configurable-http-proxy, aim against nginx
CASES = (
    ("1 KiB, 50 connections", 1024, 50, SECONDS, ">= 10", ">= 0.95"),
    ("1 KiB, 1,000 connections", 1024, 1000, LONGER, ">= 10", ">= 1.0"),
    ("64 KiB, 50 connections", 65536, 50, SECONDS, ">= 10", ">= 1.0"),
)
TLS_CASES = (("TLS, 1 KiB, 50 connections", 1024, 50), ("TLS, 64 KiB, 50 connections", 65536, 50))


@dataclass(frozen=True)
class Bench:
    """What the measures share."""

    folder: Path
    cookie: str
    systems: dict[str, System]

    def pick(self, *kinds: str) -> list[System]:
        """Those of `kinds` that run."""
        return [self.systems[kind] for kind in kinds if kind in self.systems]


async def measure() -> AsyncIterator[Row]:
    """Row after row."""
    if shutil.which("wrk") is None:
        raise RuntimeError("wrk, which makes the load, is not installed (Debian: apt install wrk)")
    with tempfile.TemporaryDirectory(prefix="aen-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        signer = Signer.load_or_make(folder / "key.pem")
        systems.make_certificate(folder)
        grant = Grant(user="alice", login="L1", audience=ORIGIN, issued=now(), expires=now() + 3_600_000)
        port = free_port()
        app = stack.enter_context(systems.running("app", folder, port))
        wanted = systems.kinds(
            *("gateway", "chp", "nginx", "aiohttp", "gateway-tls", "nginx-tls", "chp-tls", "gateway-routes"),
            *("gateway-workers", "gateway-events", "relay"),
        )
        found = {kind: stack.enter_context(systems.running(kind, folder, port)) for kind in wanted}
        here = Bench(
            folder, f"Cookie: aen-gateway={signer.grant(grant)}", {**found, "direct": replace(app, kind="direct")}
        )
        for part in (_requests, _unlike, _safety, _tls, _routes, _workers, _sockets, _first_request, _large, _idle):
            if part is _large:  # memory is measured in fresh processes: used ones have some to spare
                kinds: list[str] = [kind for kind in ("gateway", "nginx", "chp") if kind in found]
                fresh: dict[str, System] = {
                    kind: stack.enter_context(systems.running(kind, folder, port)) for kind in kinds
                }
                here = replace(here, systems=fresh)
            for row in await asyncio.to_thread(list, part(here)):
                yield row


@dataclass(frozen=True)
class Medians:
    """Of all rounds; `spread` has how far they lie apart, by name."""

    rate: float
    cost: float
    wait: float
    spread: dict[str, float]


def _rounds(those: list[System], one: Callable[[System], Found]) -> dict[str, Medians]:
    """Each in turn, several times; the median of each figure."""
    all_found: dict[str, list[Found]] = {system.kind: [] for system in those}
    for _ in range(ROUNDS):
        for system in those:
            all_found[system.kind].append(one(system))
    return {kind: _medians(each) for kind, each in all_found.items()}


def _medians(each: list[Found]) -> Medians:
    parts = {part: [getattr(found, part) for found in each] for part in ("rate", "cost", "wait")}
    middle = {part: median(values) for part, values in parts.items()}
    return Medians(**middle, spread={part: spread(values) for part, values in parts.items()})


def _row(name: str, ours: Medians, theirs: Medians, part: str, unit: str, aim: str = "") -> Row:
    return Row(name, getattr(ours, part), unit, getattr(theirs, part), aim, ours.spread[part])


def _against(name: str, found: dict[str, Medians], aims: dict[str, str], us: str = "gateway") -> Iterator[Row]:
    """The rate and the processor time of `us` beside those of the others."""
    for kind, other in found.items():
        if kind != us:
            yield _row(f"{name}: against {kind}", found[us], other, "rate", "1/s", aims.get(kind, ""))
    for kind, other in found.items():
        if kind not in (us, "direct"):
            yield _row(f"{name}: processor time, against {kind}", found[us], other, "cost", "us")


def _requests(here: Bench) -> Iterator[Row]:
    for name, size, connections, seconds, chp, nginx in CASES:
        those = here.pick("gateway", "nginx", "chp", "aiohttp", "direct", "relay")
        found = _rounds(those, lambda one: load.requests(one, size, connections, here.cookie, seconds))  # noqa: B023
        yield from _against(name, found, {"chp": chp, "nginx": nginx})
        if connections == 1000 and "nginx" in found:
            yield _row(f"{name}: p99, against nginx", found["gateway"], found["nginx"], "wait", "ms", "<= 1.0")
        if {"nginx", "chp"} <= set(
            found
        ):  # an aim against chp that nginx does not reach is out of reach in this set-up
            yield _row(f"{name}: nginx against chp", found["nginx"], found["chp"], "rate", "1/s")
            yield _row(f"{name}: processor time, nginx against chp", found["nginx"], found["chp"], "cost", "us")


def _unlike(here: Bench) -> Iterator[Row]:
    """No request is like another: what the gateway costs when nothing that it remembers of heads helps."""
    those = here.pick("gateway", "nginx", "chp")
    found = _rounds(those, lambda one: load.requests(one, 1024, 50, here.cookie, SECONDS, new=True))
    yield from _against("1 KiB, 50 connections, each request unlike all before", found, {})


def _workers(here: Bench) -> Iterator[Row]:
    """Two workers against one; on fewer than 4 processors they share theirs with app and load, so there is no aim."""
    those, cpus = here.pick("gateway", "gateway-workers"), len(os.sched_getaffinity(0))
    found = _rounds(those, lambda one: load.requests(one, 1024, 50, here.cookie, SECONDS, threads=2))
    name = "2 workers against 1" + ("" if systems.many() else f" (aim skipped: {cpus} processors, 4 are needed)")
    aim = ">= 1.8" if systems.many() else ""
    yield _row(name, found["gateway-workers"], found["gateway"], "rate", "1/s", aim)


def _tls(here: Bench) -> Iterator[Row]:
    those = here.pick("gateway-tls", "nginx-tls", "chp-tls")
    for name, size, connections in TLS_CASES:
        found = _rounds(those, lambda one: load.requests(one, size, connections, here.cookie, SECONDS))  # noqa: B023
        yield from _against(name, found, {"nginx-tls": ">= 0.95"}, us="gateway-tls")


def _routes(here: Bench) -> Iterator[Row]:
    those = here.pick("gateway", "gateway-routes")
    found = _rounds(those, lambda one: load.requests(one, 1024, 50, here.cookie, SECONDS))
    yield _row("100,000 routes against 1", found["gateway-routes"], found["gateway"], "rate", "1/s", ">= 0.95")


def _sockets(here: Bench) -> Iterator[Row]:
    those = here.pick("gateway", "nginx", "chp", "direct", "relay")
    found = _rounds(those, lambda one: load.echoes(one, 100, here.cookie, SECONDS))
    yield from _against("WebSocket echo, 100 connections", found, {"chp": ">= 1.7", "nginx": ">= 0.9"})
    found = _rounds(those, lambda one: load.echoes(one, 1, here.cookie, SECONDS))
    for kind in [kind for kind in found if kind != "gateway"]:
        name = f"WebSocket echo, 1 connection: p50, against {kind}"
        yield _row(name, found["gateway"], found[kind], "wait", "ms", "<= 1.1" if kind == "nginx" else "")


def _idle(here: Bench) -> Iterator[Row]:
    taken = {one.kind: load.idle_sockets(one, IDLE, here.cookie) for one in here.pick("gateway", "nginx", "chp")}
    for kind, aim in (("chp", "<= 0.5"), ("nginx", "<= 1.5")):
        if kind in taken:
            yield Row(
                f"{IDLE:,} idle WebSockets: memory of one, against {kind}", taken["gateway"], "bytes", taken[kind], aim
            )


def _large(here: Bench) -> Iterator[Row]:
    for way, name in (("down", "1 GiB download"), ("up", "1 GiB upload")):
        found = {one.kind: load.transfer(one, way, here.cookie) for one in here.pick("gateway", "nginx")}
        yield Row(f"{name}: memory grows by", found["gateway"][1] / MIB, "MiB", None, "<= 8")
        if "nginx" in found:
            yield Row(f"{name}: against nginx", found["gateway"][0], "MB/s", found["nginx"][0], ">= 0.8")


def _first_request(here: Bench) -> Iterator[Row]:
    """From the event's arrival to the end of the first answer: what the gateway itself adds to a start."""
    waits = load.first_requests(here.folder, here.systems["gateway-events"].port, here.cookie)
    yield Row("route added to first answer, p50", percentile(waits, 0.5), "ms")
    yield Row("route added to first answer, p99", percentile(waits, 0.99), "ms", None, "<= 2")


def _safety(here: Bench) -> Iterator[Row]:
    yield from safety.rows((*load.BROWSER, here.cookie), here.folder)
