"""Stand: a real data plane on a free port in front of backends that record every byte."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aen.model.route import Route
from aen.proxy import Admission, By, Limits, Visitor
from aen.proxy.nodes import Nodes
from aen.proxy.peers import networks
from aen.proxy.plane import Plane
from aen.proxy.routes import RouteTable
from aen.proxy.sites import Sites

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
KEY = "alice/genome/jupyter"
GRANT = b"Cookie: aen-gateway=good\r\n"
BASE = f"/{KEY}"


class Doorman:
    """Admission for tests: one good cookie, some tokens, one of them known only when asked."""

    def __init__(self) -> None:
        far = 1 << 60
        self.alice = Visitor("alice", "L1", By.COOKIE, far)
        self.script = Visitor("alice", "T1", By.TOKEN, far)
        self.bob = Visitor("bob", "L2", By.COOKIE, far)
        self.asked: list[bytes] = []

    def by_grant(self, grant: bytes, origin: bytes) -> Visitor | None:
        return {b"good": self.alice, b"bob": self.bob}.get(grant)

    def by_token(self, token: bytes) -> Visitor | None:
        return self.script if token == b"known" else None

    async def ask(self, token: bytes, address: str) -> Visitor | None:
        self.asked.append(token)
        return self.script if token == b"fresh" else None


class Backend:
    """An app on a unix socket. Records what comes on each connection; answers as `talk` says."""

    def __init__(self, path: Path, talk: Talk | None = None) -> None:
        self.path, self.talk = path, talk or self.answer
        self.connections: list[bytearray] = []
        self.response = OK

    @property
    def got(self) -> bytes:
        """All bytes of all connections."""
        return b"".join(self.connections)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer every head that comes; bodies stay unread in the record."""
        seen, record = 0, self.connections[-1]
        while data := await reader.read(65536):
            record += data
            while (end := record.find(b"\r\n\r\n", seen)) >= 0:
                seen = end + 4
                if record[seen : seen + 1].isalnum() and b"hunked" in record[:end]:
                    seen = max(seen, record.rfind(b"0\r\n\r\n") + 5)
                writer.write(self.response)
                await writer.drain()

    async def __aenter__(self) -> Backend:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(bytearray())
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class Stand:
    """The data plane, one app (`app`), our own pages (`pages`)."""

    def __init__(self, plane: Plane, app: Backend, pages: Backend, doorman: Doorman, port: int) -> None:
        self.plane, self.app, self.pages, self.doorman, self.port = plane, app, pages, doorman, port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client's connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def send(self, data: bytes, *, half_close: bool = True) -> bytes:
        """Send bytes, then end; everything that comes back."""
        reader, writer = await self.connect()
        writer.write(data)
        if half_close:
            writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()

    async def one(self, data: bytes) -> bytes:
        """Send one request; its head and as much body as its Content-Length says."""
        reader, writer = await self.connect()
        writer.write(data)
        try:
            return await one_answer(reader)
        finally:
            writer.close()


async def one_answer(reader: asyncio.StreamReader) -> bytes:
    """One answer with a Content-Length."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return head + await asyncio.wait_for(reader.readexactly(length), 5)


def route(path: Path, **changes: Any) -> Route:
    """The route to a backend."""
    values: dict[str, Any] = {
        "session": "s1", "generation": 1, "owner": "alice", "project": "genome", "project_id": "p1",
        "app_server": "jupyter", "user": "alice", "users": ["alice"], "node": "n1",
        "upstream": f"unix:{path}", "uid": os.getuid(), "secret": "launch-secret",
    }  # fmt: skip
    return Route(**{**values, **changes})


def request(line: str = f"GET {BASE}/x HTTP/1.1", lines: bytes = b"", body: bytes = b"", grant: bytes = GRANT) -> bytes:
    """A request with our cookie."""
    return f"{line}\r\nHost: gw.test\r\n".encode() + grant + lines + b"\r\n" + body


@asynccontextmanager
async def stand(
    tmp: Path,
    talk: Talk | None = None,
    *,
    limits: Limits | None = None,
    url: str = "http://gw.test",
    trusted: Sequence[str] = (),
    nodes: Nodes | None = None,
    admission: Admission | None = None,
    **changes: Any,
) -> AsyncIterator[Stand]:
    """A whole stand; `talk` is the app's side of a connection, `trusted` the proxies that are believed."""
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(Backend(tmp / "app", talk))
        pages = await stack.enter_async_context(Backend(tmp / "pages"))
        pages.response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\npages"
        routes, doorman = RouteTable(), Doorman()
        routes.add(route(tmp / "app", **changes))
        where = (f"unix:{tmp / 'pages'}", os.getuid())
        plane = Plane(
            admission or doorman,
            routes,
            Sites(url),
            cookie=b"aen-gateway",
            pages=where,
            page_token="pt",
            limits=limits,
            trusted_proxies=networks(trusted),
            nodes=nodes,
        )
        await stack.enter_async_context(plane)
        bound = socket.create_server(("127.0.0.1", 0))
        await plane.listen(bound)
        yield Stand(plane, app, pages, doorman, bound.getsockname()[1])


async def until(fact: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait for a fact; fails when it does not come."""
    end = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < end, "it did not come to pass in time"
        await asyncio.sleep(0.01)
