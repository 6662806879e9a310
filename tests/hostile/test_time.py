"""Time: what flows may take as long as it likes; who says nothing more is given up, also when their machine is just gone."""

from __future__ import annotations

import asyncio
import socket
import time
from asyncio import StreamReader, StreamWriter
from functools import partial
from pathlib import Path

import pytest

from aen.proxy import Limits, peers, plane
from tests.hostile.stand import BASE, OK, request, stand, until
from tests.hostile.test_identity import GOOD_ORIGIN, WS
from tests.hostile.test_tunnel import App, opened

POST = f"POST {BASE}/x HTTP/1.1"
_TCP_REPAIR = 19


class Clock:
    """The data plane's clock, which a test sets forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        monkeypatch.setattr(plane, "time", self)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def time_ns(self) -> int:
        return time.time_ns()

    async def forward(self, seconds: float, of: plane.Plane) -> None:
        """Set it forward, and wait until the data plane has looked."""
        self.ahead += seconds
        then = self.monotonic()
        await until(lambda: of.now >= then)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_may_take_longer_than_an_answer_may_keep_one_waiting(
    chunked: bool, clock: Clock, tmp_path: Path
) -> None:
    got = bytearray()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while b"e" not in got and (data := await reader.read(100)):
            got.extend(data)
        writer.write(OK)

    async with stand(tmp_path, talk, limits=Limits(first_byte_seconds=600)) as here:
        reader, writer = await here.connect()
        writer.write(
            request(POST, GOOD_ORIGIN + (b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: 5\r\n"))
        )
        for part in (b"a", b"b", b"c", b"d", b"e"):  # 2,000 s for all of it
            writer.write(b"1\r\n%b\r\n" % part if chunked else part)
            await until(partial(got.__contains__, part))
            if part != b"e":
                await clock.forward(500, here.plane)
        writer.write(b"0\r\n\r\n" if chunked else b"")
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_a_body_that_does_not_come_is_given_up(clock: Clock, tmp_path: Path) -> None:
    ended, got = asyncio.Event(), bytearray()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while data := await reader.read(100):
            got.extend(data)
        ended.set()

    async with stand(tmp_path, talk, limits=Limits(first_byte_seconds=600)) as here:
        reader, writer = await here.connect()
        writer.write(request(POST, GOOD_ORIGIN + b"Content-Length: 5\r\n", b"ab"))
        await until(lambda: got == b"ab")
        await clock.forward(500, here.plane)
        assert here.plane.connections
        await clock.forward(200, here.plane)
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        await asyncio.wait_for(ended.wait(), 5)


async def test_an_app_that_takes_nothing_of_a_body_is_a_504(clock: Clock, tmp_path: Path) -> None:
    may_go = asyncio.Event()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await may_go.wait()

    async with stand(tmp_path, talk, limits=Limits(first_byte_seconds=600)) as here:
        reader, writer = await here.connect()
        writer.write(request(POST, GOOD_ORIGIN + b"Content-Length: 100000000\r\n") + b"x" * 20_000_000)
        await until(lambda: any(one._held for one in here.plane.connections))
        await clock.forward(700, here.plane)
        assert (await reader.readline()).startswith(b"HTTP/1.1 504 ")
        writer.close()
        may_go.set()


@pytest.mark.parametrize("ending", [b"", b"Connection: close\r\n"])
async def test_who_took_a_large_answer_slowly_and_asks_no_more_is_closed(
    ending: bytes, clock: Clock, tmp_path: Path
) -> None:
    size = 16 * 1024 * 1024

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)

    async with stand(tmp_path, talk, limits=Limits(idle_seconds=75)) as here:
        reader, writer = await here.connect()
        writer.write(request(lines=ending))
        await until(lambda: any(one._stalled for one in here.plane.connections))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        await reader.readexactly(size)
        await until(lambda: not any(one._stalled for one in here.plane.connections))
        await clock.forward(100, here.plane)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_quiet_websocket_lasts(clock: Clock, tmp_path: Path) -> None:
    app = App()
    async with stand(tmp_path, app.talk) as here:
        _, writer = await opened(here)
        await clock.forward(100_000, here.plane)
        writer.write(b"\x81\x80mask")
        await until(lambda: app.got)
        writer.close()


def _may_vanish() -> bool:
    """Whether this machine lets a socket be closed without a word (CAP_NET_ADMIN)."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
            probe.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 0)
        except OSError:
            return False
    return True


@pytest.mark.root
@pytest.mark.skipif(not _may_vanish(), reason="sockets can't be closed without a word here (CAP_NET_ADMIN)")
@pytest.mark.parametrize("kind", [b"", WS], ids=["http", "ws"])
async def test_who_goes_without_a_word_is_noticed(kind: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A laptop is closed: no FIN ever comes. The kernel asks, and the app's side ends too."""
    monkeypatch.setattr(peers, "QUIET_SECONDS", 1)
    monkeypatch.setattr(peers, "PROBES", 1)
    app = App()
    async with stand(tmp_path, app.talk) as here:
        gone = socket.create_connection(("127.0.0.1", here.port))
        gone.sendall(request(lines=GOOD_ORIGIN + kind))
        gone.setblocking(False)
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(gone, 4096), 5) if kind else None
        await until(lambda: here.app.connections)
        gone.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)  # closed now, nothing is sent
        gone.close()
        await asyncio.wait_for(app.ended.wait(), 10)
        await until(lambda: not here.plane.connections)
