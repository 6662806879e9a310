"""WebSockets after their 101: bytes pass untouched, our Close goes out between two frames, both ways."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import struct
import zlib
from asyncio import StreamReader, StreamWriter
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aen.proxy.downstream import Downstream
from aen.proxy.tunnel import Follower
from tests.hostile.stand import Stand, request, stand, until
from tests.hostile.test_identity import GOOD_ORIGIN, WS
from tests.hostile.test_paths import MODES, at

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = base64.b64encode(hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
)


def frame(payload: bytes, opcode: int = 1, *, masked: bool = False, fin: bool = True) -> bytes:
    """One frame."""
    size, mark = len(payload), 0x80 if masked else 0
    if size < 126:
        header = bytes((opcode | (0x80 if fin else 0), size | mark))
    elif size < 65536:
        header = bytes((opcode | (0x80 if fin else 0), 126 | mark)) + struct.pack(">H", size)
    else:
        header = bytes((opcode | (0x80 if fin else 0), 127 | mark)) + struct.pack(">Q", size)
    return header + (b"\x01\x02\x03\x04" if masked else b"") + payload


def unmasked_close(data: bytes) -> tuple[int, bytes]:
    """Code and reason of a masked Close."""
    assert data[0] == 0x88
    mask, hidden = data[2:6], data[6 : 6 + (data[1] & 127)]
    plain = bytes(byte ^ mask[at % 4] for at, byte in enumerate(hidden))
    return int.from_bytes(plain[:2], "big"), plain[2:]


class App:
    """The app's side: switches, then records what comes."""

    def __init__(self, first: bytes = b"") -> None:
        self.first, self.got, self.ended = first, bytearray(), asyncio.Event()
        self.writer: StreamWriter

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.writer = writer
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH % ACCEPT + self.first)
        while data := await reader.read(65536):
            self.got += data
        self.ended.set()


async def opened(here: Stand, early: bytes = b"") -> tuple[StreamReader, StreamWriter]:
    reader, writer = await here.connect()
    writer.write(request(lines=GOOD_ORIGIN + WS) + early)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: " + ACCEPT in head
    return reader, writer


messages = st.lists(st.tuples(st.binary(max_size=400), st.sampled_from([0, 1, 2, 8, 9, 10]), st.booleans()), max_size=8)


@given(messages, st.data())
def test_frames_are_followed_however_they_are_cut(frames: list[tuple[bytes, int, bool]], data: st.DataObject) -> None:
    wire = [frame(payload, opcode, masked=masked) for payload, opcode, masked in frames]
    whole, ends = b"".join(wire), {sum(map(len, wire[:n])) for n in range(len(wire) + 1)}
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=12)) | {0, len(whole)})
    follower = Follower()
    for start, stop in pairwise(cuts):
        follower.feed(whole[start:stop])
        assert follower.between == (stop in ends)
    assert follower.frames == sum(1 for _, opcode, _ in frames if opcode in (1, 2))
    assert follower.closed == any(opcode == 8 for _, opcode, _ in frames)


def test_following_stops_at_the_first_boundary() -> None:
    follower, one, two = Follower(), frame(b"x" * 300), frame(b"y")
    follower.feed(one[:7])
    assert follower.feed(one[7:] + two, stop=True) == len(one) - 7
    assert follower.between


def test_frames_of_64_bit_length() -> None:
    follower = Follower()
    follower.feed(frame(b"x" * 70_000, masked=True))
    assert follower.between
    follower.feed(b"\x82\xff" + b"\xff" * 8 + b"mask" + b"z" * 100)
    assert not follower.between


async def test_bytes_pass_untouched_both_ways_also_early_ones(tmp_path: Path) -> None:
    app = App(first=frame(b"welcome"))
    async with stand(tmp_path, app.talk) as here:
        early = frame(b"eager", masked=True)
        reader, writer = await opened(here, early)
        assert await reader.readexactly(9) == frame(b"welcome")
        noise = early + os.urandom(100_000)  # not even frames: it is the app's to judge
        writer.write(noise[len(early) :])
        await until(lambda: len(app.got) == len(noise))
        assert app.got == noise
        app.writer.write(b"\xff" * 1000)
        assert await reader.readexactly(1000) == b"\xff" * 1000
        writer.close()
        await asyncio.wait_for(app.ended.wait(), 5)
        await until(lambda: not here.plane.connections)


async def test_an_app_that_goes_takes_the_client_along(tmp_path: Path) -> None:
    app = App()
    async with stand(tmp_path, app.talk) as here:
        reader, writer = await opened(here)
        app.writer.write(frame(b"bye"))
        app.writer.close()
        assert await asyncio.wait_for(reader.read(), 5) == frame(b"bye")
        writer.close()


