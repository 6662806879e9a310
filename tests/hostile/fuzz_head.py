"""A long search for bytes that the data plane's parsers take wrongly: `./dev fuzz [SECONDS]`, by atheris (libFuzzer).

Every test run tries some by hypothesis (tests/unit/test_proxy_head.py); this one is guided by what code was reached.
The first byte of an input chooses the target. Inputs that reached new code stay in .dev/fuzz/corpus for the next run.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LINES = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t -~\x80-\xff]*\r\n)*")
_OURS = (b"x-aen-", b"x-forwarded-", b"x-accel-")
_FRAMING = {b"content-length", b"transfer-encoding", b"connection", b"host", b"upgrade", b"expect", b"te", b"trailer"}


def request_head(data: bytes) -> None:
    """What goes on of a request is well formed, says nothing of framing and claims no identity."""
    fields = _REQUESTS(data)
    for lines in (fields.forwarded, fields.page_lines):
        assert _LINES.fullmatch(lines), lines
    names = {line.partition(b":")[0].lower().replace(b"_", b"-") for line in fields.forwarded.split(b"\r\n")}
    assert not names & _FRAMING, names
    assert not any(name.startswith(_OURS) for name in names), names
    assert _REQUESTS(fields.forwarded).forwarded == fields.forwarded, "read again it says something else"


def response_head(data: bytes) -> None:
    """What goes on of an answer is well formed and frames nothing."""
    fields = _ANSWERS(data)
    assert _LINES.fullmatch(fields.forwarded), fields.forwarded
    names = {line.partition(b":")[0].lower() for line in fields.forwarded.split(b"\r\n")}
    assert not names & {b"content-length", b"transfer-encoding", b"connection", b"strict-transport-security"}, names
    assert not any(name.startswith(b"x-aen-") for name in names), names


def request_line(data: bytes) -> None:
    """A line that is taken is exactly method, target, version."""
    match = REQUEST_LINE.fullmatch(data)
    if match is not None:
        method, target, _, minor = match.groups()
        assert data == b"%b %b HTTP/1.%b" % (method, target, minor)
        assert not re.search(rb"[\x00-\x20#\x7f-\xff]", target)


def chunks(data: bytes) -> None:
    """A chunked body says the same however it is cut."""
    whole, pieces = Chunked(), Chunked()
    payload = whole.feed(data)
    got = b"".join(pieces.feed(data[at : at + 1]) for at in range(len(data) - len(whole.extra)))
    assert (got, pieces.done) == (payload, whole.done)


def frames(data: bytes) -> None:
    """Frames are followed to the same place however they are cut."""
    whole, pieces = Follower(), Follower()
    whole.feed(data)
    for at in range(len(data)):
        pieces.feed(data[at : at + 1])
    assert (whole.between, whole.frames, whole.closed) == (pieces.between, pieces.frames, pieces.closed)


TARGETS: tuple[Callable[[bytes], None], ...] = (request_head, response_head, request_line, chunks, frames)


def one(data: bytes) -> None:
    """One input. Anything but Refused that comes out of it is a finding."""
    if not data:
        return
    try:
        TARGETS[data[0] % len(TARGETS)](data[1:])
    except Refused:
        return


def main() -> None:
    """Search for as many seconds as the first argument says."""
    corpus = ROOT / ".dev/fuzz/corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(_SEEDS):
        for target in range(len(TARGETS)):
            (corpus / f"seed-{number}-{target}").write_bytes(bytes((target,)) + seed)
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    artifacts = f"-artifact_prefix={ROOT}/.dev/fuzz/"
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=2048", artifacts, str(corpus)], one)
    atheris.Fuzz()


_SEEDS = (
    b"Host: a\r\nContent-Length: 5\r\nCookie: a=b; aen-gateway=x\r\n",
    b"Host: a\r\nTransfer-Encoding: chunked\r\nX_AEN_User: b\r\nConnection: x, close\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    b"Set-Cookie: a=b; Domain=x\r\nStrict-Transport-Security: max-age=1\r\n",
    b"GET /alice/genome/jupyter/?a=b HTTP/1.1",
    b"5;a=b\r\nhello\r\n0\r\nTrailer: x\r\n\r\nmore",
    b"\x82\x85maskhello\x81\x7e\x00\x80" + b"x" * 128 + b"\x88\x02\x03\xe9",
)

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / ".dev/fuzz/lib"))
    atheris = import_module("atheris")
    with atheris.instrument_imports():
        from aen.proxy.body import Chunked
        from aen.proxy.head import REQUEST_LINE, Refused
        from aen.proxy.headers import RequestReader, ResponseReader
        from aen.proxy.tunnel import Follower
    _REQUESTS, _ANSWERS = RequestReader(b"aen-gateway"), ResponseReader(trusted=False)
    main()
else:
    from aen.proxy.body import Chunked
    from aen.proxy.head import REQUEST_LINE, Refused
    from aen.proxy.headers import RequestReader, ResponseReader
    from aen.proxy.tunnel import Follower

    _REQUESTS, _ANSWERS = RequestReader(b"aen-gateway"), ResponseReader(trusted=False)
