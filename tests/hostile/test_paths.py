"""Paths: what decides who may go where is the very path the app gets, byte by byte; and every rule again with an origin for each project."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.hostile.stand import BASE, GRANT, Stand, request, route, stand
from tests.hostile.test_identity import CLAIMS, GOOD_ORIGIN, HANDSHAKES, HTTP_AND_WS, ORIGINS, STRANGERS, TWICE, WS

OWN = b"alice--genome.gw.test"
MODES = ["path", "host"]

#: These are alice's genome, and the app gets every byte: what it makes of them is its own affair.
HERS = [
    BASE, f"{BASE}/", f"{BASE}?a", f"{BASE}/..", f"{BASE}/../../../bob/secret/jupyter/", f"{BASE}/%2e%2e/%2e%2e/bob/",
    f"{BASE}/%252e%252e/", f"{BASE}/..;/x", f"{BASE}//", f"{BASE}//bob//x", f"{BASE}/./x", f"{BASE}/a%2Fb", f"{BASE}/a%2fb",
    f"{BASE}/%5c..%5c", f"{BASE}/\\..\\", f"{BASE}/%00", f"{BASE}/%c0%ae%c0%ae/", f"{BASE}/x;token", f"{BASE}/a%23b", f"{BASE}/x.",
    f"{BASE}/@x", f"{BASE}/%40x", f"{BASE}/X/x", f"{BASE}/caf%C3%A9", f"{BASE}/cafe%CC%81", f"{BASE}/%zz", f"{BASE}/|<>`{{}}^",
    f"{BASE}/http://evil/", f"{BASE}/.aen/enter", f"{BASE}/{'a' * 8000}",
]  # fmt: skip
#: These only look like it. Nothing of them may reach an app: neither alice's nor another's.
NOT_HERS = [
    "/", "//", "//alice/genome/jupyter/", "/./alice/genome/jupyter/", "/alice//genome/jupyter/", "/alice/genome//jupyter/",
    "/alice/./genome/jupyter/", "/x/../alice/genome/jupyter/", "/alice/x/../genome/jupyter/", "/alice/genome/../genome/jupyter/",
    "/%61lice/genome/jupyter/", "/alice%2Fgenome%2Fjupyter/", "/alice%2fgenome/jupyter/", "/alice\\genome\\jupyter\\",
    "/alice/genome%00/jupyter/", "/alice/genome/jupyter%2F", "/alice/genome/jupyter%00", "/alice/genome/jupyter;x/", "/alice;x/genome/jupyter/",
    "/alice/genome/jupyter..;/", "/alice/genome/jupyter./", "/alice/genome./jupyter/", "/Alice/genome/jupyter/", "/alice/Genome/jupyter/",
    "/alice/genome/Jupyter/", "/alice/genome/jupyterx/", "/alice/genome/jupyter@x/", "/alice@/genome/jupyter/", "/alice/genome/jupyter%23/",
    "/alice/genome/jupyter%3Fx", "/alice%c0%afgenome/jupyter/", "/~alice/genome/jupyter/", "/.aen/../alice/genome/jupyter/",
    "/.aen/%2e%2e/alice/genome/jupyter/", "/alice/genome/jupyter%20", "/alice/genome/jupyter&x=/", "/alice/genome/jupyter=x",
]  # fmt: skip


@asynccontextmanager
async def opened(tmp_path: Path, mode: str) -> AsyncIterator[Stand]:
    """A stand in this mode; bob's project `secret`, which alice may not see, is an app of its own beside hers."""
    url = "http://{project}.gw.test" if mode == "host" else "http://gw.test"
    async with stand(tmp_path, url=url) as here:
        changes = {
            "session": "s2",
            "owner": "bob",
            "project": "secret",
            "project_id": "p2",
            "user": "bob",
            "users": ["bob"],
        }
        here.plane.routes.add(route(tmp_path / "app", **changes))
        yield here


