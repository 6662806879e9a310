"""The same request again on one connection is led on from memory: it must change nothing but the time it takes."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from pathlib import Path

import pytest

from aen.model import now
from aen.proxy.answering import Answering
from aen.proxy.exchange import Answers, Known
from aen.proxy.headers import ResponseReader
from tests.hostile.stand import BASE, KEY, OK, Stand, Talk, one_answer, request, route, stand, until

BIG = b"x" * 300_000


def head(*lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([status, *lines, b"", b""])


def in_turn(answers: list[list[bytes]]) -> Talk:
    """An app that gives its n-th answer to the n-th head, whatever connection that comes on; each part by itself."""
    left = list(answers)

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        while left:
            await reader.readuntil(b"\r\n\r\n")
            for part in left.pop(0):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.005)  # so that the parts arrive by themselves

    return talk


#: Answers to one and the same request, one after the other; each list is what one connection lives through.
SEQUENCES: dict[str, list[list[bytes]]] = {
    "the same": [[OK]] * 4,
    "body differs": [[OK], [OK[:-2] + b"no"], [OK]],
    "head in parts": [[OK], [OK[:9], OK[9:]], [OK], [OK[:-3], OK[-3:]], [OK]],
    "body in parts": [[OK], [OK[:-2], b"ok"], [OK[:-1], b"k"], [OK]],
    "large": [[head(b"Content-Length: 300000") + BIG]] * 3 + [[head(b"Content-Length: 300000"), BIG[:70_000], BIG[70_000:]]],
    "status differs": [[OK], [OK.replace(b"200 OK", b"404 No")], [OK]],
    "length differs": [[OK], [OK.replace(b"2\r", b"3\r") + b"!"], [OK]],
    "one more header": [[OK], [OK.replace(b"\r\n\r\n", b"\r\nX-A: b\r\n\r\n")], [OK]],
    "cookie of ours": [[OK], [OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: aen-gateway=x\r\n\r\n")], [OK]],
    "204 between": [[OK], [head(status=b"HTTP/1.1 204 None")], [OK]],
    "304 with a length": [[OK], [head(b"Content-Length: 2", status=b"HTTP/1.1 304 Same")], [OK]],
    "chunked between": [[OK], [head(b"Transfer-Encoding: chunked") + b"2\r\nok\r\n0\r\n\r\n"], [OK]],
    "hint before": [[OK], [head(status=b"HTTP/1.1 103 Early Hints") + OK], [OK]],
    "empty": [[head(b"Content-Length: 0")]] * 3,
    "length first": [[head(b"Content-Length: 2", b"X-A: b") + b"ok"]] * 3,
}  # fmt: skip


def forget_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered of answers: how they go out then is the truth."""
    monkeypatch.setattr(Answering, "remember", lambda *_: None)


@pytest.mark.parametrize("name", SEQUENCES)
async def test_answers_are_those_that_nothing_is_remembered_of(name: str, tmp_path: Path) -> None:
    told: list[list[bytes]] = []
    for how in ("forgetful", "fresh", "kept"):
        with pytest.MonkeyPatch.context() as patch:
            if how == "forgetful":
                forget_all(patch)
            async with stand(tmp_path, in_turn(SEQUENCES[name])) as here:
                told.append(await _answers(here, len(SEQUENCES[name]), fresh=how == "fresh"))
    assert told[0] == told[1] == told[2]


