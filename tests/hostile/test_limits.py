"""What one client may take: connections, heads, time. Others go on as if nothing were."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from aen.proxy import Limits
from tests.hostile.stand import BASE, Stand, one_answer, request, stand, until

UPGRADE = b"Origin: http://gw.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_thousand_slow_heads_keep_nobody_waiting_and_are_cut(tmp_path: Path) -> None:
    """Slow loris: each sends a byte now and then, none ever ends its head."""
    async with stand(tmp_path, limits=Limits(head_seconds=2)) as here:
        before, files = _memory(), _open_files()
        slow = [await here.connect() for _ in range(1000)]
        for number, (_, writer) in enumerate(slow):
            writer.write(request()[: 5 + number % 50])
        await until(lambda: len(here.plane.connections) == 1000)
        for _ in range(20):
            assert (await here.one(request())).endswith(b"ok")
        for _, writer in slow[::2]:
            writer.write(b"G")  # a further byte wins no time
        await until(lambda: not here.plane.connections, 10)
        answers = [await reader.read() for reader, _ in slow]
        assert all(not answer or answer[:12] in (b"HTTP/1.1 408", b"HTTP/1.1 400") for answer in answers)
        for _, writer in slow:
            writer.close()
        await until(lambda: _open_files() <= files + 2)  # the kept connection to the app, both ends
        assert _memory() - before < 64 * 1024 * 1024  # both ends of them are in this process


async def test_a_head_that_grows_without_end_is_cut_at_its_limit(tmp_path: Path) -> None:
    async with stand(tmp_path, limits=Limits(head_bytes=4096)) as here:
        answer = await here.send(b"GET / HTTP/1.1\r\nHost: gw.test\r\nX-A: " + b"b" * 10_000, half_close=False)
        assert answer.startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(("lines", "status"), [(20, b"200"), (33, b"431")])
async def test_header_lines_are_counted(lines: int, status: bytes, tmp_path: Path) -> None:
    async with stand(tmp_path, limits=Limits(headers=32)) as here:
        assert (await here.one(request(lines=b"X-A: b\r\n" * lines)))[9:12] == status


async def test_an_idle_connection_is_closed(tmp_path: Path) -> None:
    async with stand(tmp_path, limits=Limits(idle_seconds=0.2)) as here:
        reader, writer = await here.connect()
        writer.write(request())
        assert (await one_answer(reader)).endswith(b"ok")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def _fill(here: Stand, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    made = [await here.connect() for _ in range(count)]
    for reader, writer in made:
        writer.write(request())
        assert (await one_answer(reader)).endswith(b"ok")
    return made


@pytest.mark.parametrize(
    "kind", [b"", UPGRADE + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"], ids=["HTTP", "WS"]
)
async def test_a_person_has_so_many_connections_and_others_have_theirs(kind: bytes, tmp_path: Path) -> None:
    async with stand(tmp_path, limits=Limits(connections=5), users=["alice", "bob"], user="*") as here:
        made = await _fill(here, 5)
        answer = await here.one(request(lines=kind))
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: 5\r\n" in answer
        assert b'"too_many"' in answer
        assert (await here.one(request(grant=b"Cookie: aen-gateway=bob\r\n"))).endswith(b"ok")
        made.pop()[1].close()
        await until(lambda: len(here.plane.connections) == 4)
        made += await _fill(here, 1)
        for _, writer in made:
            writer.close()


async def test_connections_count_as_whose_they_are_now(tmp_path: Path) -> None:
    """Behind a front proxy one connection serves many people."""
    async with stand(tmp_path, limits=Limits(connections=1), users=["alice", "bob"], user="*") as here:
        reader, writer = await here.connect()
        for grant in (b"good", b"bob", b"good", b"bob"):
            writer.write(request(grant=b"Cookie: aen-gateway=%b\r\n" % grant))
            assert (await one_answer(reader)).endswith(b"ok")
        assert (await here.one(request())).endswith(b"ok")
        writer.close()


async def test_a_body_longer_than_said_by_its_chunks_is_refused(tmp_path: Path) -> None:
    async with stand(tmp_path, limits=Limits(body_bytes=1000)) as here:
        lines = b"Origin: http://gw.test\r\nTransfer-Encoding: chunked\r\n"
        whole = request(f"POST {BASE}/x HTTP/1.1", lines, b"200\r\n" + b"x" * 512 + b"\r\n" + b"200\r\n" + b"x" * 512)
        answer = await here.send(whole, half_close=False)
        assert answer.startswith(b"HTTP/1.1 413")