def at(mode: str, data: bytes) -> bytes:
    """The same request as it is in this mode."""
    if mode == "path":
        return data
    return data.replace(b"Host: gw.test\r\n", b"Host: %b\r\n" % OWN).replace(
        GOOD_ORIGIN, b"Origin: http://%b\r\n" % OWN
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", HTTP_AND_WS, ids=["http", "ws"])
@pytest.mark.parametrize("path", HERS)
async def test_what_is_hers_arrives_byte_by_byte(path: str, kind: bytes, mode: str, tmp_path: Path) -> None:
    async with opened(tmp_path, mode) as here:
        answer = await here.one(at(mode, request(f"GET {path} HTTP/1.1", kind)))
        assert answer.endswith(b"ok")
        assert here.app.got.startswith(f"GET {path} HTTP/1.1\r\n".encode("latin-1"))
        assert b"X-AEN-User: alice\r\n" in here.app.got
        assert b"X-AEN-Project: alice/genome\r\n" in here.app.got


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", HTTP_AND_WS, ids=["http", "ws"])
@pytest.mark.parametrize(
    "path", [*NOT_HERS, "/bob/secret/jupyter/", "/bob/secret/jupyter/../../../alice/genome/jupyter/"]
)
async def test_what_only_looks_like_it_reaches_no_app(path: str, kind: bytes, mode: str, tmp_path: Path) -> None:
    async with opened(tmp_path, mode) as here:
        await here.one(at(mode, request(f"GET {path} HTTP/1.1", kind)))
        assert here.app.connections == []


# ── every rule of test_identity again, with an origin for each project ──────────────────────────────


@pytest.mark.parametrize("kind", HTTP_AND_WS, ids=["http", "ws"])
@pytest.mark.parametrize("claim", CLAIMS)
async def test_claims(claim: bytes, kind: bytes, tmp_path: Path) -> None:
    async with opened(tmp_path, "host") as here:
        await here.one(at("host", request(lines=claim + b"\r\n" + kind)))
        assert b"EVIL" not in here.app.got
        for line in (b"X-AEN-User: alice", b"X-AEN-App-Token: launch-secret", b"X-Forwarded-Host: " + OWN):
            assert here.app.got.count(line + b"\r\n") == 1


@pytest.mark.parametrize("how", [b"", WS], ids=["post", "ws"])
@pytest.mark.parametrize("origin", [b"http://" + OWN, b"http://bob--secret.gw.test", *ORIGINS])
async def test_origins(origin: bytes, how: bytes, tmp_path: Path) -> None:
    async with opened(tmp_path, "host") as here:
        line = f"{'GET' if how else 'POST'} {BASE}/x HTTP/1.1"
        answer = await here.one(at("host", request(line, how)).replace(GRANT, GRANT + b"Origin: %b\r\n" % origin))
        good = origin == b"http://" + OWN
        assert answer.startswith(b"HTTP/1.1 403 ") is not good
        assert bool(here.app.connections) is good


@pytest.mark.parametrize("kind", HTTP_AND_WS, ids=["http", "ws"])
@pytest.mark.parametrize("name", STRANGERS)
async def test_strangers(name: str, kind: bytes, tmp_path: Path) -> None:
    lines, status = STRANGERS[name]
    async with opened(tmp_path, "host") as here:
        assert (await here.one(at("host", request(lines=kind, grant=lines)))).startswith(b"HTTP/1.1 %d " % status)
        assert here.app.connections == []


@pytest.mark.parametrize("crumbs", TWICE)
async def test_our_cookie_twice(crumbs: bytes, tmp_path: Path) -> None:
    async with opened(tmp_path, "host") as here:
        assert (await here.one(at("host", request(grant=crumbs)))).startswith(b"HTTP/1.1 400 ")
        assert here.app.connections == []


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_handshakes(name: str, tmp_path: Path) -> None:
    lines, status = HANDSHAKES[name]
    async with opened(tmp_path, "host") as here:
        answer = await here.one(at("host", request(lines=GOOD_ORIGIN + lines)))
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert here.app.connections == []


HOSTS = [
    b"gw.test", b"bob--secret.gw.test", b"alice--genome.gw.test.evil", b"alice--genome.gw.test:81", b"x.alice--genome.gw.test",
    b"alice--genome", b"alice--genome.", b".gw.test", b"alice--genome.gw.test.", b"127.0.0.1", b"[::1]", b"alice--genomex.gw.test",
]  # fmt: skip


@pytest.mark.parametrize("kind", HTTP_AND_WS, ids=["http", "ws"])
@pytest.mark.parametrize("host", HOSTS)
async def test_hosts(host: bytes, kind: bytes, tmp_path: Path) -> None:
    """A project answers at its own name alone, also when the Origin says what the Host does."""
    async with opened(tmp_path, "host") as here:
        data = request(lines=kind).replace(b"Host: gw.test\r\n", b"Host: %b\r\n" % host)
        answer = await here.one(data.replace(GOOD_ORIGIN, b"Origin: http://%b\r\n" % host))
        assert answer.split(b" ")[1] in (b"421", b"400")
        assert here.app.connections == []
