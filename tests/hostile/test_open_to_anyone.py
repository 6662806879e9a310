"""What is open to anyone is only shown, whatever the visitor sends and whatever the app behind it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aen.links import without_secret
from aen.model.route import ANYONE
from tests.hostile.stand import GRANT, KEY, request, route, stand

OPEN: dict[str, Any] = {"app_server": "viewer", "user": ANYONE, "users": [ANYONE]}
PAGE = "GET /alice/genome/viewer/x HTTP/1.1"
NOBODY = b""
WS = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Origin: http://gw.test\r\n"
)
EVIL = (
    b"Set-Cookie: a=b\r\nContent-Security-Policy: script-src *\r\ncontent-security-policy: default-src *\r\n"
    b"Content-Security-Policy-Report-Only: x\r\nX-Content-Type-Options: none\r\nReferrer-Policy: unsafe-url\r\n"
    b"Refresh: 0;url=//evil\r\nLink: </x>; rel=preload\r\nService-Worker-Allowed: /\r\nClear-Site-Data: *\r\n"
    b"Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nWWW-Authenticate: Basic realm=x\r\n"
)


@pytest.mark.parametrize(
    "grant", [NOBODY, GRANT, b"Authorization: Bearer known\r\n"], ids=["nobody", "cookie", "token"]
)
async def test_who_asks_and_their_cookies_are_told_to_nobody(grant: bytes, tmp_path: Path) -> None:
    async with stand(tmp_path, **OPEN) as here:
        answer = await here.one(request(PAGE, b"Cookie: theirs=1\r\nX-Note: Cookie: kept\r\n", grant=grant))
        got = here.app.got
    assert answer.endswith(b"ok")
    for word in (b"\r\nCookie:", b"theirs=1", b"aen-gateway", b"X-AEN-User", b"X-AEN-Auth", b"known", b"X-AEN-Login"):
        assert word not in got
    assert b"X-Note: Cookie: kept\r\n" in got
    assert b"X-AEN-App-Token: launch-secret\r\n" in got


@pytest.mark.parametrize("grant", [NOBODY, GRANT])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
async def test_nothing_but_looking(method: str, grant: bytes, tmp_path: Path) -> None:
    async with stand(tmp_path, **OPEN) as here:
        lines = b"Origin: http://gw.test\r\nContent-Length: 1\r\n"
        answer = await here.send(request(PAGE.replace("GET", method), lines, b"x", grant))
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert here.app.got == b""


@pytest.mark.parametrize("lines", [WS, b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_no_websocket_and_no_body(lines: bytes, tmp_path: Path) -> None:
    async with stand(tmp_path, **OPEN) as here:
        answer = await here.send(request(PAGE, lines, b"" if lines is WS else b"0\r\n\r\n", NOBODY))
        assert answer.startswith(b"HTTP/1.1 405 ")
        assert here.app.got == b""


async def test_what_the_app_says_of_itself_does_not_count(tmp_path: Path) -> None:
    async with stand(tmp_path, **OPEN) as here:
        here.app.response = b"HTTP/1.1 200 OK\r\n" + EVIL + b"Content-Type: text/html\r\nContent-Length: 2\r\n\r\nok"
        answer = (await here.one(request(PAGE, grant=NOBODY))).lower()
    head = answer.partition(b"\r\n\r\n")[0]
    assert head.count(b"content-security-policy") == 1
    assert b"content-security-policy: sandbox allow-popups allow-downloads; default-src 'none'" in head
    for word in (
        b"set-cookie", b"script-src *", b"evil", b"unsafe-url", b"\r\nlink:", b"service-worker", b"clear-site", b"access-control",
        b"www-auth",
    ):  # fmt: skip
        assert word not in head
    assert b"content-type: text/html" in head


@pytest.mark.parametrize(
    ("asked", "seen"),
    [("/x?y=1", b"/x?y=1"), ("/", b"/"), ("", b"/"), ("?y", b"/?y"), ("//x", b"//x"), ("/%2e%2e/x", b"/%2e%2e/x")],
)
async def test_a_prefix_that_is_taken_off(asked: str, seen: bytes, tmp_path: Path) -> None:
    async with stand(tmp_path, strip=True) as here:
        await here.one(request(f"GET /{KEY}{asked} HTTP/1.1"))
        assert here.app.got.startswith(b"GET " + seen + b" HTTP/1.1\r\n")
        assert b"X-Forwarded-Prefix: /alice/genome/jupyter\r\n" in here.app.got


@pytest.mark.parametrize("users", [["alice"], [], ["bob", "*"]])
async def test_only_the_whole_word_opens_a_route(users: list[str], tmp_path: Path) -> None:
    """A session of a person is not opened by a name in its list, nor the other way round."""
    for changes in (
        {"user": "alice", "users": [*users, ANYONE]},
        {"user": ANYONE, "users": users},
        {"user": "*", "users": users},
    ):
        async with stand(tmp_path, **{**OPEN, **changes}) as here:
            answer = await here.send(request(PAGE, grant=NOBODY))
            assert answer.startswith(b"HTTP/1.1 401 ")
            assert here.app.got == b""


async def test_ones_own_session_comes_first_and_the_open_one_ends_with_its_route(tmp_path: Path) -> None:
    async with stand(tmp_path, **OPEN) as here:
        here.plane.routes.add(route(tmp_path / "pages", session="own", app_server="viewer", uid=here_uid(here)))
        assert (await here.one(request(PAGE))).endswith(b"pages")
        assert (await here.one(request(PAGE, grant=b"Cookie: aen-gateway=bob\r\n"))).endswith(b"ok")
        entry = here.plane.routes.remove("s1", 1)
        assert entry is not None
        here.plane.forget(entry.route)
        assert (await here.send(request(PAGE, grant=NOBODY))).startswith(b"HTTP/1.1 401 ")


async def test_other_apps_of_the_project_stay_closed(tmp_path: Path) -> None:
    async with stand(tmp_path, **OPEN) as here:
        here.plane.routes.add(route(tmp_path / "app", session="j"))
        for path in (f"/{KEY}/x", "/alice/genome/viewer2/x", "/alice/other/viewer/x", "/bob/genome/viewer/x"):
            assert (await here.send(request(f"GET {path} HTTP/1.1", grant=NOBODY))).startswith(b"HTTP/1.1 401 "), path


@pytest.mark.parametrize(
    ("address", "logged"),
    [
        ("/a/b/shared-1/secret/x", "/a/b/shared-1/-/x"),
        ("/a/b/shared-1/secret?x", "/a/b/shared-1/-?x"),
        ("https://gw/a/b/shared-1/secret/x", "https://gw/a/b/shared-1/-/x"),
        ("/a/shared-b/jupyter/lab", "/a/shared-b/jupyter/lab"),
        ("/a/b/jupyter/shared-1/x", "/a/b/jupyter/shared-1/x"),
    ],
)
def test_a_links_secret_stands_in_no_log(address: str, logged: str) -> None:
    assert without_secret(address) == logged


def here_uid(here: Any) -> int:
    """Whose our backends are."""
    return int(here.plane.pages.uid)
