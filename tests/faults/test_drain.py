"""The gateway ends in order: whose request had arrived gets its whole answer, whatever the moment."""

from __future__ import annotations

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from pathlib import Path

from tests.hostile.stand import request, stand, until

BODY = b"x" * 100_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY)


async def talk(reader: StreamReader, writer: StreamWriter) -> None:
    """An app with a long answer."""
    while await reader.readuntil(b"\r\n\r\n"):
        writer.write(HEAD)
        await writer.drain()
        writer.write(BODY)


def knock(port: int) -> socket.socket:
    """A connection that the kernel has made, and that nobody has taken yet."""
    made = socket.create_connection(("127.0.0.1", port))
    made.sendall(request())
    made.setblocking(False)
    return made


async def answer(sock: socket.socket, most: int = 1 << 30) -> bytes:
    """So many bytes, or everything until the end of the connection."""
    loop, got = asyncio.get_running_loop(), b""
    while len(got) < most and (data := await loop.sock_recv(sock, 65536)):
        got += data
    return got


async def test_a_request_that_has_arrived_is_answered_whole(tmp_path: Path) -> None:
    async with stand(tmp_path, talk) as here:
        kept = [knock(here.port) for _ in range(50)]
        for sock in kept:  # each has served one request and is idle
            await answer(sock, len(HEAD) + len(BODY))
        idle = [await here.connect() for _ in range(20)]
        await until(lambda: len(here.plane.connections) == 70)
        # From here on the loop does not run until the end has begun: all of this lies in the kernel's queues.
        for sock in kept:
            sock.sendall(request())
        fresh = [knock(here.port) for _ in range(50)]
        await here.plane.drain(10)
        for sock in kept + fresh:
            got = await answer(sock)
            sock.close()
            assert got.endswith(BODY)
            assert b"\r\nConnection: close\r\n" in got
        assert [await reader.read() for reader, _ in idle] == [b""] * 20
        assert not here.plane.connections
        for _, writer in idle:
            writer.close()
        sock = socket.socket()
        assert sock.connect_ex(("127.0.0.1", here.port)) != 0
        sock.close()
