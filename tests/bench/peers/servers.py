"""Servers of the gateway's benchmark, each run as a program of its own: `python -m tests.bench.peers.servers KIND FOLDER PORT`.

The app answers at once, so that what is measured is the way to it.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import logging
import os
import resource
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import lru_cache
from pathlib import Path
from typing import cast

import aiohttp
import uvloop
from aiohttp import web

from aen import listeners
from aen.bus.local import LocalBus
from aen.config import Config
from aen.messages import RouteAdded
from aen.model.route import Route
from aen.proxy import Limits
from aen.proxy.plane import Plane
from aen.proxy.routes import RouteTable
from aen.proxy.sites import Sites
from aen.roles.gateway import planes
from aen.roles.gateway.accesslog import AccessLog
from aen.roles.gateway.admission import Doorman, Revoked
from aen.roles.gateway.crew import Crew, setup
from aen.roles.gateway.following import Following
from aen.tickets import Signer
from tests.bench.peers import relay

ORIGIN = "http://127.0.0.1"
FRAME, MASKED = 66, 70  # bytes of a 64-byte message as the app sends it and as a client does
MANY_ROUTES = 100_000
FIRST = 1000  # of the routes that are added one after the other
_BLOCK = b"x" * 262_144
_kept: list[object] = []  # for as long as this program runs
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class App(asyncio.Protocol):
    """Answers GET ?size=N with N bytes, POST once its body is there, and a WebSocket with the echo of 64-byte messages."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._rest, self._to_send, self._to_take, self._got = b"", 0, 0, 0
        self._paused = self._echo = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._echo:
            self._got += len(data)
            count, self._got = divmod(self._got, MASKED)
            self.transport.write((b"\x82\x40" + b"e" * 64) * count)
        elif self._to_take:
            self._take(len(data))
        else:
            self._rest += data
            self._heads()

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = True

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._paused = False
        self._more()

    def _heads(self) -> None:
        while (end := self._rest.find(b"\r\n\r\n")) >= 0:
            head, self._rest = self._rest[:end], self._rest[end + 4 :]
            if head.startswith(b"POST"):
                length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
                rest, self._rest, self._to_take = self._rest, b"", int(length[15:])
                self._take(len(rest))
            elif (at := head.lower().find(b"sec-websocket-key:")) >= 0:
                self._switch(head[at + 18 :].split(b"\r\n")[0].strip())
            else:
                size = int(head[head.index(b"size=") + 5 : head.index(b" HTTP/1.1")])
                self._answer(size)

    def _answer(self, size: int) -> None:
        first = min(size, len(_BLOCK))
        self.transport.write(_beginning(size))
        self._to_send = size - first
        self._more()

    def _more(self) -> None:
        while self._to_send and not self._paused:
            part = min(self._to_send, len(_BLOCK))
            self._to_send -= part
            self.transport.write(_BLOCK[:part])

    def _take(self, count: int) -> None:
        self._to_take -= count
        if self._to_take <= 0:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def _switch(self, key: bytes) -> None:
        proof = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        lines = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % proof
        self.transport.write(b"HTTP/1.1 101 Switching Protocols\r\n" + lines)
        self._echo = True


