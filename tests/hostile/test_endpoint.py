"""Port 5002 of a compute node: only a gateway of its own data center gets in; the rest costs next to nothing."""

from __future__ import annotations

import asyncio
import datetime
import os
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from aen.ca import Authority, make_key, read_certificate
from aen.credentials import Credentials
from aen.roles.compute import endpoint, relay
from tests.far import CENTER, Pair, joined, pair, record
from tests.hostile.stand import Backend, until

HELLO = b"AEN1 s1 1\n"


async def say(both: Pair, context: ssl.SSLContext | None, data: bytes = HELLO) -> bytes:
    """Connect, say it, and hear all that comes back; empty when the other side hangs up."""
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", both.port, ssl=context, server_hostname="n1" if context else None
        )
        writer.write(data)
        try:
            return await asyncio.wait_for(reader.read(300), 10)
        finally:
            writer.transport.abort()
    except (OSError, asyncio.IncompleteReadError):
        return b""


def anonymous() -> ssl.SSLContext:
    """Somebody without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["aen/1"])
    return context


def signed(both: Pair, folder: Path, *, by_authority: bool, uri: str, days: tuple[int, int]) -> ssl.SSLContext:
    """Somebody with a certificate that nobody of AEN would make: signed by itself or by the authority's own key."""
    key = make_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "g1")])
    pair_ = both.authority._pairs[0]
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(pair_.certificate.subject if by_authority else name, name, key.public_key(), 4711)
        .not_valid_before(today + datetime.timedelta(days=days[0]))
        .not_valid_after(today + datetime.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .sign(pair_.key if by_authority else key, hashes.SHA256())
    )
    form, kind = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    (folder / "odd.pem").write_bytes(certificate.public_bytes(kind))
    (folder / "odd.key").write_bytes(key.private_bytes(kind, form, serialization.NoEncryption()))
    context = anonymous()
    context.load_cert_chain(folder / "odd.pem", folder / "odd.key")
    return context


def _by_another_authority(both: Pair, folder: Path) -> Credentials:
    other = joined(folder / "other", Authority.make(folder / "theirs"), "gateway", "g1")
    other.authority.write_bytes(both.authority.bundle())
    return other


GATEWAY = f"aen://{CENTER}/gateway/g1"
#: Who comes, and which word counts the refusal.
STRANGERS: dict[str, tuple[Callable[[Pair, Path], ssl.SSLContext], str]] = {
    "nobody": (lambda both, tmp: anonymous(), "handshake"),
    "self-signed": (lambda both, tmp: signed(both, tmp, by_authority=False, uri=GATEWAY, days=(-1, 1)), "handshake"),
    "expired": (lambda both, tmp: signed(both, tmp, by_authority=True, uri=GATEWAY, days=(-9, -1)), "handshake"),
    "not yet": (lambda both, tmp: signed(both, tmp, by_authority=True, uri=GATEWAY, days=(1, 9)), "handshake"),
    "another authority": (lambda both, tmp: both.client(_by_another_authority(both, tmp)), "handshake"),
    "no node": (lambda both, tmp: signed(both, tmp, by_authority=True, uri="https://g1", days=(-1, 1)), "refused"),
    "compute node": (lambda both, tmp: both.client(both.node), "refused"),
    "server": (lambda both, tmp: both.client(joined(tmp, both.authority, "server", "s1")), "refused"),
    "gateway of another data center": (
        lambda both, tmp: both.client(joined(tmp, both.authority, "gateway", "g2", "berlin")),
        "refused",
    ),
    "another protocol": (lambda both, tmp: _speaking(both.client(), "http/1.1"), "refused"),
    "TLS 1.2": (lambda both, tmp: _old(both.client()), "handshake"),
}


def _speaking(context: ssl.SSLContext, protocol: str) -> ssl.SSLContext:
    context.set_alpn_protocols([protocol])
    return context


