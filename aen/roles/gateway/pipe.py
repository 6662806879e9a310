"""Pipe: what a gateway and its workers say to each other: JSON over a socket pair, each message after its length."""

from __future__ import annotations

import asyncio
import json
import socket
from asyncio import StreamReader, StreamWriter
from typing import Any

Message = dict[str, Any]
_LENGTH = 4
MOST_WAITING = 256 * 1024 * 1024  # bytes that a worker may leave unread


class Pipe:
    """One end. Both ends are this very program, so what comes is believed."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, end: socket.socket) -> Pipe:
        """Speak over one end of a socket pair."""
        return cls(*await asyncio.open_unix_connection(sock=end))

    @property
    def waiting(self) -> int:
        """Bytes that the other side has not taken yet."""
        return self._writer.transport.get_write_buffer_size()

    def send(self, message: Message) -> None:
        """Send a message; nothing happens when the other side is gone."""
        if not self._writer.is_closing():
            data = json.dumps(message, separators=(",", ":")).encode()
            self._writer.write(len(data).to_bytes(_LENGTH, "big") + data)

    async def receive(self) -> Message | None:
        """The next message; None when the other side is gone."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH), "big")
            message: Message = json.loads(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return message

    async def flush(self) -> None:
        """Wait until what was sent is on its way."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close(self) -> None:
        """Say no more."""
        self._writer.close()