#: Requests that get the same answer of the app, which goes out otherwise for some.
ASKING: dict[str, bytes] = {
    "GET": request(),
    "another": request(f"GET {BASE}/other HTTP/1.1"),
    "HEAD": request(f"HEAD {BASE}/x HTTP/1.1"),
    "POST": request(f"POST {BASE}/x HTTP/1.1", b"Origin: http://gw.test\r\nContent-Length: 3\r\n", b"abc"),
    "chunked": request(
        f"PUT {BASE}/x HTTP/1.1", b"Origin: http://gw.test\r\nTransfer-Encoding: chunked\r\n", b"1\r\na\r\n0\r\n\r\n"
    ),
    "half": request(f"POST {BASE}/x HTTP/1.1", b"Origin: http://gw.test\r\nContent-Length: 9\r\n", b"abc"),
    "close": request(lines=b"Connection: close\r\n"),
    "1.0": request(f"GET {BASE}/x HTTP/1.0"),
    "handshake": request(
        lines=b"Origin: http://gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    ),
}


@pytest.mark.parametrize("answer", [OK, head(b"Content-Length: 2", b"ETag: x") + b"ok", head(b"Content-Length: 0")])
async def test_the_same_answer_goes_out_as_each_request_needs_it(answer: bytes, tmp_path: Path) -> None:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        while asked := await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if asked.startswith(b"HEAD") else answer)

    told: list[dict[str, bytes]] = []
    for remembers in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if not remembers:
                forget_all(patch)
            async with stand(tmp_path, talk) as here:
                for _ in range(3):  # each after each other
                    told.append({name: await _asked(here, data) for name, data in ASKING.items()})
                assert bool(here.plane.pools._answers.heads) is remembers
    assert all(one == told[0] for one in told)
    assert b"Connection: close" in told[0]["half"]