def _old(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.parametrize("name", STRANGERS)
async def test_nobody_else_gets_in(name: str, tmp_path: Path) -> None:
    who, counted = STRANGERS[name]
    async with pair(tmp_path) as both, Backend(tmp_path / "app") as app:
        both.sessions["s1"] = record(f"unix:{tmp_path}/app")
        assert await say(both, who(both, tmp_path)) in (b"", b"ERR refused\n")
        await until(lambda: both.endpoint.refused[counted])
        assert app.connections == []
        assert await say(both, both.client()) == b"OK\n"


async def test_a_certificate_that_was_taken_away_ends_what_is_open_too(tmp_path: Path) -> None:
    async with pair(tmp_path) as both, Backend(tmp_path / "app"):
        both.sessions["s1"] = record(f"unix:{tmp_path}/app")
        reader, writer = await asyncio.open_connection("127.0.0.1", both.port, ssl=both.client(), server_hostname="n1")
        writer.write(HELLO)
        assert await reader.readline() == b"OK\n"
        both.node.keep_revoked([read_certificate(both.gateway.certificate.read_bytes()).serial])
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await asyncio.wait_for(reader.readexactly(1), 10)  # the node looks by itself
        assert await say(both, both.client()) == b"ERR refused\n"
        writer.transport.abort()


PREFACES = {
    "empty": b"\n",
    "HTTP": b"GET / HTTP/1.1\r\nHost: n1\r\n\r\n",
    "no generation": b"AEN1 s1\n",
    "negative": b"AEN1 s1 -1\n",
    "huge number": b"AEN1 s1 " + b"9" * 40 + b"\n",
    "path": b"AEN1 ../s1 1\n",
    "upper case": b"AEN1 S1 1\n",
    "CRLF": b"AEN1 s1 1\r\n",
    "another version": b"AEN2 s1 1\n",
    "more at once": HELLO + b"GET / HTTP/1.1\r\n\r\n",
    "NUL": b"AEN1 s1\0 1\n",
    "garbage": bytes(range(256)),
    "endless": b"A" * 100_000,
}


@pytest.mark.parametrize("name", PREFACES)
async def test_a_preface_that_is_none(name: str, tmp_path: Path) -> None:
    async with pair(tmp_path) as both, Backend(tmp_path / "app") as app:
        both.sessions["s1"] = record(f"unix:{tmp_path}/app")
        assert await say(both, both.client(), PREFACES[name]) in (b"ERR bad-preface\n", b"")
        await until(lambda: both.endpoint.refused["bad-preface"] == 1)
        assert app.connections == []


async def test_plaintext_is_no_handshake(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        assert b"ERR" not in await say(both, None, HELLO)
        await until(lambda: both.endpoint.refused["handshake"] == 1)


async def test_a_thousand_that_say_nothing_hold_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "PREFACE_SECONDS", 3.0)
    monkeypatch.setattr(endpoint, "HANDSHAKE_SECONDS", 3.0)

    async def silent(context: ssl.SSLContext | None) -> StreamWriter:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", both.port, ssl=context, server_hostname="n1" if context else None
        )
        return writer

    async with pair(tmp_path) as both, Backend(tmp_path / "app"):
        both.sessions["s1"] = record(f"unix:{tmp_path}/app")
        context = both.client()
        assert await say(both, context) == b"OK\n"
        before = len(os.listdir("/proc/self/fd"))
        silent_ones = [await silent(None) for _ in range(500)]
        silent_ones += [await silent(context) for _ in range(500)]
        assert await say(both, context) == b"OK\n"
        await until(lambda: both.endpoint.refused["late"] + both.endpoint.refused["handshake"] >= 1000, 20)
        await until(lambda: not both.endpoint.connections)
        for writer in silent_ones:
            writer.transport.abort()
        await until(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def test_no_more_than_so_many(tmp_path: Path) -> None:
    async with pair(tmp_path, most=3) as both, Backend(tmp_path / "app"):
        both.sessions["s1"] = record(f"unix:{tmp_path}/app")
        held: list[tuple[StreamReader, StreamWriter]] = []
        for _ in range(3):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", both.port, ssl=both.client(), server_hostname="n1"
            )
            writer.write(HELLO)
            assert await reader.readline() == b"OK\n"
            held.append((reader, writer))
        assert await say(both, both.client()) == b""
        assert both.endpoint.refused["busy"] == 1
        held[0][1].transport.abort()
        await until(lambda: len(both.endpoint.connections) == 2)
        assert await say(both, both.client()) == b"OK\n"
        for _, writer in held:
            writer.transport.abort()


async def test_bytes_pass_untouched_both_ways(tmp_path: Path) -> None:
    async def echo(reader: StreamReader, writer: StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async with pair(tmp_path) as both, Backend(tmp_path / "app", echo):
        both.sessions["s1"] = record(f"unix:{tmp_path}/app")
        reader, writer = await asyncio.open_connection("127.0.0.1", both.port, ssl=both.client(), server_hostname="n1")
        writer.write(HELLO)
        assert await reader.readline() == b"OK\n"
        data = os.urandom(3_000_000)
        writer.write(data)
        assert await asyncio.wait_for(reader.readexactly(len(data)), 20) == data
        writer.transport.abort()
