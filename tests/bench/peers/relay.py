"""Relay: passes bytes between clients and the app without looking at them: what is left of a proxy without any safety."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

from aen.proxy.upstream import write_at_once


class Blind(asyncio.Protocol):
    """One end of a pair."""

    def __init__(self, other: Blind | None = None) -> None:
        self.other, self.early = other, b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self.transport = cast(asyncio.Transport, transport)
        write_at_once(self.transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self.early += data

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.abort()


class Client(Blind):
    """The client's end: has a connection to the app made at once, one for each."""

    def __init__(self, app: str) -> None:
        super().__init__()
        self._app = app

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._joining = asyncio.get_running_loop().create_task(self._join())

    async def _join(self) -> None:
        there = Blind(self)
        await asyncio.get_running_loop().create_unix_connection(lambda: there, self._app)
        self.other = there
        if there.transport is not None and self.early:
            there.transport.write(self.early)


async def serve(folder: Path, port: int) -> asyncio.Server:
    """Listen."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Client(str(folder / "app")), "127.0.0.1", port, backlog=4096)
