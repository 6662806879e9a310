"""The head parser: what is accepted, what is refused, and that nothing at all makes it do otherwise."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aen.proxy.body import Chunked, chunk
from aen.proxy.head import CHUNKED, REQUEST_LINE, Memory, Refused, parse_fields, request_length, tokens, unfinished
from aen.proxy.headers import RequestFields, RequestReader, ResponseReader, take_token

READ = RequestReader(b"aen-gateway")
TCHAR = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
names_ = st.text(alphabet=TCHAR, min_size=1, max_size=20).map(str.encode)
values = st.binary(max_size=40).map(lambda raw: re.sub(rb"[^\t\x20-\x7e\x80-\xff]", b"", raw).strip(b" \t"))
fields_ = st.lists(st.tuples(names_, values), max_size=12)


@given(fields_)
def test_what_is_well_formed_comes_back_as_it_was(fields: list[tuple[bytes, bytes]]) -> None:
    block = b"".join(b"%b: %b\r\n" % field for field in fields)
    assert [(name, value) for _, name, value in parse_fields(block)] == fields


@given(st.binary(max_size=300))
@settings(max_examples=400)
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        fields = READ(data)
    except Refused:
        return
    for lines in (fields.forwarded, fields.page_lines):
        assert _well_formed(lines)


#: Pieces that an attacker would put together.
PIECES = st.sampled_from(
    [b"Content-Length", b"Transfer-Encoding", b"chunked", b"5", b"+5", b",", b" ", b"\t", b":", b"\r\n", b"\n", b"\r",
     b"\x00", b"\x0b", b"Host", b"X-AEN-User", b"X_AEN_User", b"Connection", b"close", b"Cookie", b"aen-gateway=1", b";",
     b"a", b"Upgrade", b"websocket", b"GET / HTTP/1.1", b"\xff", b"0x5", b"Expect", b"100-continue"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=24).map(b"".join))
@settings(max_examples=800)
def test_what_goes_on_is_always_well_formed_and_ours(block: bytes) -> None:
    try:
        fields = READ(block + b"\r\n")
    except Refused:
        return
    assert _well_formed(fields.forwarded)
    sent = {line.partition(b":")[0].lower().replace(b"_", b"-") for line in fields.forwarded.split(b"\r\n")}
    assert not sent & {b"content-length", b"transfer-encoding", b"connection", b"host", b"upgrade", b"expect"}
    assert not any(name.startswith((b"x-aen-", b"x-forwarded-")) for name in sent)
    for line in fields.forwarded.split(b"\r\n"):
        name, _, value = line.partition(b":")
        crumbs = value.split(b";") if name.lower() == b"cookie" else []
        assert not any(crumb.partition(b"=")[0].strip(b" \t").lower().startswith(b"aen-") for crumb in crumbs)


def _well_formed(lines: bytes) -> bool:
    return re.fullmatch(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t -~\x80-\xff]*\r\n)*", lines) is not None


@given(st.binary(max_size=80))
@settings(max_examples=400)
def test_a_request_line_is_exactly_that(data: bytes) -> None:
    match = REQUEST_LINE.fullmatch(data)
    if match is not None:
        method, target, _, minor = match.groups()
        assert data == b"%b %b HTTP/1.%b" % (method, target, minor)
        assert target.startswith(b"/")
        assert not re.search(rb"[\x00-\x20#\x7f-\xff]", target)


LINES = {
    b"GET /alice/genome/jupyter/lab?x HTTP/1.1": b"alice/genome/jupyter",
    b"GET /alice/genome/jupyter HTTP/1.1": b"alice/genome/jupyter",
    b"GET /alice/genome/jupyter?x HTTP/1.1": b"alice/genome/jupyter",
    b"GET /alice/genome HTTP/1.1": None,
    b"GET //alice/genome/jupyter/ HTTP/1.1": None,
    b"GET /alice//genome/jupyter/ HTTP/1.1": None,
    b"GET /%61lice/genome/jupyter/ HTTP/1.1": None,
    b"GET /Alice/genome/jupyter/ HTTP/1.1": None,
    b"GET /alice/../bob/x HTTP/1.1": None,
    b"GET /./alice/genome/jupyter/ HTTP/1.1": None,
    b"GET /alice/genome/jupyter;x/ HTTP/1.1": None,
    b"GET /.aen/enter/x HTTP/1.1": None,
    b"GET /alice/genome/jup%2fyter/ HTTP/1.1": None,
    b"GET /alice/genome/../x/ HTTP/1.1": None,
}


@pytest.mark.parametrize("line", LINES)
def test_the_route_key_is_the_path_as_it_stands(line: bytes) -> None:
    match = REQUEST_LINE.fullmatch(line)
    assert match is not None
    assert match[3] == LINES[line]


BAD_LENGTHS = [b"+5", b"-1", b"0x5", b"5,5", b"5, 5", b"", b"5 5", b"9" * 30, b"5;", b"\xb2", b"1_0", b" ", b"5.0"]


@pytest.mark.parametrize("value", BAD_LENGTHS)
def test_a_length_is_one_plain_number(value: bytes) -> None:
    with pytest.raises(Refused):
        request_length([(b"content-length", b"Content-Length", value)])


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\nHost: x\n\n", b"GET / HTTP/1.1\r\nA: b\rc", b"GET\x00"])
def test_a_head_that_can_not_become_good_is_refused_before_its_end(data: bytes) -> None:
    with pytest.raises(Refused):
        unfinished(data, 1000)


def test_a_head_may_come_byte_by_byte() -> None:
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n"
    for stop in range(len(whole)):
        unfinished(whole[:stop], 1000)


def test_connection_may_not_name_rubbish() -> None:
    with pytest.raises(Refused):
        tokens([(b"connection", b"Connection", b"close, a b")], b"connection")


def test_memory_gives_what_making_gives_and_stays_bounded() -> None:
    memory: Memory[RequestFields] = Memory(READ, most=10, longest=100)
    for number in range(100):
        block = b"Host: a%d\r\n" % number
        assert memory.get(block) == READ(block) == memory.get(block)
        assert len(memory) <= 10
    memory.get(b"X: %b\r\n" % (b"y" * 200))
    assert len(memory) <= 10


def test_what_came_once_drives_nothing_out() -> None:
    made: list[bytes] = []
    memory: Memory[bytes] = Memory(lambda block: made.append(block) or block, most=10)  # type: ignore[func-returns-value]
    for _ in range(3):
        memory.get(b"often")
    for number in range(1000):
        memory.get(b"%d" % number)
        memory.get(b"often")
    assert made.count(b"often") == 2
    assert len(memory) == 1


@given(st.lists(st.lists(PIECES, max_size=16).map(b"".join), min_size=2, max_size=4))
@settings(max_examples=400)
def test_what_a_reader_has_read_before_changes_nothing(blocks: list[bytes]) -> None:
    """It remembers lines and cookies: one that has read others says of a head what a new one says."""

    def said(reader: RequestReader, block: bytes) -> RequestFields | tuple[int, str]:
        try:
            return reader(block)
        except Refused as refused:
            return refused.status, refused.why

    # Each head also with the lines of all others behind its own: what is known is met in other company.
    for block in [*blocks, *(block + other for block in blocks for other in blocks)]:
        assert said(READ, block + b"\r\n") == said(RequestReader(b"aen-gateway"), block + b"\r\n")


def test_what_a_reader_remembers_stays_bounded() -> None:
    reader = RequestReader(b"aen-gateway")
    for number in range(5000):
        reader(b"Host: h\r\nX-Number: %d\r\nCookie: number=%d\r\nReferer: %d\r\n" % (number, number, number))
    reader(b"Host: h\r\nCookie: long=%b\r\n" % (b"x" * 5000))
    assert len(reader._lines) <= 1024
    assert len(reader._jars) <= 256
    assert len(reader._meanings) <= 256


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.data())
def test_chunks_come_through_however_they_are_cut(parts: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(chunk(part) for part in parts) + b"0\r\nTrailer: x\r\n\r\n" + b"rest"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=12)) | {0, len(wire)})
    decoder, got, extra = Chunked(), b"", b""
    for start, stop in pairwise(cuts):
        if decoder.done:
            extra += wire[start:stop]
        else:
            got += decoder.feed(wire[start:stop])
            extra += decoder.extra
    assert (got, decoder.done, extra) == (b"".join(parts), True, b"rest")


BAD_CHUNKS = [
    b"0x5\r\nabcde\r\n0\r\n\r\n", b"+5\r\nabcde\r\n", b"-1\r\n", b"5\nabcde\n", b"5\r\nabcdeX\r\n", b"\r\n", b"g\r\n",
    b"f" * 20 + b"\r\n", b"5 \r\nabcde\r\n", b"5;" + b"x" * 16_384 + b"\r\n", b"5;\x00\r\n", b" 5\r\nabcde\r\n",
    b"5\r\nabcdefg", b"0\r\nBad Trailer\r\n\r\n", b"0\r\n" + b"A: b\r\n" * 10_000 + b"\r\n", b"0\r\n: x\r\n\r\n",
]  # fmt: skip


@pytest.mark.parametrize("wire", BAD_CHUNKS)
def test_bad_chunks_are_refused(wire: bytes) -> None:
    def feed(pieces: list[bytes]) -> None:
        decoder = Chunked()
        for piece in pieces:
            decoder.feed(piece)

    for pieces in ([wire], [wire[at : at + 1] for at in range(len(wire))]):
        with pytest.raises(Refused):
            feed(pieces)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_chunks_or_refused(wire: bytes) -> None:
    decoder = Chunked()
    try:
        payload = decoder.feed(wire)
    except Refused:
        return
    assert len(payload) <= len(wire)


def test_tokens_in_the_query_are_taken_out() -> None:
    assert take_token(b"/a?token=x&b=c") == (b"/a?b=c", b"x")
    assert take_token(b"/a?b=c&token=x&token=y") == (b"/a?b=c", b"x")
    assert take_token(b"/a?token=x") == (b"/a", b"x")
    assert take_token(b"/a?my_token=x&tokens=y") == (b"/a?my_token=x&tokens=y", b"")
    assert take_token(b"/token=x") == (b"/token=x", b"")


APP_COOKIES = {
    b"_xsrf=1; Path=/alice/genome/jupyter/": True,
    b"username-x=a; HttpOnly; SameSite=Lax": True,
    b"aen-gateway=evil": False,
    b"AEN-Gateway=evil": False,
    b" aen-login =evil; Path=/": False,
    b"__Host-aen-login=evil; Secure; Path=/": False,
    b"x=1; Domain=example.org": False,
    b"x=1; domain = .example.org": False,
    b"=aen-gateway=evil": False,
    b"aen-gateway": False,
}


@pytest.mark.parametrize("cookie", APP_COOKIES)
def test_cookies_of_apps(cookie: bytes) -> None:
    fields = ResponseReader(trusted=False)(b"Set-Cookie: %b\r\nX-Kept: 1\r\n" % cookie)
    assert (b"Set-Cookie" in fields.forwarded) == APP_COOKIES[cookie]
    assert b"X-Kept: 1\r\n" in fields.forwarded


def test_what_apps_may_not_tell_a_browser() -> None:
    block = (
        b'Service-Worker-Allowed: /\r\nClear-Site-Data: "*"\r\nStrict-Transport-Security: max-age=1\r\nAlt-Svc: h3\r\n'
        b"X-Accel-Redirect: /etc\r\nX-AEN-User: root\r\nConnection: close, X-Gone\r\nX-Gone: 1\r\nETag: 1\r\n"
    )
    assert ResponseReader(trusted=False)(block).forwarded == b"ETag: 1\r\n"
    assert b"Service-Worker-Allowed" in ResponseReader(trusted=False, shared=False)(block).forwarded


def test_chunked_is_the_only_coding() -> None:
    assert request_length([(b"transfer-encoding", b"TE", b"Chunked")]) == CHUNKED
