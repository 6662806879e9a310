"""Framing: each hostile request reaches the app as exactly one well-framed request, or not at all."""

from __future__ import annotations

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from pathlib import Path

import pytest

from aen.proxy import Limits
from tests.hostile.stand import BASE, GRANT, OK, one_answer, request, stand, until
from tests.hostile.test_identity import WS

OURS = b"Origin: http://gw.test\r\n"
POST = f"POST {BASE}/x HTTP/1.1"
SECOND = f"GET {BASE}/smuggled HTTP/1.1\r\nHost: gw.test\r\n\r\n".encode()
SIZED = b"0\r\n\r\n" + SECOND


def post(lines: bytes, body: bytes = b"") -> bytes:
    return request(POST, OURS + lines, body)


def raw(line: str, host: bytes = b"Host: gw.test\r\n") -> bytes:
    return line.encode("latin-1") + b"\r\n" + host + GRANT + b"\r\n"


#: name → (bytes, status). Nothing of them may reach the app.
REFUSED: dict[str, tuple[bytes, int]] = {
    "CL and TE": (post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", SIZED), 400),
    "TE and CL": (post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", SIZED), 400),
    "TE twice": (post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", SIZED), 501),
    "TE list": (post(b"Transfer-Encoding: chunked, identity\r\n", SIZED), 501),
    "TE gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n", SIZED), 501),
    "TE xchunked": (post(b"Transfer-Encoding: xchunked\r\n", SIZED), 501),
    "TE with VT": (post(b"Transfer-Encoding: chunked\x0b\r\n", SIZED), 400),
    "TE after VT": (post(b"Transfer-Encoding: \x0bchunked\r\n", SIZED), 400),
    "TE quoted": (post(b'Transfer-Encoding: "chunked"\r\n', SIZED), 501),
    "TE empty": (post(b"Transfer-Encoding:\r\n", SIZED), 501),
    "TE identity": (post(b"Transfer-Encoding: identity\r\n", b""), 501),
    "TE folded": (post(b"Transfer-Encoding:\r\n chunked\r\n", SIZED), 400),
    "CL twice same": (post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"abcde"), 400),
    "CL twice different": (post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"abcdef"), 400),
    "CL list": (post(b"Content-Length: 5, 5\r\n", b"abcde"), 400),
    "CL plus": (post(b"Content-Length: +5\r\n", b"abcde"), 400),
    "CL minus": (post(b"Content-Length: -1\r\n"), 400),
    "CL hex": (post(b"Content-Length: 0x5\r\n", b"abcde"), 400),
    "CL with a space": (post(b"Content-Length: 3 3\r\n", b"abc"), 400),
    "CL empty": (post(b"Content-Length:\r\n"), 400),
    "CL huge": (post(b"Content-Length: " + b"9" * 40 + b"\r\n"), 400),
    "CL other digits": (post("Content-Length: ٥\r\n".encode(), b"abcde"), 400),
    "space before colon": (post(b"Content-Length : 5\r\n", b"abcde"), 400),
    "folded line": (request(lines=b"X-A: b\r\n c\r\n"), 400),
    "folded first line": (raw(f"GET {BASE}/x HTTP/1.1", b" Host: gw.test\r\n"), 400),
    "bare LF in head": (request(lines=b"X-A: b\nX-B: c\r\n"), 400),
    "bare LF everywhere": (f"GET {BASE}/x HTTP/1.1\nHost: gw.test\n\n".encode(), 400),
    "bare CR": (request(lines=b"X-A: b\rX-B: c\r\n"), 400),
    "NUL": (request(lines=b"X-A: b\x00\r\n"), 400),
    "control in value": (request(lines=b"X-A: b\x01\r\n"), 400),
    "no colon": (request(lines=b"Rubbish\r\n"), 400),
    "empty name": (request(lines=b": x\r\n"), 400),
    "control in name": (request(lines=b"X\x01A: b\r\n"), 400),
    "name not ASCII": (request(lines="Ä: b\r\n".encode()), 400),
    "two Hosts": (request(lines=b"Host: other\r\n"), 400),
    "no Host": (raw(f"GET {BASE}/x HTTP/1.1", b""), 400),
    "empty Host": (raw(f"GET {BASE}/x HTTP/1.1", b"Host:\r\n"), 400),
    "Host with userinfo": (raw(f"GET {BASE}/x HTTP/1.1", b"Host: a@gw.test\r\n"), 400),
    "Host with path": (raw(f"GET {BASE}/x HTTP/1.1", b"Host: gw.test/x\r\n"), 400),
    "Host with port 0": (raw(f"GET {BASE}/x HTTP/1.1", b"Host: gw.test:0\r\n"), 400),
    "Host with port 65536": (raw(f"GET {BASE}/x HTTP/1.1", b"Host: gw.test:65536\r\n"), 400),
    "Host list": (raw(f"GET {BASE}/x HTTP/1.1", b"Host: gw.test, other\r\n"), 400),
    "TE in 1.0": (request(f"POST {BASE}/x HTTP/1.0", OURS + b"Transfer-Encoding: chunked\r\n", SIZED), 400),
    "HTTP/2.0": (raw(f"GET {BASE}/x HTTP/2.0"), 400),
    "HTTP/9.9": (raw(f"GET {BASE}/x HTTP/9.9"), 400),
    "HTTP/1.2": (raw(f"GET {BASE}/x HTTP/1.2"), 400),
    "HTTP/1.10": (raw(f"GET {BASE}/x HTTP/1.10"), 400),
    "http/1.1": (raw(f"GET {BASE}/x http/1.1"), 400),
    "HTTP/0.9": (f"GET {BASE}/x\r\n\r\n".encode(), 400),
    "tab in the line": (raw(f"GET\t{BASE}/x HTTP/1.1"), 400),
    "two spaces": (raw(f"GET  {BASE}/x HTTP/1.1"), 400),
    "space in the target": (raw(f"GET {BASE}/x y HTTP/1.1"), 400),
    "fragment": (raw(f"GET {BASE}/x#y HTTP/1.1"), 400),
    "target not ASCII": (raw(f"GET {BASE}/é HTTP/1.1"), 400),
    "NUL in the target": (raw(f"GET {BASE}/\x00 HTTP/1.1"), 400),
    "absolute form": (raw(f"GET http://gw.test{BASE}/x HTTP/1.1"), 400),
    "authority form": (raw("GET gw.test:80 HTTP/1.1"), 400),
    "asterisk": (raw("OPTIONS * HTTP/1.1"), 400),
    "CONNECT": (raw("CONNECT gw.test:80 HTTP/1.1"), 400),
    "CONNECT to a path": (raw(f"CONNECT {BASE}/x HTTP/1.1"), 501),
    "TRACE": (raw(f"TRACE {BASE}/x HTTP/1.1"), 501),
    "lower-case method": (raw(f"get {BASE}/x HTTP/1.1"), 400),
    "no method": (raw(f" {BASE}/x HTTP/1.1"), 400),
    "empty line first": (b"\r\n" + request(), 400),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "strange Expect": (post(b"Expect: 200-ok\r\nContent-Length: 1\r\n", b"x"), 417),
    "two Origins": (post(b"Origin: http://gw.test\r\nContent-Length: 0\r\n"), 400),
    "strange Connection": (request(lines=b"Connection: a b\r\n"), 400),
    "head too long": (request(lines=b"X: %b\r\n" % (b"y" * 40_000)), 431),
    "too many lines": (request(lines=b"X: y\r\n" * 200), 431),
    "200 cookies of 60 KiB": (request(lines=b"Cookie: " + b"; ".join(b"c%d=%b" % (n, b"v" * 300) for n in range(200)) + b"\r\n"), 431),
    "head without end": (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000, 431),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_open_to_doubt_is_refused(name: str, tmp_path: Path) -> None:
    data, status = REFUSED[name]
    async with stand(tmp_path) as here:
        answer = await here.send(data, half_close=False)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in answer
        assert here.app.connections == []
        assert here.pages.connections == []


