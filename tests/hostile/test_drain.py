"""The end under load: whoever's head has arrived is answered wholly, nobody is reset."""

from __future__ import annotations

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from pathlib import Path

import pytest

from tests.hostile.stand import OK, one_answer, request, stand, until


async def test_who_still_waits_to_be_accepted_is_answered(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        waiting = []
        for _ in range(50):  # without giving the loop a turn: none of them is accepted yet
            one = socket.create_connection(("127.0.0.1", here.port))
            one.sendall(request())
            waiting.append(one)
        assert not here.plane.connections
        await here.plane.drain(5)  # begins before the loop has had a turn
        for one in waiting:
            one.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=one)
            answer = await asyncio.wait_for(reader.read(), 5)
            assert answer.endswith(b"\r\n\r\nok")
            assert b"Connection: close\r\n" in answer
            writer.close()
        with pytest.raises(ConnectionError):
            await here.connect()


async def test_what_is_under_way_is_finished_and_what_is_idle_is_closed(tmp_path: Path) -> None:
    let = asyncio.Event()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if b"/slow " in head:
                await let.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000)
            else:
                writer.write(OK)

    async with stand(tmp_path, talk) as here:
        idle, slow = [await here.connect() for _ in range(20)], [await here.connect() for _ in range(20)]
        for reader, writer in idle:
            writer.write(request())
            assert (await one_answer(reader)).endswith(b"ok")
        for _, writer in slow:
            writer.write(request("GET /alice/genome/jupyter/slow HTTP/1.1"))
        await until(lambda: sum(client.request is not None for client in here.plane.connections) == 20)
        for _, writer in idle[:10]:  # the same request again, which would be led on from memory
            writer.write(request())
        drained = asyncio.create_task(here.plane.drain(10))
        for number, (reader, writer) in enumerate(idle):
            answer = await asyncio.wait_for(reader.read(), 5)
            assert (answer.endswith(b"ok") and b"Connection: close" in answer) if number < 10 else answer == b""
            writer.close()
        assert not drained.done()
        let.set()
        for reader, writer in slow:
            answer = await asyncio.wait_for(reader.read(), 10)
            assert answer.count(b"x" * 100) == 5000
            writer.close()
        await drained
        assert not here.plane.connections


async def test_who_has_just_connected_is_answered_and_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        asking, silent = await here.connect(), await here.connect()
        await until(lambda: len(here.plane.connections) == 2)
        drained = asyncio.create_task(here.plane.drain(30))
        await until(lambda: here.plane.draining)
        asking[1].write(request())
        answer = await asyncio.wait_for(asking[0].read(), 5)
        assert answer.endswith(b"ok")
        assert b"Connection: close" in answer
        assert await asyncio.wait_for(silent[0].read(), 5) == b""
        await asyncio.wait_for(drained, 5)
        for _, writer in (asking, silent):
            writer.close()
