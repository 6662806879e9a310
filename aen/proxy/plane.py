"""Plane: the data plane as a whole: what all connections share, its listeners, its clock, its end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from urllib.parse import urlsplit

import structlog

from aen.model.route import Route
from aen.proxy import Admission, Limits, Visitor, reasons
from aen.proxy.accesslines import Lines
from aen.proxy.answering import Answering
from aen.proxy.downstream import Downstream
from aen.proxy.exchange import Answers, Request
from aen.proxy.head import Memory
from aen.proxy.headers import RequestReader, ResponseReader
from aen.proxy.nodes import Nodes, Unreached
from aen.proxy.peers import Network, Stranger, client_address, notice_silent_ends
from aen.proxy.pool import Pool
from aen.proxy.pools import Pools
from aen.proxy.replying import Replying
from aen.proxy.routes import RouteTable
from aen.proxy.sites import Sites
from aen.proxy.tally import MOST_LINES, Tally
from aen.proxy.tunnel import GOING_AWAY, RESTART
from aen.service import Service

log = structlog.get_logger(__name__)
_TICK_SECONDS = 0.5
#: libuv takes one connection from a listener in each turn of its loop. Of many who come together the last would wait for as many
#: turns, in which all who are in already are served: so a listener is looked at through so many descriptors.
_DOORS = 16


class Plane(Service):
    """Everything between a client and an app. `pages` is the address and uid of the gateway's own pages.

    `write_access` gets the lines of the access log, some at a time, in `access_format` (combined or json).
    `nodes` is how apps on other hosts are reached; None: all are on this one.
    """

    name = "proxy"

    def __init__(
        self,
        admission: Admission,
        routes: RouteTable,
        sites: Sites,
        *,
        cookie: bytes,
        pages: tuple[str, int],
        page_token: str,
        limits: Limits | None = None,
        trusted_proxies: tuple[Network, ...] = (),
        write_access: Callable[[list[str]], None] | None = None,
        access_format: str = "combined",
        nodes: Nodes | None = None,
        hsts_seconds: int = 0,
    ) -> None:
        super().__init__()
        self.admission, self.routes, self.sites, self.cookie = admission, routes, sites, cookie
        self.limits, self.page_token = limits or Limits(), page_token.encode()
        self.requests = Memory(RequestReader(cookie, self.limits.headers))
        ours = b"Strict-Transport-Security: max-age=%d\r\n" % hsts_seconds if hsts_seconds and sites.secure else b""
        self.pools = Pools(nodes, shared=not sites.apart, ours=ours)
        self.pages = Pool(*pages, Answers(ResponseReader(trusted=True, ours=ours), most=64))
        self._trusted = trusted_proxies
        self.tally, self._lines = Tally(write_access), Lines(access_format)
        self.logins = 0  # grows when a login may count no more: see logins_changed
        self._servers: list[tuple[asyncio.Server, socket.socket, ssl.SSLContext | None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections: set[Downstream] = set()
        self._people: Counter[str] = Counter()  # who has how many of them
        self.draining = False
        self._empty: asyncio.Event | None = None  # while draining: set when the last connection is gone
        self.now, self.now_ms = time.monotonic(), time.time_ns() // 1_000_000
        self._date = self._lines.date(self.now_ms)
        self.host = urlsplit(sites.url.replace("{project}.", "")).netloc.encode()
        self._forwarded = f"X-Forwarded-Proto: {sites.scheme}\r\nX-Forwarded-Host: ".encode()
        self._one_forwarded = b"%b%b\r\n" % (self._forwarded, self.host)

    async def open(self) -> None:
        """Keep the clock; listening begins with `listen`."""
        self._stack.push_async_callback(self._close)
        self.spawn(self._tick(), "clock")

    async def listen(self, bound: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Take connections from a bound socket."""
        loop = asyncio.get_running_loop()
        notice_silent_ends(bound)
        for door in (bound, *(bound.dup() for _ in range(_DOORS - 1))):
            server = await loop.create_server(lambda: Downstream(self), sock=door, ssl=tls, backlog=2048)
            self._servers.append((server, door, tls))

    # ── for the connections ─────────────────────────────────────────────────────────────────────────

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that a connection waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def connect(self, client: Answering, request: Request, pool: Pool) -> None:
        """Make a new connection to an app for a request."""
        self.run(self._connect(client, request, pool))

    async def _connect(self, client: Answering, request: Request, pool: Pool) -> None:
        try:
            app = await pool.connect(self.limits.connect_seconds)
        except Stranger as stranger:
            self.tally.failures["unreachable", "stranger"] += 1
            log.error("somebody else listens where an app should be", why=str(stranger))
            client.unreachable(request, 502, reasons.TAKEN)
        except Unreached as unreached:
            self._say_down(pool, unreached.label, str(unreached))
            client.unreachable(request, unreached.status, unreached.why)
        except TimeoutError:
            self.tally.failures["unreachable", "timeout"] += 1
            client.unreachable(request, 504, reasons.OVERLOADED)
        except OSError as error:
            self._say_down(pool, "refused", str(error))
            client.unreachable(request, 503, reasons.AWAY)
        else:
            pool.down = False
            client.connected(request, app)

    def _say_down(self, pool: Pool, label: str, why: str) -> None:
        self.tally.failures["unreachable", label] += 1
        say = log.debug if pool.down else log.info  # once, not for every tab that tries again
        say("app can't be reached", upstream=pool.address, why=why)
        pool.down = True

    def address_of(self, peer: str, claimed: bytes) -> str:
        """Who asks, when `peer` says that it asks for somebody else: believed of trusted proxies alone."""
        return client_address(peer, claimed, self._trusted)

    def forwarded_host(self, host: bytes) -> bytes:
        """The lines that tell an app by which address people reach it; `host` is what the client said."""
        return b"%b%b\r\n" % (self._forwarded, host) if self.sites.apart and host else self._one_forwarded

    def gone(self, client: Downstream) -> None:
        """A connection is over."""
        self.connections.discard(client)
        if client.tunnel is not None:
            self.tally.messages += client.tunnel.messages
        self._unseat(client)
        if self._empty is not None and not self.connections:
            self._empty.set()

    def seat(self, client: Downstream, person: str) -> bool:
        """Count a connection as this person's; False when they have as many as one may have."""
        if client.person == person:
            return True
        if 0 < self.limits.connections <= self._people[person]:
            self.tally.failures["refused", "429"] += 1
            return False
        self._unseat(client)
        client.person = person
        self._people[person] += 1
        return True

    def _unseat(self, client: Downstream) -> None:
        self._people[client.person] -= 1
        if self._people[client.person] <= 0:
            del self._people[client.person]
        client.person = ""

    def refused(self, client: Replying, status: int, why: str) -> None:
        """A head was refused."""
        self.tally.failures["refused", str(status)] += 1
        log.debug("request refused", address=client.address, status=status, why=why)

    def complain(self, client: Answering, why: str) -> None:
        """An app's answer was refused."""
        self.tally.failures["refused", "answer"] += 1
        request = client.request
        session = request.door.entry.route.session if request and request.door and request.door.entry else "pages"
        log.warning("an app's answer was refused", session=session, why=why)

    def ended(self, client: Replying, request: Request) -> None:
        """A request is over: count it and note it. The query stays out of the log: it may hold secrets."""
        tally, door = self.tally, request.door
        took = time.monotonic() - request.began
        answered = tally.own if door is None else tally.pages if door.entry is None else tally.apps
        answered.count(request.status, took)
        if tally.logged:
            line = request.line
            if line is None:
                line = request.line = self._lines.parts(client.address, request)
            before, middle, after = line
            tally.lines.append(f"{before}{self._date}{middle}{request.status}{after}{took:.4f}{self._lines.end}")
            if len(tally.lines) >= MOST_LINES:
                tally.flush()

    def logins_changed(self) -> None:
        """A login may have ended: every decision is made anew. Whoever admits says so."""
        self.logins += 1

    # ── for the gateway ─────────────────────────────────────────────────────────────────────────────

    def close_sockets(self, which: Callable[[Visitor, Route], bool], code: int, reason: str) -> int:
        """Close the open WebSockets that `which` picks by visitor and route; how many that were."""
        closed = 0
        for client in list(self.connections):
            request, tunnel = client.request, client.tunnel
            if tunnel is None or request is None or request.visitor is None or request.door is None:
                continue
            entry = request.door.entry
            if entry is not None and which(request.visitor, entry.route):
                tunnel.close(code, reason)
                closed += 1
        return closed

    def forget(self, route: Route) -> None:
        """A session has ended: drop its connections and say so to its open WebSockets."""
        self.pools.forget(route)
        ended = (route.session, route.generation)
        self.close_sockets(lambda _, one: (one.session, one.generation) == ended, GOING_AWAY, "The session has ended.")

    async def drain(self, seconds: float) -> None:
        """Take no more connections, finish requests, close WebSockets with 1012 spread over `seconds`."""
        self.draining = True
        tunnels = [client for client in self.connections if client.tunnel is not None]
        for client in list(self.connections):
            client.drain()
        await self._take_the_last()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        step = max(seconds - 2.5, 0) / max(len(tunnels), 1)
        for index, client in enumerate(tunnels):
            loop.call_at(begun + step * index, _close_tunnel, client)
        self._empty = asyncio.Event()
        if self.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)
        if self.connections:
            log.warning("connections cut at the end of the grace period", count=len(self.connections))

    async def _take_the_last(self) -> None:
        """Close the listeners, but lose nobody: who has connected already is waiting in their queues."""
        loop = asyncio.get_running_loop()
        for server, bound, tls in self._servers:
            last = bound.dup()
            server.close()
            with last:
                for waiting in _queue(last):
                    await loop.connect_accepted_socket(lambda: Downstream(self), waiting, ssl=tls)

    # ── its life ────────────────────────────────────────────────────────────────────────────────────

    async def _tick(self) -> None:
        """One coarse clock for all: time-outs, idle connections, the access log."""
        while True:
            due = time.monotonic() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            self.now, self.now_ms = time.monotonic(), time.time_ns() // 1_000_000
            self._date = self._lines.date(self.now_ms)
            self.tally.lag = max(self.now - due, 0.0)
            for client in list(self.connections):
                if client.deadline and client.deadline < self.now:
                    client.expired()
            for pool in (self.pages, *self.pools):
                pool.prune_idle()
            self.tally.flush()

    async def _close(self) -> None:
        for server, _, _ in self._servers:
            server.close()
        for client in list(self.connections):
            client.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for pool in (self.pages, *self.pools):
            pool.prune()
        await asyncio.sleep(0)  # let the transports see their end
        self.tally.flush()


def _queue(listener: socket.socket) -> Iterator[socket.socket]:
    """Everybody who waits to be taken, now."""
    listener.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            yield listener.accept()[0]


def _close_tunnel(client: Downstream) -> None:
    if client.tunnel is not None:
        client.tunnel.close(RESTART, "The gateway is restarting.")