def upgrading(data: bytes) -> bytes:
    """The same in the request of a WebSocket handshake, as far as it has the form of one."""
    head, end, rest = data.partition(b"\r\n\r\n")
    origin = b"" if OURS in data else OURS
    return head.replace(b"POST ", b"GET ", 1) + b"\r\n" + origin + WS[:-2] + end + rest


HANDSHAKES = [name for name, (data, _) in REFUSED.items() if b"HTTP/1.1\r\n" in data and b"\r\n\r\n" in data]


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_the_same_in_a_handshake(name: str, tmp_path: Path) -> None:
    data, status = REFUSED[name]
    async with stand(tmp_path) as here:
        answer = await here.send(upgrading(data), half_close=False)
        assert answer.startswith((b"HTTP/1.1 %d " % status, b"HTTP/1.1 400 "))
        assert answer.count(b"HTTP/1.1 ") == 1
        assert here.app.connections == []
        assert here.pages.connections == []


async def test_what_was_refused_was_a_handshake_but_for_one_thing(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        assert (await here.one(upgrading(request()))).endswith(b"ok")
        assert b"Upgrade: websocket\r\n" in here.app.got


BODIES = {
    "CL": (b"Content-Length: 5\r\n", b"abcde"),
    "chunked": (b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("framing", BODIES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PROPFIND"])
async def test_a_body_with_a_method_that_needs_none(method: str, framing: str, tmp_path: Path) -> None:
    """It is framed as said, goes on once, and what comes behind it is the next request."""
    lines, body = BODIES[framing]
    bodies: list[bytes] = []

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            chunked = b"ransfer-" in head
            end = reader.readuntil(b"0\r\n\r\n") if chunked else reader.readexactly(5 if b"ontent-L" in head else 0)
            bodies.append(head.split(b" ")[0] + b" " + await end)
            writer.write(OK[:-2] if head.startswith(b"HEAD") else OK)

    async with stand(tmp_path, talk) as here:
        reader, writer = await here.connect()
        writer.write(request(f"{method} {BASE}/x HTTP/1.1", OURS + lines, body) + request())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 200 ")
        if method != "HEAD":
            assert await reader.readexactly(2) == b"ok"
        assert (await one_answer(reader)).endswith(b"ok")
        writer.close()
    assert bodies == [method.encode() + b" " + body, b"GET "]


CHUNKS = {
    "hex size": b"0x5\r\nabcde\r\n0\r\n\r\n",
    "plus": b"+5\r\nabcde\r\n0\r\n\r\n",
    "minus": b"-1\r\nabcde\r\n0\r\n\r\n",
    "overflow": b"1" + b"0" * 20 + b"\r\nabcde\r\n0\r\n\r\n",
    "LF only": b"5\nabcde\n0\n\n",
    "bad end": b"5\r\nabcdeXX0\r\n\r\n",
    "long extension": b"5;" + b"x" * 16_384 + b"\r\nabcde\r\n0\r\n\r\n",
    "10000 trailers": b"5\r\nabcde\r\n0\r\n" + b"A: b\r\n" * 10_000 + b"\r\n",
    "trailer without a colon": b"5\r\nabcde\r\n0\r\nrubbish\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
async def test_a_bad_chunk_never_becomes_a_second_request(name: str, tmp_path: Path) -> None:
    async def hears(reader: StreamReader, writer: StreamWriter) -> None:
        while data := await reader.read(65536):
            here.app.connections[-1].extend(data)

    async with stand(tmp_path, hears) as here:
        answer = await here.send(post(b"Transfer-Encoding: chunked\r\n", CHUNKS[name] + SECOND), half_close=False)
        assert answer.startswith(b"HTTP/1.1 400 ")
        await until(lambda: not here.plane.connections)
        assert here.app.got.count(b" HTTP/1.1\r\n") <= 1
        assert not here.app.got.endswith(b"0\r\n\r\n")  # what the app has is incomplete, and says so
        assert b"smuggled" not in here.app.got


GOOD_CHUNKED = b"5;ext=1\r\nabcde\r\n1\r\nf\r\n0\r\nContent-Length: 9\r\nX-AEN-User: root\r\n\r\n"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "GET", "PATCH"])
async def test_chunked_bodies_are_written_anew(method: str, tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        line = f"{method} {BASE}/x HTTP/1.1"
        assert (await here.one(request(line, OURS + b"Transfer-Encoding: chunked\r\n", GOOD_CHUNKED))).endswith(b"ok")
        await until(lambda: here.app.got.endswith(b"0\r\n\r\n"))
    head, _, body = here.app.got.partition(b"\r\n\r\n")
    assert head.lower().count(b"transfer-encoding:") == 1
    assert b"content-length" not in here.app.got.lower()
    assert b"".join(re.findall(rb"[0-9a-f]+\r\n(.*?)\r\n", body)) == b"abcdef"


async def test_a_body_with_a_length_and_a_pipelined_request_stay_apart(tmp_path: Path) -> None:
    async def answers(reader: StreamReader, writer: StreamWriter) -> None:
        record = here.app.connections[-1]
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"Content-Length: (\d+)", head)
            body = await reader.readexactly(int(size[1])) if size else b""
            record.extend(head + body + b"|")
            writer.write(OK)

    async with stand(tmp_path, answers) as here:
        reader, writer = await here.connect()
        writer.write(post(b"Content-Length: 5\r\n", b"abcde") + request() + post(b"Content-Length: 3\r\n", b"xyz"))
        for _ in range(3):
            assert (await one_answer(reader)).endswith(b"ok")
        writer.close()
    parts = here.app.got.split(b"|")[:-1]
    assert [part.rpartition(b"\r\n\r\n")[2] for part in parts] == [b"abcde", b"", b"xyz"]
    assert len(here.app.connections) == 1


async def test_a_head_in_single_bytes(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        reader, writer = await here.connect()
        for byte in request():
            writer.write(bytes((byte,)))
            await writer.drain()
        assert (await one_answer(reader)).endswith(b"ok")
        writer.close()
    assert here.app.got.count(b" HTTP/1.1\r\n") == 1


@pytest.mark.parametrize("granted", [True, False])
async def test_100_continue_granted_and_refused(granted: bool, tmp_path: Path) -> None:
    async def answers(reader: StreamReader, writer: StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Expect: 100-continue\r\n" in head
        if granted:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert await reader.readexactly(3) == b"abc"
            writer.write(OK)
        else:
            writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")

    async with stand(tmp_path, answers) as here:
        reader, writer = await here.connect()
        writer.write(post(b"Content-Length: 3\r\nExpect: 100-continue\r\n"))
        first = await reader.readuntil(b"\r\n\r\n")
        if granted:
            assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"abc")
            assert (await one_answer(reader)).endswith(b"ok")
        else:
            assert first.startswith(b"HTTP/1.1 413 ")
            assert b"Connection: close" in first
            assert await reader.read() == b""
        writer.close()


async def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    limits = Limits(body_bytes=10)
    async with stand(tmp_path, limits=limits) as here:
        answer = await here.send(post(b"Content-Length: 11\r\n", b"x" * 11), half_close=False)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert here.app.connections == []
        chunked = post(b"Transfer-Encoding: chunked\r\n", b"b\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n")
        assert (await here.send(chunked, half_close=False)).startswith(b"HTTP/1.1 413 ")


async def test_a_slow_head_is_cut(tmp_path: Path) -> None:
    async with stand(tmp_path, limits=Limits(head_seconds=0.3)) as here:
        answer = await here.send(b"GET / HTTP/1.1\r\nHost:", half_close=False)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert await here.send(b"", half_close=False) == b""


async def test_http_1_0_is_served_without_chunks_and_closed(tmp_path: Path) -> None:
    async def answers(reader: StreamReader, writer: StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].endswith(b"HTTP/1.1")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    async with stand(tmp_path, answers) as here:
        answer = await here.send(f"GET {BASE}/x HTTP/1.0\r\n".encode() + GRANT + b"\r\n", half_close=False)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b"abcde"
    assert b"ransfer-" not in head
    assert b"Connection: close" in head


@pytest.mark.parametrize(("most", "sent", "status"), [({"jupyter": 20}, 20, 200), ({"jupyter": 20}, 21, 413), ({"other": 20}, 10, 200), ({"other": 20}, 11, 413), ({"jupyter": 0}, 500, 200)])  # fmt: skip
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_app_has_a_limit_of_its_own(
    most: dict[str, int], sent: int, status: int, chunked: bool, tmp_path: Path
) -> None:
    body = b"x" * sent
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % sent
    whole = b"%x\r\n%b\r\n0\r\n\r\n" % (sent, body) if chunked else body
    async with stand(tmp_path, limits=Limits(body_bytes=10, bodies=most)) as here:
        answer = await here.one(post(framing, whole))
        assert answer.startswith(b"HTTP/1.1 %d " % status)
