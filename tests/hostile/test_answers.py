"""Apps that answer badly, late, too much or not at all: the client hears of it, and the next request is unharmed."""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio import StreamReader, StreamWriter
from pathlib import Path

import pytest

from aen.proxy import Limits
from tests.hostile.stand import BASE, OK, Talk, one_answer, request, route, stand, until
from tests.hostile.test_identity import GOOD_ORIGIN, WS

POST = f"POST {BASE}/x HTTP/1.1"
ORIGIN = b"Origin: http://gw.test\r\n"


def says(*parts: bytes, keep: bool = True) -> Talk:
    """An app that gives the same answer to each head."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
            if not keep:
                return

    return talk


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines, b"", b""])


BROKEN = {
    "CL and TE": head(b"Content-Length: 2", b"Transfer-Encoding: chunked") + b"ok",
    "CL twice": head(b"Content-Length: 2", b"Content-Length: 2") + b"ok",
    "CL list": head(b"Content-Length: 2, 2") + b"ok",
    "CL plus": head(b"Content-Length: +2") + b"ok",
    "TE gzip": head(b"Transfer-Encoding: gzip, chunked") + b"ok",
    "TE in 1.0": head(b"Transfer-Encoding: chunked", status=b"HTTP/1.0 200 OK") + b"0\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "folded": head(b"X-A: b", b" c", b"Content-Length: 2") + b"ok",
    "no colon": head(b"Rubbish", b"Content-Length: 2") + b"ok",
    "header splitting by CR": head(b"X-A: b\rSet-Cookie: aen-gateway=x", b"Content-Length: 2") + b"ok",
    "NUL": head(b"X-A: \x00", b"Content-Length: 2") + b"ok",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "status 99": head(status=b"HTTP/1.1 99 Low"),
    "status 600": head(status=b"HTTP/1.1 600 High"),
    "status 2000": head(status=b"HTTP/1.1 2000 OK"),
    "HTTP/2": head(status=b"HTTP/2 200 OK"),
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X-A: %b\r\n" % (b"b" * 1000) * 100,
    "too many lines": head(*[b"X: y"] * 1000),
    "101 unasked": head(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", status=b"HTTP/1.1 101 Switching Protocols"),
    "1xx without end": head(status=b"HTTP/1.1 103 Early Hints") * 100 + OK,
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_answer_is_a_502(name: str, tmp_path: Path) -> None:
    async with stand(tmp_path, says(BROKEN[name], keep=False)) as here:
        reader, writer = await here.connect()
        writer.write(request())
        while (answer := await one_answer(reader)).startswith(b"HTTP/1.1 103 "):
            pass
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert await reader.read() == b""
        writer.close()
        assert b"aen-gateway=x" not in answer
        here.app.talk = says(OK)
        assert (await here.one(request())).endswith(b"ok")


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "101 unasked"])  # here it was asked for
async def test_a_broken_answer_to_a_handshake_is_a_502(name: str, tmp_path: Path) -> None:
    async with stand(tmp_path, says(BROKEN[name], keep=False)) as here:
        reader, writer = await here.connect()
        writer.write(request(lines=GOOD_ORIGIN + WS))
        while (answer := await one_answer(reader)).startswith(b"HTTP/1.1 103 "):
            pass
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert await reader.read() == b""
        writer.close()
        assert all(one.tunnel is None for one in here.plane.connections)


WHOLE: dict[str, tuple[bytes, bytes]] = {
    "length": (head(b"Content-Length: 5") + b"abcde", b"abcde"),
    "chunked": (head(b"Transfer-Encoding: chunked") + b"2;x\r\nab\r\n3\r\ncde\r\n0\r\nT: x\r\n\r\n", b"abcde"),
    "until close": (head() + b"abcde", b"abcde"),
    "HTTP/1.0": (head(status=b"HTTP/1.0 200 OK") + b"abcde", b"abcde"),
    "empty": (head(b"Content-Length: 0"), b""),
    "no phrase": (head(b"Content-Length: 1", status=b"HTTP/1.1 200 ") + b"a", b"a"),
    "not even a space": (head(b"Content-Length: 1", status=b"HTTP/1.1 200") + b"a", b"a"),
    "103 first": (head(b"Link: </x>", status=b"HTTP/1.1 103 Early Hints") + head(b"Content-Length: 1") + b"a", b"a"),
}


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("name", WHOLE)
async def test_answers_come_through_whole_however_they_are_cut(name: str, cut: int, tmp_path: Path) -> None:
    wire, body = WHOLE[name]
    parts = [wire[at : at + cut] for at in range(0, len(wire), cut)] if cut else [wire]
    async with stand(tmp_path, says(*parts, keep=False)) as here:
        reader, writer = await here.connect()
        writer.write(request(lines=b"Connection: close\r\n"))
        raw = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    if name == "103 first":
        hint, _, raw = raw.partition(b"\r\n\r\n")
        assert hint == b"HTTP/1.1 103 Early Hints\r\nLink: </x>"
    top, _, rest = raw.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 200 ")
    assert _plain(top, rest) == body


def _plain(top: bytes, rest: bytes) -> bytes:
    """The body of an answer, which must be whole."""
    if b"chunked" not in top:
        assert b"Content-Length: %d\r\n" % len(rest) in top + b"\r\n"
        return rest
    out = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert rest == b"\r\n"
            return out
        out += rest[:length]
        assert rest[length : length + 2] == b"\r\n"
        rest = rest[length + 2 :]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("lines", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X: y"])
async def test_answers_without_a_body_do_not_upset_the_count(status: bytes, lines: bytes, tmp_path: Path) -> None:
    answers = [head(lines, status=b"HTTP/1.1 " + status), OK]

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        while answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answers.pop(0))
        await reader.read()

    async with stand(tmp_path, talk) as here:
        reader, writer = await here.connect()
        writer.write(request() * 2)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 " + status)
        assert (await one_answer(reader)).endswith(b"ok")
        writer.close()
        assert len(here.app.connections) == 1


async def test_head_has_no_body_and_keeps_its_length(tmp_path: Path) -> None:
    async with stand(tmp_path, says(head(b"Content-Length: 5"))) as here:
        reader, writer = await here.connect()
        for _ in range(2):
            writer.write(request(f"HEAD {BASE}/x HTTP/1.1"))
            assert b"\r\nContent-Length: 5\r\n" in await reader.readuntil(b"\r\n\r\n")
        writer.close()
        assert len(here.app.connections) == 1


@pytest.mark.parametrize(
    "wire", [head(b"Content-Length: 50") + b"abc", head(b"Transfer-Encoding: chunked") + b"5\r\nab"]
)
async def test_an_app_that_dies_in_the_middle_is_not_taken_for_whole(wire: bytes, tmp_path: Path) -> None:
    async with stand(tmp_path, says(wire, keep=False)) as here:
        answer = await here.send(request(), half_close=False)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert not answer.endswith(b"0\r\n\r\n")
        assert len(answer.partition(b"\r\n\r\n")[2]) < 50


async def test_bytes_after_an_answer_reach_nobody(tmp_path: Path) -> None:
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
    async with stand(tmp_path, says(OK + extra)) as here:
        reader, writer = await here.connect()
        for _ in range(3):
            writer.write(request())
            assert (await one_answer(reader)).endswith(b"ok")
        writer.close()
        assert len(here.app.connections) == 3


async def test_bytes_on_an_idle_connection_end_it(tmp_path: Path) -> None:
    writers: list[StreamWriter] = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        writers.append(writer)
        await says(OK)(reader, writer)

    async with stand(tmp_path, talk) as here:
        assert (await here.one(request())).endswith(b"ok")
        writers[0].write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
        pool = here.plane.pools.of(route(tmp_path / "app"))
        await until(lambda: not pool._idle)
        assert (await here.one(request())).endswith(b"ok")
        assert len(writers) == 2


async def test_a_stale_kept_connection_is_tried_again(tmp_path: Path) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        here.app.connections[-1] += b"first"
        await reader.read(1)  # the next request: hang up on it

    async with stand(tmp_path, talk) as here:
        reader, writer = await here.connect()
        for _ in range(6):
            writer.write(request())
            assert (await one_answer(reader)).endswith(b"ok")
        writer.write(request(POST, ORIGIN + b"Content-Length: 3\r\n", b"abc"))
        assert (await one_answer(reader)).startswith(b"HTTP/1.1 502 ")  # never sent twice
        writer.close()


async def test_an_early_refusal_reaches_a_client_that_is_still_sending(tmp_path: Path) -> None:
    refusal = head(b"Content-Length: 3", b"Connection: close", status=b"HTTP/1.1 413 Content Too Large") + b"no!"

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await writer.drain()
        await reader.read()

    async with stand(tmp_path, talk) as here:
        reader, writer = await here.connect()
        writer.write(request(POST, ORIGIN + b"Content-Length: 100000000\r\n", b"x" * 1_000_000))
        answer = await one_answer(reader)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b"no!")
        writer.close()


async def test_a_dead_app_is_a_503_and_leaves_nothing_open(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        (tmp_path / "app").unlink()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            assert (await here.one(request())).startswith(b"HTTP/1.1 503 ")
        await until(lambda: not here.plane.connections)
        assert len(os.listdir("/proc/self/fd")) <= before + 1


async def test_an_app_that_does_not_begin_is_a_504(tmp_path: Path) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read()

    async with stand(tmp_path, talk, limits=Limits(first_byte_seconds=0.3)) as here:
        assert (await here.one(request())).startswith(b"HTTP/1.1 504 ")


async def test_a_socket_of_somebody_else_gets_not_a_byte(tmp_path: Path) -> None:
    async with stand(tmp_path, uid=os.getuid() + 1) as here:
        assert (await here.one(request())).startswith(b"HTTP/1.1 502 ")
        assert here.app.got == b""


@pytest.mark.parametrize("mine", [True, False])
async def test_a_port_is_checked_too(mine: bool, tmp_path: Path) -> None:
    taken: list[bytes] = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        data = await reader.read(65536)
        if data:
            taken.append(data)
            writer.write(OK)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    uid = os.getuid() if mine else os.getuid() + 1
    async with server, stand(tmp_path, upstream=f"tcp:127.0.0.1:{port}", uid=uid) as here:
        answer = await here.one(request())
        assert answer.endswith(b"ok") is mine
        assert bool(taken) is mine


@pytest.mark.parametrize(
    "upstream", ["tcp:192.0.2.1:80", "tcp:example.org:80", "http://127.0.0.1", "tcp:127.0.0.1:x", ""]
)
async def test_only_this_host_is_an_upstream(upstream: str, tmp_path: Path) -> None:
    async with stand(tmp_path, upstream=upstream) as here:
        assert (await here.one(request())).startswith(b"HTTP/1.1 502 ")


async def test_a_client_that_goes_ends_the_apps_work(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head(b"Content-Type: text/event-stream") + b"data: 1\n\n")
        await reader.read()
        ended.set()

    async with stand(tmp_path, talk) as here:
        reader, writer = await here.connect()
        writer.write(request())
        await reader.readuntil(b"data: 1")
        writer.close()
        await asyncio.wait_for(ended.wait(), 5)
        await until(lambda: not here.plane.connections)


SIZE = 64 * 1024 * 1024


def _pool_buffers(here: object) -> int:
    return sum(client.transport.get_write_buffer_size() for client in here.plane.connections)  # type: ignore[attr-defined]


async def test_a_slow_reader_does_not_fill_memory(tmp_path: Path) -> None:
    sent = 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head(b"Content-Length: %d" % SIZE))
        block = b"x" * 65536
        for _ in range(SIZE // len(block)):
            writer.write(block)
            await writer.drain()
            sent += len(block)

    async with stand(tmp_path, talk) as here:
        plain = socket.create_connection(("127.0.0.1", here.port))
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        plain.setblocking(False)
        plain.send(request())
        await until(lambda: _pool_buffers(here) > 0)
        last = -1
        while last != sent:  # until the app is held back
            last = sent
            for _ in range(20):
                await asyncio.sleep(0)
            await asyncio.to_thread(os.sched_yield)
        assert _pool_buffers(here) < 2 * 1024 * 1024
        assert sent < SIZE
        loop, got = asyncio.get_running_loop(), 0
        while got < SIZE:
            data = await asyncio.wait_for(loop.sock_recv(plain, 1 << 20), 10)
            assert data
            got += len(data)
        plain.close()
        assert got >= SIZE


async def test_a_large_upload_flows(tmp_path: Path) -> None:
    got = 0

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal got
        await reader.readuntil(b"\r\n\r\n")
        while got < SIZE:
            got += len(await reader.read(1 << 20))
        writer.write(OK)

    async with stand(tmp_path, talk) as here:
        reader, writer = await here.connect()
        writer.write(request(POST, ORIGIN + b"Content-Length: %d\r\n" % SIZE))
        most = 0
        for _ in range(SIZE // (1 << 20)):
            writer.write(b"x" * (1 << 20))
            await writer.drain()
            apps = [one._app for one in here.plane.connections if one._app is not None]
            most = max([most, *(app.transport.get_write_buffer_size() for app in apps)])
        assert (await one_answer(reader)).endswith(b"ok")
        writer.close()
    assert got == SIZE
    assert most < 2 * 1024 * 1024