async def _asked(here: Stand, data: bytes) -> bytes:
    """Everything that comes back for one request on a connection of its own, the end of which is asked for."""
    reader, writer = await here.connect()
    writer.write(data)
    start = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    length = next((int(line[15:]) for line in start.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    body = b"" if data.startswith(b"HEAD") else await asyncio.wait_for(reader.readexactly(length), 5)
    writer.write_eof()
    rest = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return start + body + rest


def test_what_is_remembered_of_answers_stays_bounded() -> None:
    answers = Answers(ResponseReader(trusted=False))
    for number in range(3000):
        answers.keep(Known(b"%d" % number, 200, 0, b"x"))
    assert len(answers.heads) <= 1024


async def _answers(here: Stand, count: int, *, fresh: bool) -> list[bytes]:
    answers = []
    reader, writer = await here.connect()
    for _ in range(count):
        if fresh:
            writer.close()
            reader, writer = await here.connect()
        writer.write(request())
        while (answer := await _whole(reader)).startswith(b"HTTP/1.1 103"):
            answers.append(answer)
        answers.append(answer)
    writer.close()
    return answers


async def _whole(reader: StreamReader) -> bytes:
    """One answer, chunked or with its length."""
    if (start := await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)) and b"chunked" in start:
        return start + await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
    if start.startswith(b"HTTP/1.1 304"):
        return start
    length = next((int(line[15:]) for line in start.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    return start + await asyncio.wait_for(reader.readexactly(length), 5)


async def test_what_the_app_gets_is_the_same_each_time(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        assert all(answer.endswith(b"ok") for answer in await _answers(here, 5, fresh=False))
        assert len(here.app.connections) == 1
        heads = bytes(here.app.connections[0]).split(b"\r\n\r\n")
        assert heads.pop() == b""
        assert len(heads) == 5
        assert len(set(heads)) == 1
        assert here.plane.tally.apps.statuses[2] == 5


async def test_too_many_bytes_after_a_known_head_reach_nobody(tmp_path: Path) -> None:
    sequence = [[OK], [OK], [OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"], [OK], [OK]]
    async with stand(tmp_path, in_turn(sequence)) as here:
        assert [answer[-2:] for answer in await _answers(here, 5, fresh=False)] == [b"ok"] * 5
        assert len(here.app.connections) == 2  # the one that said too much serves nobody else


async def test_a_broken_head_after_good_ones_is_a_502(tmp_path: Path) -> None:
    sequence = [[OK], [OK], [head(b"Content-Length: 2", b"Content-Length: 2") + b"ok"]]
    async with stand(tmp_path, in_turn(sequence)) as here:
        assert [answer[9:12] for answer in await _answers(here, 3, fresh=False)] == [b"200", b"200", b"502"]


async def test_two_at_once_after_one(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        reader, writer = await here.connect()
        for count in (1, 2, 3, 1):
            writer.write(request() * count)
            for _ in range(count):
                assert (await one_answer(reader)).endswith(b"ok")
        writer.close()


def _lock(here: Stand) -> None:
    here.doorman.alice.ended = True
    here.doorman.alice = here.doorman.bob


def _forget_login(here: Stand) -> None:
    here.doorman.alice = here.doorman.bob
    here.plane.logins_changed()


def _expire(here: Stand) -> None:
    here.doorman.alice.expires = now() - 10_000
    here.doorman.alice = here.doorman.bob


def _expel(here: Stand) -> None:
    here.plane.routes.expel("p1", "alice")


def _remove(here: Stand) -> None:
    here.plane.routes.remove("s1", 1)


def _replace(here: Stand) -> None:
    here.plane.routes.replace([], here.plane.routes.changes)


def _renew(here: Stand) -> None:
    here.plane.routes.add(route(here.app.path, users=["bob"], generation=2))


CHANGES: dict[str, Callable[[Stand], None]] = {
    "login ended": _lock,
    "login forgotten": _forget_login,
    "login expired": _expire,
    "no longer in the team": _expel,
    "session ended": _remove,
    "gone from the list": _replace,
    "route for others": _renew,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_the_next_request_after_a_change_is_decided_anew(change: Callable[[Stand], None], tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        reader, writer = await here.connect()
        for _ in range(3):
            writer.write(request())
            assert (await one_answer(reader)).endswith(b"ok")
        before = bytes(here.app.got)
        change(here)
        writer.write(request())
        assert (await one_answer(reader)).endswith(b"pages")
        assert here.app.got == before
        writer.close()


async def test_ones_own_session_comes_before_the_shared_one(tmp_path: Path) -> None:
    async with stand(tmp_path, user="*", session="shared") as here:
        reader, writer = await here.connect()
        for _ in range(2):
            writer.write(request())
            assert (await one_answer(reader)).endswith(b"ok")
        here.plane.routes.add(route(tmp_path / "pages"))
        writer.write(request())
        assert (await one_answer(reader)).endswith(b"pages")
        writer.close()


async def test_the_last_answer_says_that_it_is_the_last(tmp_path: Path) -> None:
    let = asyncio.Event()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        for count in range(3):
            await reader.readuntil(b"\r\n\r\n")
            if count == 2:
                await let.wait()
            writer.write(OK)

    async with stand(tmp_path, talk) as here:
        reader, writer = await here.connect()
        for _ in range(2):
            writer.write(request())
            await one_answer(reader)
        seen = len(here.app.got)
        writer.write(request())
        await until(lambda: here.plane.tally.apps.statuses[2] == 2 and any(c.request for c in here.plane.connections))
        assert len(here.app.got) == seen
        drained = asyncio.create_task(here.plane.drain(5))
        await asyncio.sleep(0)
        let.set()
        answer = await one_answer(reader)
        assert b"Connection: close\r\n" in answer
        assert await reader.read() == b""
        await drained
        writer.close()


async def test_a_token_in_the_address_is_looked_up_each_time(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        reader, writer = await here.connect()
        for _ in range(3):
            writer.write(request(f"GET {BASE}/x?token=known HTTP/1.1", grant=b""))
            assert (await one_answer(reader)).endswith(b"ok")
        assert b"token" not in here.app.got.lower().replace(b"x-aen-app-token", b"").replace(b"x-aen-auth: token", b"")
        writer.close()


async def test_an_app_that_is_gone_and_back(tmp_path: Path) -> None:
    """The kept connection is stale: the repeated request goes to the new app, once."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        record = here.app.connections[-1]
        for _ in range(2):
            record += await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")  # and goes without an answer

    async with stand(tmp_path, talk) as here:
        answers = await _answers(here, 7, fresh=False)
        assert [answer[-2:] for answer in answers] == [b"ok"] * 7
        assert here.app.got.count(KEY.encode() + b"/x HTTP") == 7