async def test_one_byte_fragments_are_all_there(tmp_path: Path) -> None:
    app = App()
    async with stand(tmp_path, app.talk) as here:
        _, writer = await opened(here)
        many = frame(b"x", 0, masked=True, fin=False) * 100_000
        writer.write(many)
        await until(lambda: len(app.got) == len(many), 10)
        writer.close()


def close_all(here: Stand) -> int:
    return here.plane.close_sockets(lambda visitor, _: visitor.user == "alice", 1008, "Your login has ended.")


async def test_our_close_between_frames(tmp_path: Path) -> None:
    app = App()
    async with stand(tmp_path, app.talk) as here:
        reader, writer = await opened(here)
        writer.write(frame(b"one", masked=True))
        await until(lambda: app.got)
        assert close_all(here) == 1
        ours = frame((1008).to_bytes(2, "big") + b"Your login has ended.", 8)
        assert await reader.readexactly(len(ours)) == ours
        await until(lambda: len(app.got) > len(frame(b"one", masked=True)))
        assert unmasked_close(bytes(app.got[len(frame(b"one", masked=True)) :])) == (1008, b"Your login has ended.")
        writer.write(frame(b"", 8, masked=True))
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await asyncio.wait_for(app.ended.wait(), 5)


async def test_an_app_that_goes_at_our_close_leaves_the_client_time_to_answer(tmp_path: Path) -> None:
    """Else a client that is slow to read finds its connection gone, and takes a farewell for an accident (1006)."""
    app = App()
    async with stand(tmp_path, app.talk) as here:
        reader, writer = await opened(here)
        close_all(here)
        await until(lambda: app.got)
        app.writer.close()
        await asyncio.wait_for(app.ended.wait(), 5)
        (client,) = here.plane.connections
        await until(lambda: client._app is None)
        ours = frame((1008).to_bytes(2, "big") + b"Your login has ended.", 8)
        assert await reader.readexactly(len(ours)) == ours
        assert not client.transport.is_closing()
        writer.write(frame(b"", 8, masked=True))
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await until(lambda: not here.plane.connections)


async def test_a_client_within_a_message_may_answer_our_close_although_the_app_has_gone(tmp_path: Path) -> None:
    """The rest of its message has nowhere to go; its answer, which comes in the same breath, ends it in peace."""
    app, faults = App(), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    async with stand(tmp_path, app.talk) as here:
        reader, writer = await opened(here)
        up = frame(b"u" * 1000, masked=True)
        writer.write(up[:500])
        await until(lambda: len(app.got) == 500)
        close_all(here)
        app.writer.transport.abort()
        (client,) = here.plane.connections
        await until(lambda: client._app is None)
        writer.write(up[500:] + frame(b"", 8, masked=True))
        assert await asyncio.wait_for(reader.read(), 5) == frame(
            (1008).to_bytes(2, "big") + b"Your login has ended.", 8
        )
        writer.close()
        await until(lambda: not here.plane.connections)
    assert faults == []


async def test_our_close_waits_for_the_end_of_the_frame_and_nothing_follows_it(tmp_path: Path) -> None:
    app = App()
    async with stand(tmp_path, app.talk) as here:
        reader, writer = await opened(here)
        down, up = frame(b"d" * 1000), frame(b"u" * 1000, masked=True)
        app.writer.write(down[:500])
        writer.write(up[:500])
        assert await reader.readexactly(500) == down[:500]
        await until(lambda: len(app.got) == 500)
        close_all(here)
        app.writer.write(down[500:] + frame(b"SECRET"))
        writer.write(up[500:] + frame(b"COMMAND", masked=True))
        rest = await asyncio.wait_for(reader.read(), 5)
        ours = frame((1008).to_bytes(2, "big") + b"Your login has ended.", 8)
        assert rest == down[500:] + ours
        await asyncio.wait_for(app.ended.wait(), 5)
        assert app.got[: len(up)] == up
        assert unmasked_close(bytes(app.got[len(up) :])) == (1008, b"Your login has ended.")
        writer.close()


async def test_a_frame_that_never_ends_is_cut(tmp_path: Path) -> None:
    app = App(first=frame(b"x" * 1000)[:500])
    async with stand(tmp_path, app.talk) as here:
        reader, writer = await opened(here)
        assert len(await reader.readexactly(500)) == 500
        close_all(here)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await asyncio.wait_for(reader.readexactly(1), 5)
        writer.close()
        await until(lambda: not here.plane.connections)


