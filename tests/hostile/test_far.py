"""A gateway reaches apps on another host through their node: everything as for an app of its own host."""

from __future__ import annotations

import asyncio
import gc
import os
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aen.ca import read_certificate
from aen.model.session import Phase
from aen.proxy import Limits
from tests.far import Pair, joined, pair, record
from tests.hostile.stand import BASE, Stand, Talk, one_answer, request, stand, until

MIB = 1024 * 1024


@asynccontextmanager
async def far(
    tmp: Path, talk: Talk | None = None, *, limits: Limits | None = None
) -> AsyncIterator[tuple[Stand, Pair]]:
    """A gateway whose app is on another host."""
    async with (
        pair(tmp) as both,
        stand(tmp, talk, limits=limits, nodes=both.links, upstream=both.upstream, node="n1") as here,
    ):
        both.sessions["s1"] = record(f"unix:{tmp}/app")
        yield here, both


def memory() -> int:
    """Bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


async def test_requests_go_through_on_one_kept_connection(tmp_path: Path) -> None:
    async with far(tmp_path) as (here, both):
        for _ in range(20):
            assert (await here.one(request())).endswith(b"ok")
        assert both.endpoint.served == 1
        assert len(here.app.connections) == 1
        assert here.app.got.startswith(b"GET /alice/genome/jupyter/x HTTP/1.1\r\n")
        assert b"X-AEN-App-Token: launch-secret\r\n" in here.app.got


async def test_the_next_connection_resumes_the_session(tmp_path: Path) -> None:
    async with far(tmp_path) as (here, _):
        assert (await here.one(request())).endswith(b"ok")
        pool = here.plane.pools.of(here.plane.routes.routes()[0])
        made = await pool.connect(5)
        tls = made.transport.get_extra_info("ssl_object")
        assert (tls.session_reused, tls.version(), tls.selected_alpn_protocol()) == (True, "TLSv1.3", "aen/1")
        made.drop()


async def test_a_websocket_passes_through_and_is_closed_from_both_sides(tmp_path: Path) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        proof = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        lines = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % proof
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n" + lines + b"\x81\x05hello")
        ends.append(await reader.read(100))
        ends.append(await reader.read(100))

    ends: list[bytes] = []
    async with far(tmp_path, talk) as (here, both):
        reader, writer = await here.connect()
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://gw.test\r\n"
        writer.write(request(lines=b"Upgrade: websocket\r\nConnection: Upgrade\r\n" + key))
        assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 101 ")
        writer.write(b"\x81\x82\0\0\0\0hi")
        await until(lambda: ends)
        assert ends[0].endswith(b"hi")
        here.plane.close_sockets(lambda _, route: route.session == "s1", 1008, "out")
        assert (await reader.read(100))[:4] == b"\x88\x05\x03\xf0"
        await until(lambda: len(ends) == 2)
        assert ends[1][:1] == b"\x88"
        writer.close()
        await until(lambda: not both.endpoint.connections)


@pytest.mark.parametrize("way", ["up", "down"])
async def test_large_bodies_leave_memory_flat(way: str, tmp_path: Path) -> None:
    size = 256 * MIB

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        left = size if way == "up" else 0
        while left:
            left -= len(await reader.read(MIB))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (0 if way == "up" else size))
        for _ in range(0 if way == "up" else size // MIB):
            writer.write(bytes(MIB))
            await writer.drain()

    async with far(tmp_path, talk) as (here, _):
        before, most = memory(), 0
        reader, writer = await here.connect()
        lines = b"Origin: http://gw.test\r\n"
        if way == "up":
            writer.write(request(f"POST {BASE}/x HTTP/1.1", lines + b"Content-Length: %d\r\n" % size))
            for _ in range(size // MIB):
                writer.write(bytes(MIB))
                await writer.drain()
                most = max(most, memory())
            assert b" 200 " in await one_answer(reader)
        else:
            writer.write(request())
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(size // MIB):
                await reader.readexactly(MIB)
                most = max(most, memory())
        writer.close()
        assert most - before < 24 * MIB


async def test_a_slow_client_holds_the_app_and_nobody_else(tmp_path: Path) -> None:
    sent = 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(64):
            writer.write(bytes(MIB))
            await writer.drain()
            sent += 1

    async with far(tmp_path, talk) as (here, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port, limit=65536)
        writer.write(request())
        await reader.readuntil(b"\r\n\r\n")
        seen = -1
        while sent != seen:  # until nothing moves any more
            seen = sent
            for _ in range(50):
                await asyncio.sleep(0.01)
        assert sent < 48
        assert len(await reader.readexactly(64 * MIB)) == 64 * MIB
        writer.close()


NO: dict[str, tuple[Callable[[Pair, Path], object], int, bytes]] = {
    "unknown-session": (lambda both, tmp: both.sessions.clear(), 503, b"session has ended"),
    "old-generation": (lambda both, tmp: _put(both, tmp, generation=2), 503, b"session has ended"),
    "stopping": (lambda both, tmp: _put(both, tmp, phase=Phase.STOPPING), 503, b"session has ended"),
    "no-app": (lambda both, tmp: (tmp / "app").unlink(), 503, b"app can't be reached"),
    "stranger": (lambda both, tmp: _put(both, tmp, uid=os.getuid() + 1), 502, b"taken by somebody else"),
    "draining": (lambda both, tmp: setattr(both.endpoint, "draining", True), 503, b"being restarted"),
    "revoked": (lambda both, tmp: _revoke(both), 502, b"does not know this gateway"),
}  # fmt: skip


def _put(both: Pair, tmp: Path, **changes: object) -> None:
    both.sessions["s1"] = record(f"unix:{tmp}/app", **changes)  # type: ignore[arg-type]


def _revoke(both: Pair) -> None:
    both.node.keep_revoked([read_certificate(both.gateway.certificate.read_bytes()).serial])
    assert both.endpoint.trust.look()


@pytest.mark.parametrize("name", NO)
async def test_what_is_wrong_is_said(name: str, tmp_path: Path) -> None:
    spoil, status, said = NO[name]
    async with far(tmp_path) as (here, both):
        assert (await here.one(request())).endswith(b"ok")
        here.plane.pools.leave_nodes()
        spoil(both, tmp_path)
        answer = await here.one(request())
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert said in answer
        assert b"Retry-After" in answer
        await until(lambda: not both.endpoint.connections)


async def test_a_link_to_somebody_elses_socket_is_not_followed(tmp_path: Path) -> None:
    async with far(tmp_path) as (here, both):
        both.sessions["s1"] = record(f"unix:{tmp_path}/app", uid=os.getuid() + 1)  # of another than who listens there:
        (tmp_path / "app").unlink()
        (tmp_path / "app").symlink_to(tmp_path / "pages")
        assert b"taken by somebody else" in await here.one(request())
        assert here.pages.got == b""


async def test_a_node_cant_answer_for_another(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        both.sessions["s1"] = record(f"unix:{tmp_path}/app")
        async with stand(tmp_path, nodes=both.links, upstream=both.upstream, node="n2") as here:
            assert b" 502 " in await here.one(request())
            assert here.app.got == b""


@pytest.mark.parametrize("upstream", ["unix:{tmp}/app", "tcp:127.0.0.1:1", "node:127.0.0.1", "node::1", "http://x"])
async def test_a_far_node_cant_name_sockets_of_the_gateways_host(upstream: str, tmp_path: Path) -> None:
    named = upstream.format(tmp=tmp_path)
    async with pair(tmp_path) as both, stand(tmp_path, nodes=both.links, upstream=named, node="n1") as here:
        assert b" 502 " in await here.one(request())
        assert here.app.got == b""


async def test_a_node_that_is_not_there_is_said_and_comes_back(tmp_path: Path) -> None:
    async with far(tmp_path) as (here, both):
        assert (await here.one(request())).endswith(b"ok")
        await both.endpoint.stop()
        answer = await here.one(request())
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"compute node n1 can't be reached" in answer


async def test_node_restarted_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")  # until it closes
        await reader.read()

    async with far(tmp_path, talk) as (here, both):
        reader, writer = await here.connect()
        writer.write(request())
        assert (await reader.readuntil(b"half\r\n")).startswith(b"HTTP/1.1 200 ")
        await both.endpoint.stop()
        assert b"0\r\n\r\n" not in await reader.read()  # cut, not ended: the client sees that something is missing
        writer.close()


async def test_an_answer_that_ends_with_the_connection_is_whole(tmp_path: Path) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(MIB))
        await writer.drain()

    async with far(tmp_path, talk) as (here, _):
        answer = await here.send(request(lines=b"Connection: close\r\n"), half_close=False)
        assert answer.endswith(b"\r\n0\r\n\r\n")
        assert len(answer) > MIB


async def test_client_gone_in_the_middle_of_its_body_ends_the_apps_connection(tmp_path: Path) -> None:
    ended: list[bytes] = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        ended.append(await reader.read())

    async with far(tmp_path, talk) as (here, both):
        _, writer = await here.connect()
        writer.write(request(f"POST {BASE}/x HTTP/1.1", b"Origin: http://gw.test\r\nContent-Length: 1000\r\n", b"part"))
        await until(lambda: both.endpoint.served)
        writer.transport.abort()
        await until(lambda: ended)
        await until(lambda: not both.endpoint.connections)


async def test_a_renewed_certificate_is_taken_up_without_a_drop(tmp_path: Path) -> None:
    async with far(tmp_path) as (here, both):
        assert (await here.one(request())).endswith(b"ok")
        joined(tmp_path, both.authority, "compute", "n1")
        joined(tmp_path, both.authority, "gateway", "g1")
        both.endpoint.trust.look()
        both.links.trust.look()
        assert (await here.one(request())).endswith(b"ok")
        assert both.endpoint.served == 1  # the open one goes on
        here.plane.pools.leave_nodes()
        assert (await here.one(request())).endswith(b"ok")
        assert both.endpoint.served == 2


async def test_failures_leave_nothing_behind(tmp_path: Path) -> None:
    """Requests that fail in every way, then everything is as it was."""
    spoils: list[Callable[[Pair], None]] = [
        lambda both: both.sessions.clear(),
        lambda both: _put(both, tmp_path, uid=os.getuid() + 1),
        lambda both: _put(both, tmp_path, generation=9),
        lambda both: both.sessions.update(s1=record(f"unix:{tmp_path}/none")),
    ]

    async def many(here: Stand, both: Pair, count: int) -> None:
        for number in range(count // 20):
            spoils[number % len(spoils)](both)
            here.plane.pools.leave_nodes()
            assert all(b"HTTP/1.1 50" in one for one in await asyncio.gather(*(here.one(request()) for _ in range(20))))

    async with far(tmp_path) as (here, both):
        await many(here, both, 400)  # what is made once
        await until(lambda: not both.endpoint.connections and not here.plane.connections)
        before, grown = descriptors(), list[int]()
        while len(grown) < 3 and min(grown, default=MIB << 10) >= 16 * MIB:  # what leaks grows each time; a heap, once
            gc.collect()
            memory_before = memory()
            await many(here, both, 2000)
            await until(lambda: not both.endpoint.connections and not here.plane.connections)
            await until(lambda: descriptors() <= before)
            gc.collect()
            grown.append(memory() - memory_before)
        assert min(grown) < 16 * MIB, grown
