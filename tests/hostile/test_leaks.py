"""After all kinds of failures nothing is left: no descriptor, no connection, no task, no memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from asyncio import StreamReader, StreamWriter
from pathlib import Path

from tests.hostile.stand import BASE, OK, Stand, one_answer, request, route, stand, until

UPGRADE = (
    b"Origin: http://gw.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
AT_ONCE = 20
DEAD = "alice/genome/dead"


async def _app(reader: StreamReader, writer: StreamWriter) -> None:
    """Answers, refuses upgrades, ends in the middle of a body when asked to."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/cut " in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning")
            return
        if b"/large " in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000)
        elif b"Upgrade: websocket" in head:
            writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        else:
            if (at := head.find(b"Content-Length: ")) >= 0:
                await reader.readexactly(int(head[at + 16 : head.index(b"\r\n", at)]))
            writer.write(OK)
        await writer.drain()


async def _good(here: Stand, count: int) -> None:
    """The same request twice, as a browser's poll; the rest one behind the other, all sent at once."""
    reader, writer = await here.connect()
    for _ in range(2):
        writer.write(request())
        answer = await one_answer(reader)
        assert answer.endswith(b"ok")
    writer.write(request(f"GET {BASE}/y HTTP/1.1") * (count - 2))
    assert await asyncio.wait_for(reader.readexactly(len(answer) * (count - 2)), 30) == answer * (count - 2)
    writer.close()


async def _bad(here: Stand, number: int) -> None:
    """One failure of each kind, in turn."""
    reader, writer = await here.connect()
    kind = number % 6
    if kind == 0:  # nobody listens
        writer.write(request(f"GET /{DEAD}/x HTTP/1.1"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 503")
    elif kind == 1:  # a tab that tries its WebSocket to a dead app again
        writer.write(request(f"GET /{DEAD}/x HTTP/1.1", UPGRADE))
        assert (await reader.readline()).startswith(b"HTTP/1.1 503")
    elif kind == 2:
        writer.write(request(lines=UPGRADE))
        assert (await reader.readline()).startswith(b"HTTP/1.1 403")
    elif kind == 3:  # the client goes in the middle of its body
        writer.write(request(f"POST {BASE}/x HTTP/1.1", b"Origin: http://gw.test\r\nContent-Length: 1000\r\n", b"half"))
        await writer.drain()
    elif kind == 4:  # … and in the middle of the answer
        writer.write(request(f"GET {BASE}/large HTTP/1.1"))
        await reader.readexactly(1000)
    else:  # the app goes in the middle of the answer
        writer.write(request(f"GET {BASE}/cut HTTP/1.1"))
        await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def _mixed(here: Stand, count: int) -> None:
    """`count` requests, every tenth of them a failure."""

    async def one(number: int) -> None:
        await _good(here, 9)
        await _bad(here, number)

    for begin in range(0, count // 10, AT_ONCE):
        await asyncio.gather(*(one(number) for number in range(begin, begin + AT_ONCE)))


def _now_open() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_failures_leave_nothing_behind(tmp_path: Path) -> None:
    count = 100_000
    async with stand(tmp_path, _app) as here:
        here.plane.routes.add(route(tmp_path / "nobody", session="s2", app_server="dead"))
        await _mixed(here, 400)  # warm: pools, memories, imports
        await until(lambda: not here.plane.connections)
        files, tasks = _now_open(), len(asyncio.all_tasks())
        gc.collect()
        blocks = sys.getallocatedblocks()
        await _mixed(here, count)
        await until(lambda: not here.plane.connections)
        del here.app.connections[:]
        here.plane.tally.lines.clear()
        gc.collect()
        left = sys.getallocatedblocks() - blocks
        await until(lambda: _now_open() <= files + AT_ONCE and len(asyncio.all_tasks()) <= tasks + 2 * AT_ONCE)
        assert (
            left < 5_000
        )  # blocks of Python's memory; some hundred, whatever the count: a leak of one for each is 10,000
        assert here.plane.tally.apps.statuses[2] >= count * 0.9


async def test_two_hundred_tabs_at_a_dead_app(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        here.plane.routes.add(route(tmp_path / "nobody", session="s2", app_server="dead"))
        files = _now_open()
        for _ in range(5):
            tabs = [here.one(request(f"GET /{DEAD}/x HTTP/1.1", UPGRADE)) for _ in range(200)]
            assert all(answer.startswith(b"HTTP/1.1 503") for answer in await asyncio.gather(*tabs))
        assert (await here.one(request())).endswith(b"ok")
        await until(lambda: not here.plane.connections and _now_open() <= files + 2)