async def test_a_refused_handshake_is_passed_on(tmp_path: Path) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")

    async with stand(tmp_path, talk) as here:
        answer = await here.send(request(lines=GOOD_ORIGIN + WS), half_close=False)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert answer.endswith(b"\r\n\r\nno")


@pytest.mark.parametrize("accept", [b"", base64.b64encode(b"x" * 20)])
async def test_a_wrong_proof_is_no_switch(accept: bytes, tmp_path: Path) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCH % accept)

    async with stand(tmp_path, talk) as here:
        assert (await here.one(request(lines=GOOD_ORIGIN + WS))).startswith(b"HTTP/1.1 502 ")


async def test_a_reader_that_stops_holds_the_app_back(tmp_path: Path) -> None:
    app = App()
    async with stand(tmp_path, app.talk) as here:
        _, writer = await opened(here)
        transport = cast(asyncio.Transport, writer.transport)
        transport.pause_reading()
        total = 0
        block = frame(b"x" * 60_000)
        while app.writer.transport.get_write_buffer_size() < 4 * 1024 * 1024:
            app.writer.write(block)
            total += len(block)
            await asyncio.sleep(0)
        waiting = sum(one.transport.get_write_buffer_size() for one in here.plane.connections)
        assert waiting < 2 * 1024 * 1024
        transport.resume_reading()
        writer.close()


MIB = 1024 * 1024
#: What a client sends after its handshake. It is the app's to judge: every byte arrives, and nothing of it piles up here.
HOSTILE = {
    "unmasked": frame(b"not masked"),
    "not UTF-8": frame(b"\xff\xfe\xc3\x28", masked=True),
    "a compressed bomb": bytes((0xC2,)) + frame(zlib.compress(b"0" * 10 * MIB), 2, masked=True)[1:],
    "a flood of pings": frame(b"?" * 125, 9, masked=True) * 20_000,
    "a ping that is too long": frame(b"?" * 126, 9, masked=True),
    "close 1005": frame((1005).to_bytes(2, "big"), 8, masked=True),
    "close 1006": frame((1006).to_bytes(2, "big"), 8, masked=True),
    "close 2999": frame((2999).to_bytes(2, "big"), 8, masked=True),
    "half a close code": frame(b"\x03", 8, masked=True),
    "bytes after a close": frame(b"", 8, masked=True) + frame(b"more", masked=True),
    "unknown opcodes": frame(b"x", 3, masked=True) + frame(b"x", 15, masked=True),
    "a fragment without a beginning": frame(b"x", 0, masked=True),
    "a length of 2^63": b"\x82\xff" + b"\xff" * 8 + b"mask" + b"z" * 1000,
    "a length in more bytes than it needs": b"\x82\xfe\x00\x05maskhello",
    "64 MiB in one message": frame(b"m" * (64 * MIB), 2, masked=True),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", HOSTILE)
async def test_whatever_a_client_sends_arrives_as_it_is_and_a_close_of_ours_still_ends_it(
    name: str, mode: str, tmp_path: Path
) -> None:
    app, data = App(), HOSTILE[name]
    async with stand(
        tmp_path, app.talk, url="http://{project}.gw.test" if mode == "host" else "http://gw.test"
    ) as here:
        reader, writer = await here.connect()
        writer.write(at(mode, request(lines=GOOD_ORIGIN + WS)))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        most = 0
        for begin in range(0, len(data), MIB):
            writer.write(data[begin : begin + MIB])
            await writer.drain()
            most = max([most, *(_waiting(one) for one in here.plane.connections)])
        await until(lambda: len(app.got) == len(data), 20)
        assert app.got == data
        assert most < 2 * MIB
        assert close_all(here) == 1
        await asyncio.wait_for(app.ended.wait(), 10)  # between two frames, or cut where none ever ends
        writer.close()
        await until(lambda: not here.plane.connections)


def _waiting(client: Downstream) -> int:
    app = client._app
    return client.transport.get_write_buffer_size() + (app.transport.get_write_buffer_size() if app is not None else 0)


@pytest.mark.parametrize("ends", ["client", "app"])
async def test_half_a_close_ends_both_sides(ends: str, tmp_path: Path) -> None:
    """A WebSocket has no half: who sends nothing more is gone."""
    app = App()
    async with stand(tmp_path, app.talk) as here:
        reader, writer = await opened(here)
        (writer if ends == "client" else app.writer).write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        await until(lambda: not here.plane.connections)
        writer.close()
        await asyncio.wait_for(app.ended.wait(), 5)