@lru_cache
def _beginning(size: int) -> bytes:
    """An answer's head and as much of its body as goes with it: put together once, so that the app costs next to nothing."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size
    return head + _BLOCK[: min(size, len(_BLOCK))]


async def _app(folder: Path, port: int) -> None:
    loop = asyncio.get_running_loop()
    plain = await loop.create_server(
        App, "127.0.0.1", port, backlog=4096
    )  # configurable-http-proxy knows no unix sockets
    _kept.extend((plain, await loop.create_unix_server(App, folder / "app", backlog=4096)))


async def _gateway(
    folder: Path, port: int, routes: int = 1, tls: ssl.SSLContext | None = None
) -> tuple[Plane, Doorman]:
    """As shipped; what leads to it and who comes in is known from the start."""
    table, doorman = RouteTable(), Doorman(LocalBus(), Revoked())
    doorman.use_keys(Signer.load_or_make(folder / "key.pem").public_keys())
    for number in range(routes):
        table.add(route(folder / "app", number))
    plane = Plane(
        doorman,
        table,
        Sites(ORIGIN),
        cookie=b"aen-gateway",
        pages=(f"unix:{folder}/none", os.getuid()),
        page_token="x",
        limits=Limits(connections=10_000),  # one person opens them all here
        write_access=AccessLog(folder / f"access-{port}.log").write,
    )
    await plane.start()
    await plane.listen(socket.create_server(("127.0.0.1", port), backlog=4096), tls)
    _kept.append(plane)
    return plane, doorman


async def _events(folder: Path, port: int) -> None:
    """A gateway that hears of new routes from its bus, as in an installation, with 10,000 there already.

    Whoever writes a number to the socket `events` has that route published, and hears when the gateway has it.
    """
    (folder / "events-data").mkdir()
    plane, doorman = await _gateway(folder, port)
    for number in range(FIRST + 1, FIRST + 10_001):
        plane.routes.add(route(folder / "app", number))
    bus, stack = LocalBus(), AsyncExitStack()
    await stack.enter_async_context(bus)
    led = planes.Alone(plane, doorman)
    following = Following(bus, "main", led, doorman, folder / "events-data/state.json")
    await following.start()

    heard = asyncio.Event()

    async def hear(_: RouteAdded) -> None:  # after the gateway, which was first to subscribe
        heard.set()

    _kept.append(bus.subscribe(RouteAdded, hear))

    async def add(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            number = int(line)
            heard.clear()
            await bus.publish(RouteAdded(datacenter="main", route=route(folder / "app", number)))
            await heard.wait()
            writer.write(b"there\n")

    _kept.append(await asyncio.start_unix_server(add, folder / "events"))
    _kept.extend((stack, following))


def route(app: Path, number: int) -> Route:
    """The route with this number; 0 is the one that is asked for."""
    project = "genome" if number == 0 else f"p{number}"
    key = {"owner": "alice", "project": project, "project_id": project, "app_server": "jupyter"}
    who = {"session": f"s{number}", "generation": 1, "user": "alice", "users": ["alice"], "node": "n1"}
    return Route.model_validate({**key, **who, "secret": "s" * 32, "upstream": f"unix:{app}", "uid": os.getuid()})


async def _routes(folder: Path, port: int) -> None:
    await _gateway(folder, port, MANY_ROUTES)


async def _workers(folder: Path, port: int) -> None:
    """Two workers, as `gateway.workers: 2` makes them."""
    doorman, bus = Doorman(LocalBus(), Revoked()), LocalBus()
    doorman.use_keys(Signer.load_or_make(folder / "key.pem").public_keys())
    (folder / "workers/gateway").mkdir(parents=True)
    limits = {"connections": 10_000}
    told = {"url": ORIGIN, "workers": 2, "limits": limits}
    config = Config.model_validate({"data_dir": folder / "workers", "run_dir": folder / "workers", "gateway": told})
    first = listeners.bind({"gateway": ("gateway.listen", f"127.0.0.1:{port}")})
    doors = [*first.values(), *listeners.for_workers(first, 2).values()]
    crew = Crew(setup(config, ("gateway",), f"unix:{folder}/none", "x"), doors, bus, doorman)
    crew.routes.add(route(folder / "app", 0))
    await crew.start()
    _kept.append(crew)


async def _tls(folder: Path, port: int) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "cert.key")
    await _gateway(folder, port, tls=context)


async def _relay(folder: Path, port: int) -> None:
    _kept.append(await relay.serve(folder, port))


async def _aiohttp(folder: Path, port: int) -> None:
    connector = aiohttp.UnixConnector(str(folder / "app"), limit=0)
    session = aiohttp.ClientSession(connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())

    async def forward(request: web.Request) -> web.StreamResponse:
        url = f"http://app{request.raw_path}"
        async with session.request(request.method, url, headers=request.headers, allow_redirects=False) as answer:
            response = web.StreamResponse(status=answer.status)
            response.content_length = answer.content_length
            await response.prepare(request)
            async for block in answer.content.iter_any():
                await response.write(block)
            return response

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", forward)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    _kept.append(runner)


_KINDS: dict[str, Callable[[Path, int], Awaitable[object]]] = {
    "app": _app,
    "gateway": _gateway,
    "gateway-tls": _tls,
    "gateway-routes": _routes,
    "gateway-workers": _workers,
    "gateway-events": _events,
    "relay": _relay,
    "aiohttp": _aiohttp,
}


async def _serve(kind: str, folder: Path, port: int) -> None:
    await _KINDS[kind](folder, port)
    gc.collect()
    gc.freeze()  # as a node does when it is ready
    (folder / f"{kind}.ready").touch()
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.disable()  # clients that hang up at the end of a round
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
