"""Safety: what single precautions of the data plane cost, in processor time of Python, without any system call but those told."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from aen.proxy.accesslines import Lines
from aen.proxy.dialing import dial
from aen.proxy.exchange import Request
from aen.proxy.head import Memory
from aen.proxy.headers import RequestReader
from aen.proxy.tunnel import Tunnel
from tests.bench.row import Row

_TIMES, _REPEATS = 4000, 9
_MESSAGE = b"\x82\xc0\0\0\0\0" + b"e" * 64


class Nowhere:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        """See asyncio.WriteTransport."""

    def get_protocol(self) -> Any:
        """See asyncio.BaseTransport."""
        return self.protocol

    def set_protocol(self, protocol: Any) -> None:
        """See asyncio.BaseTransport."""
        self.protocol = protocol


def rows(lines: tuple[str, ...], folder: Path) -> Iterator[Row]:
    """Row after row: with the precaution, beside without it. `lines` are a browser's."""
    block = "".join(f"{line}\r\n" for line in ("Host: 127.0.0.1", *lines)).encode()
    news = [block + b"X-Request-Number: %d\r\n" % number for number in range(_TIMES)]
    reader = RequestReader(b"aen-gateway")
    memory = Memory(reader)
    for _ in range(2):
        memory.get(block)
    new, known = _cost(reader, news), _cost(memory.get, [block] * _TIMES)
    yield Row("safety: a new head is read strictly and written anew, beside one that is known", new, "us", known)
    here, there = Nowhere(), Nowhere()
    Tunnel(cast(asyncio.Transport, here), cast(asyncio.Transport, there), asyncio.new_event_loop())
    take, write = here.protocol.data_received, there.write
    frames = [_MESSAGE] * _TIMES
    yield Row(
        "safety: a WebSocket's frame is followed, beside passed on", _cost(take, frames), "us", _cost(write, frames)
    )
    combined = Lines("combined")
    requests = [_request(memory, block, number) for number in range(_TIMES)]
    yield Row(
        "safety: the constant part of a line of the access log",
        _cost(lambda one: combined.parts("127.0.0.1", one), requests),
        "us",
    )
    yield from _dialing(folder)


def _request(memory: Memory[Any], block: bytes, number: int) -> Request:
    return Request("GET", b"/alice/genome/jupyter/api/contents/%d" % number, b"", False, memory.get(block))


def _dialing(folder: Path) -> Iterator[Row]:
    """System calls included: whose socket it is, is asked on each new connection to an app."""
    path = folder / "dialed"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1024)

        def checked() -> None:
            asyncio.run(_dial_all(listener, path))

        def plain() -> None:
            for _ in range(200):
                with socket.socket(socket.AF_UNIX) as made:
                    made.connect(str(path))
                    listener.accept()[0].close()

        with_check, without = _cost(lambda _: checked(), [None]) / 200, _cost(lambda _: plain(), [None]) / 200
    yield Row(
        "safety: a new connection to an app, its listener's account looked at, beside plain", with_check, "us", without
    )


async def _dial_all(listener: socket.socket, path: Path) -> None:
    for _ in range(200):
        made = await dial(f"unix:{path}", os.getuid())
        listener.accept()[0].close()
        made.close()


def _cost(one: Callable[[Any], Any], what: list[Any]) -> float:
    """Microseconds of processor time for each, the least of several times."""
    least = float("inf")
    for _ in range(_REPEATS):
        begun = time.process_time()
        for each in what:
            one(each)
        least = min(least, (time.process_time() - begun) / len(what))
    return least * 1e6
