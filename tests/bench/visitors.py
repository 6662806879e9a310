"""Visitors: keep-alive connections that ask for pages as browsers do, so light that they are not what is measured."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.served import Client

_END = b"\r\n\r\n"
_LENGTH = b"\r\nContent-Length: "


class Visitor(asyncio.Protocol):
    """One connection; one request at a time. Reads what has a Content-Length, as all pages do."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._got = bytearray()
        self._missing = -1  # bytes of the answer that are still to come; -1: its head is
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._got += data
        if self._missing < 0:
            head = self._got.find(_END)
            if head < 0:
                return
            at = self._got.index(_LENGTH, 0, head + 2) + len(_LENGTH)
            self._missing = head + len(_END) + int(self._got[at : self._got.index(b"\r\n", at)])
        if len(self._got) >= self._missing and self._answer is not None:
            self._answer.set_result(int(self._got[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server hung up"))

    async def ask(self, path: str, cookie: str) -> int:
        """The status of the answer, once all of it is there."""
        self._got.clear()
        self._missing, self._answer = -1, asyncio.get_running_loop().create_future()
        lines = (
            f"GET {path} HTTP/1.1",
            f"Host: {self._host}",
            "User-Agent: Mozilla/5.0",
            "Accept: text/html",
            "Accept-Encoding: gzip, deflate",
            f"Cookie: {cookie}",
        )
        self._transport.write("\r\n".join(lines).encode() + _END)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        self._answer = None
        self._transport.close()


@asynccontextmanager
async def visiting(url: str, count: int) -> AsyncIterator[list[Visitor]]:
    """So many connections to the server."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    loop, made = asyncio.get_running_loop(), list[Visitor]()
    try:
        for _ in range(count):
            _, visitor = await loop.create_connection(lambda: Visitor(parts.netloc), host, port)
            made.append(visitor)
        yield made
    finally:
        for visitor in made:
            visitor.close()


def cookie_of(client: Client) -> str:
    """The Cookie header of somebody who has signed in."""
    return "; ".join(f"{one.key}={one.value}" for one in client.http.cookie_jar)
