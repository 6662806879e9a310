"""Asking an app server something over its socket: whether it is up, and how active it is."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from pathlib import Path
from typing import Any

from aen.errors import Unavailable
from aen.roles.compute.records import Record

_SECONDS = 10.0
_LARGEST = 4 << 20  # bytes of an answer
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?= |\r|\Z)")
_CREDENTIALS = struct.Struct("iII")  # struct ucred: pid, uid, gid


class Asker:
    """Asks one session's app server, as its person and with its secret. Who listens is checked each time.

    `room`: the bytes that its project may still grow by, which our own apps keep to.
    """

    def __init__(self, record: Record, room: int | None = None) -> None:
        self._record, self._room = record, room

    async def answers(self, path: str) -> bool:
        """Whether it answers below its prefix; a fault of its own (5xx) is not an answer."""
        try:
            status, _ = await self._get(path)
        except (OSError, TimeoutError, ValueError):
            return False
        return 100 <= status < 500

    async def get_json(self, path: str) -> Any:
        """The answer as data. Raises Unavailable."""
        try:
            status, body = await self._get(path)
            if status != 200:
                raise ValueError(f"status {status}")
            return json.loads(body)
        except (OSError, TimeoutError, ValueError, RecursionError) as error:
            raise Unavailable(f"The app does not answer: {error}.") from None

    async def _get(self, path: str) -> tuple[int, bytes]:
        """Status and body. HTTP/1.0, so that the end of the connection is the end of the answer."""
        async with asyncio.timeout(_SECONDS):
            reader, writer = await self._connect()
            try:
                writer.write(self._head(path))
                answer = await _all(reader)
            finally:
                writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        status = _STATUS.match(head)
        return int(status[1]) if status else 0, body

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        kind, _, place = self._record.upstream.partition(":")
        if kind == "unix":
            reader, writer = await asyncio.open_unix_connection(place)
            if peer_uid(writer.get_extra_info("socket")) == self._record.uid:
                return reader, writer
            writer.close()
            raise OSError("somebody else listens there")
        host, _, port = place.rpartition(":")
        if listener_uid(int(port)) != self._record.uid:
            raise OSError("nobody, or somebody else, listens there")
        return await asyncio.open_connection(host, int(port))

    def _head(self, path: str) -> bytes:
        lines = (
            f"GET {'/' if self._record.strip else self._record.prefix}{path} HTTP/1.0",
            "Host: localhost",
            f"X-AEN-User: {self._record.user}",
            f"X-AEN-App-Token: {self._record.secret}",
            *(() if self._room is None else (f"X-AEN-Room: {self._room}",)),
        )
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _all(reader: asyncio.StreamReader) -> bytes:
    parts = bytearray()
    while part := await reader.read(65536):
        parts += part
        if len(parts) > _LARGEST:
            raise ValueError("the answer is too long")
    return bytes(parts)


def peer_uid(sock: socket.socket) -> int:
    """Whose process is at the other end of a unix socket."""
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(data)[1])


def listener_uid(port: int) -> int | None:
    """Whose socket listens on a TCP port of this machine, or None."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:  # 0A: LISTEN
                return int(fields[7])
    return None
