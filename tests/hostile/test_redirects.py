"""Redirects: where `next` may lead, as a function and at every address that takes it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from aen.web.redirects import safe_next
from tests.served import PASSWORD, served

HOST = "http://127.0.0.1:8080"
REFUSED = [
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "\\\\evil.example",
    "/\\evil.example",
    "/%5cevil.example",
    "/%5Cevil.example",
    "/%255cevil.example",
    "/%2fevil.example",
    "/%252fevil.example",
    "http:evil.example",
    "https:/evil.example",
    "HTTPS://EVIL.EXAMPLE",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "ftp://evil.example",
    "relative/path",
    "?next=/",
    "#x",
    "/ok\r\nX: y",
    "/%0d%0aX:%20y",
    "/%0a",
    "\t/ok",
    " /ok",
    "\x00/ok",
    "/\tok",
    "/ ok",
    "/%00",
    f"{HOST}//evil.example/",
    f"{HOST}@evil.example",
    f"{HOST}.evil.example",
    HOST.upper() + "/",
    f"{HOST}/",
    "http://user:pass@127.0.0.1:8080/",
    "https://аen.example.org/",
    "/аen",
    "/logout",
    "/logout/",
    "/LOGOUT",
    "/logout?x=1",
    "/%6cogout",
    "/./logout",
    "/a/../logout",
    "/a/..//evil.example",
    "/.//evil.example",
    "/%2e%2e//evil.example",
    "/" + "x" * 8192,
    "",
    "/@evil.example\\..",
]
KEPT = [
    "/",
    "/a?repo=https://x",
    "/a#repo=https://x",
    "/a?q#h",
    "/alice/genome",
    "/alice/genome?tab=team&x=%2Fy",
    "/gateway/enter?gateway=http%3A%2F%2F127.0.0.2%3A1&nonce=ab&next=%2Falice%2Fgenome%2Fjupyter%2Flab",
    "/a%20b",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    assert safe_next(text, "/home") == "/home"


@pytest.mark.parametrize("text", KEPT)
def test_kept(text: str) -> None:
    assert safe_next(text, "/home") == text


async def test_the_login_form_leads_nowhere_else(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await server.person("alice")
        for text in REFUSED:
            client = await server.nobody(origin=server.url, headers={"Accept": "text/html"})
            page = await client.get(f"/login?next={quote(text)}")
            assert page.status in (200, 400), text[:80]
            answer = await client.post("/login", data={"name": "alice", "password": PASSWORD, "next": text})
            assert answer.headers["Location"] == "/", text[:80]
        for text in KEPT:
            client = await server.nobody(origin=server.url, headers={"Accept": "text/html"})
            answer = await client.post("/login", data={"name": "alice", "password": PASSWORD, "next": text})
            assert answer.headers["Location"] == text


@pytest.mark.parametrize(
    ("gateway", "next", "status"),
    [
        ("http://127.0.0.2:1", "/alice/genome/jupyter/lab", 303),
        ("http://127.0.0.2:1/", "/x", 400),
        ("http://127.0.0.2:1.evil.example", "/x", 400),
        ("http://127.0.0.2:1@evil.example", "/x", 400),
        ("http://127.0.0.2", "/x", 400),
        ("https://127.0.0.2:1", "/x", 400),
        ("https://evil.example", "/x", 400),
        ("//evil.example", "/x", 400),
        ("javascript:alert(1)", "/x", 400),
        ("", "/x", 400),
        ("http://127.0.0.2:1", "https://evil.example", 400),
        ("http://127.0.0.2:1", "//evil.example", 400),
        ("http://127.0.0.2:1", "/\\evil.example", 400),
        ("http://127.0.0.2:1", "/x\r\nSet-Cookie: a=b", 400),
    ],
)
async def test_tickets_go_to_our_gateways_only(tmp_path: Path, gateway: str, next: str, status: int) -> None:
    async with served(tmp_path) as server:
        client = await server.browser("alice")
        answer = await client.get(
            f"/gateway/enter?gateway={quote(gateway, safe='')}&nonce={'a' * 64}&next={quote(next, safe='')}"
        )
        assert answer.status == status, answer.text[:300]
        location = answer.headers.get("Location", "")
        if status == 303:
            assert location.startswith("http://127.0.0.2:1/.aen/enter?")
        else:
            assert location == ""
