"""Identity, Origin and cookies: who somebody is, is told by the gateway alone, over HTTP and WebSocket alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile.stand import BASE, GRANT, KEY, Stand, one_answer, request, route, stand

WS = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
GOOD_ORIGIN = b"Origin: http://gw.test\r\n"
HTTP_AND_WS = [b"", WS + GOOD_ORIGIN]

#: Claims that must not arrive: whatever names end up at the app, these values are not among them.
CLAIMS = [
    b"X-AEN-User: EVIL", b"x-aen-user: EVIL", b"X_AEN_User: EVIL", b"X-AEN_USER: EVIL", b"X-Aen-User: EVIL\r\nX-AEN-USER: EVIL",
    b"X-AEN-App-Token: EVIL", b"X-AEN-Auth: EVIL", b"X-AEN-Project: EVIL", b"X-AEN-Page-Token: EVIL", b"X-AEN-Anything: EVIL",
    b"X-Forwarded-For: EVIL", b"X-Forwarded-Host: EVIL", b"X-Forwarded-Proto: EVIL", b"X-Forwarded-Prefix: EVIL",
    b"X-Forwarded-User: EVIL", b"X_Forwarded_User: EVIL", b"X-Forwarded_Uri: EVIL", b"Forwarded: for=EVIL", b"X-Real-IP: EVIL",
    b"X_Real_IP: EVIL", b"X-Original-URL: EVIL", b"X-Rewrite-URL: EVIL", b"X-HTTP-Method-Override: EVIL", b"Remote-User: EVIL",
    b"Remote_User: EVIL", b"Proxy: EVIL", b"Authorization: Basic EVIL", b"Cookie: aen-login=EVIL", b"Cookie: __Host-aen-login=EVIL",
    b"Cookie: aen-csrf=EVIL; aen-nonce=EVIL", b"Cookie: AEN-Login=EVIL", b"Proxy-Authorization: EVIL", b"TE: EVIL", b"Keep-Alive: EVIL",
    b"X_AEN-App_Token: EVIL", b"Content_Length: EVIL", b"Transfer_Encoding: EVIL", b"X-Sendfile-Type: EVIL", b"X-Accel-Mapping: EVIL",
]  # fmt: skip


@pytest.mark.parametrize("kind", HTTP_AND_WS, ids=["http", "ws"])
@pytest.mark.parametrize("claim", CLAIMS)
async def test_what_a_client_claims_does_not_arrive(claim: bytes, kind: bytes, tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        await here.send(request(lines=claim + b"\r\n" + kind), half_close=False) if kind else await here.one(
            request(lines=claim + b"\r\n")
        )
        got = here.app.got
    assert b"EVIL" not in got
    for line in (
        b"X-AEN-User: alice",
        b"X-AEN-Auth: cookie",
        b"X-AEN-App-Token: launch-secret",
        b"X-AEN-Project: alice/genome",
    ):
        assert got.count(line + b"\r\n") == 1
    assert got.lower().count(b"\r\nx-forwarded-for: 127.0.0.1\r\n") == 1


OURS = b"X-AEN-User, X-AEN-App-Token, X-AEN-Auth, X-Forwarded-For, X-Forwarded-Host, Host, Cookie"


async def test_a_connection_header_can_not_remove_ours(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        await here.one(request(lines=b"Connection: keep-alive, X-Mine, " + OURS + b"\r\nX-Mine: 1\r\n"))
        got = here.app.got
    assert b"X-AEN-User: alice\r\n" in got
    assert b"X-AEN-App-Token: launch-secret\r\n" in got
    assert b"X-Forwarded-Host: gw.test\r\n" in got
    assert b"\r\nHost: gw.test\r\n" in got
    assert b"X-Mine" not in got


async def test_other_cookies_and_headers_arrive_as_they_were(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        crumbs = b'Cookie: _xsrf=2|a; aen-gateway=good; b="q;aen-login=x"\r\nX-XSRFToken: 2|a\r\n'
        await here.one(request(f"GET {BASE}/%2e%2e/a%2Fb/;p//x?q=%00&r=a|b HTTP/1.1", crumbs, grant=b""))
        got = here.app.got
    assert got.startswith(f"GET {BASE}/%2e%2e/a%2Fb/;p//x?q=%00&r=a|b HTTP/1.1\r\n".encode())
    assert b'Cookie: _xsrf=2|a; b="q\r\n' in got
    assert b"X-XSRFToken: 2|a\r\n" in got


ORIGINS: dict[bytes, bool] = {
    b"http://gw.test": True,
    b"null": False, b"": False, b"http://evil.test": False, b"http://gw.test.evil": False, b"http://gw.test:444": False,
    b"https://gw.test": False, b"HTTP://GW.TEST": False, b"http://gw.test/": False, b"http://a.gw.test": False,
    b"http://gw.test, http://evil": False, b"gw.test": False, b"file://": False, b"http://gw.test@evil": False,
}  # fmt: skip
UNSAFE = [WS, b"POST", b"PUT", b"PATCH", b"DELETE", b"MKCOL"]


async def _try(here: Stand, how: bytes, origin: bytes | None, grant: bytes = GRANT) -> bytes:
    """The status line of an unsafe request or WebSocket handshake with this Origin."""
    lines = b"" if origin is None else b"Origin: %b\r\n" % origin
    if how is WS:
        return (await here.one(request(lines=lines + WS, grant=grant))).split(b"\r\n")[0]
    return (await here.one(request(f"{how.decode()} {BASE}/x HTTP/1.1", lines, grant=grant))).split(b"\r\n")[0]


@pytest.mark.parametrize("how", UNSAFE, ids=lambda how: "ws" if how is WS else how.decode())
@pytest.mark.parametrize("origin", [None, *ORIGINS])
async def test_only_our_own_pages_change_things_by_cookie(origin: bytes | None, how: bytes, tmp_path: Path) -> None:
    good = origin is not None and ORIGINS[origin]
    async with stand(tmp_path) as here:
        status = await _try(here, how, origin)
        assert (status == b"HTTP/1.1 403 Forbidden") is not good
        assert bool(here.app.connections) is good


@pytest.mark.parametrize("how", UNSAFE, ids=lambda how: "ws" if how is WS else how.decode())
async def test_scripts_with_a_token_need_no_origin_but_no_other_either(how: bytes, tmp_path: Path) -> None:
    token = b"Authorization: Bearer known\r\n"
    async with stand(tmp_path) as here:
        assert b" 403 " not in await _try(here, how, None, token)
        assert b" 403 " not in await _try(here, how, b"http://gw.test", token)
        assert b" 403 " in await _try(here, how, b"http://evil.test", token)
        assert b" 403 " in await _try(here, how, b"null", token)
        assert b"X-AEN-Auth: token\r\n" in here.app.got
        assert b"known" not in here.app.got


async def test_reading_by_link_from_elsewhere_is_no_change(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        for method in ("GET", "OPTIONS"):
            assert (await here.one(request(f"{method} {BASE}/x HTTP/1.1", b"Origin: http://evil\r\n"))).endswith(b"ok")


STRANGERS = {"nobody": (b"", 401), "tampered": (b"Cookie: aen-gateway=goo\r\n", 401), "empty": (b"Cookie: aen-gateway=\r\n", 401),
             "other case": (b"Cookie: AEN-GATEWAY=good\r\n", 401), "quoted": (b'Cookie: aen-gateway="good"\r\n', 401),
             "bad token": (b"Authorization: Bearer wrong\r\n", 401), "token and cookie": (b"Authorization: token wrong\r\n" + GRANT, 401),
             "in a deeper name": (b"Cookie: x-aen-gateway=good\r\n", 401), "basic": (b"Authorization: Basic a25vd246\r\n", 401)}  # fmt: skip


@pytest.mark.parametrize("kind", HTTP_AND_WS, ids=["http", "ws"])
@pytest.mark.parametrize("name", STRANGERS)
async def test_without_a_good_login_nothing_reaches_the_app(name: str, kind: bytes, tmp_path: Path) -> None:
    lines, status = STRANGERS[name]
    async with stand(tmp_path) as here:
        answer = await here.one(request(lines=kind, grant=lines))
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert here.app.connections == []


@pytest.mark.parametrize("kind", HTTP_AND_WS, ids=["http", "ws"])
async def test_another_person_gets_no_way_in(kind: bytes, tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        assert (await here.one(request(lines=kind, grant=b"Cookie: aen-gateway=bob\r\n"))).endswith(b"pages")
        assert here.app.connections == []
        assert b"X-AEN-User: bob\r\n" in here.pages.got


TWICE = [
    b"Cookie: aen-gateway=good; aen-gateway=bob\r\n",
    b"Cookie: aen-gateway=good\r\nCookie: a=b; aen-gateway=good\r\n",
]


@pytest.mark.parametrize("crumbs", TWICE)
async def test_our_cookie_twice_is_refused_and_cleared(crumbs: bytes, tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        answer = await here.one(request(grant=crumbs))
        assert answer.startswith(b"HTTP/1.1 400 ")
        for path in ("/", "/alice", "/alice/genome/", BASE, BASE + "/"):
            assert f"Set-Cookie: aen-gateway=; Path={path}; Max-Age=0".encode() in answer
        assert here.app.connections == []


async def test_a_token_seen_for_the_first_time_is_asked_once(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        for query in ("?token=fresh", "?a=b&token=fresh&c=d"):
            assert (await here.one(request(f"GET {BASE}/x{query} HTTP/1.1", grant=b""))).endswith(b"ok")
        assert here.doorman.asked == [b"fresh", b"fresh"]  # this doorman remembers nothing
        assert b"fresh" not in here.app.got
        assert f"GET {BASE}/x?a=b&c=d HTTP/1.1".encode() in here.app.got


REFUSED = {
    "bad token": (f"GET {BASE}/x HTTP/1.1", b"Authorization: Bearer wrong\r\n", 401),
    "bad token in the address": (f"GET {BASE}/x?token=wrong HTTP/1.1", b"", 401),
    "fresh token from elsewhere": (
        f"POST {BASE}/x HTTP/1.1",
        b"Authorization: Bearer fresh\r\nOrigin: http://evil\r\n",
        403,
    ),
    "nobody": (f"GET {BASE}/x HTTP/1.1", b"", 401),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_after_a_refusal_the_same_connection_serves_on(name: str, tmp_path: Path) -> None:
    line, lines, status = REFUSED[name]
    async with stand(tmp_path) as here:
        reader, writer = await here.connect()
        try:
            for _ in range(2):
                writer.write(request(line, lines, grant=b""))
                assert (await one_answer(reader)).startswith(b"HTTP/1.1 %d " % status)
            writer.write(request())
            assert (await one_answer(reader)).endswith(b"ok")
        finally:
            writer.close()


HANDSHAKES = {
    "version 12": (WS.replace(b": 13", b": 12"), 426),
    "no version": (WS.replace(b"Sec-WebSocket-Version: 13\r\n", b""), 426),
    "no key": (WS.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""), 400),
    "short key": (WS.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"abc"), 400),
    "two keys": (WS + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 400),
    "bad subprotocol": (WS + b"Sec-WebSocket-Protocol: a b\r\n", 400),
    "a body": (WS + b"Content-Length: 5\r\n", 400),
    "a chunked body": (WS + b"Transfer-Encoding: chunked\r\n", 400),
}


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_bad_handshakes(name: str, tmp_path: Path) -> None:
    lines, status = HANDSHAKES[name]
    async with stand(tmp_path) as here:
        assert (await here.one(request(lines=GOOD_ORIGIN + lines))).startswith(b"HTTP/1.1 %d " % status)
        assert here.app.connections == []


async def test_other_upgrades_are_not_offered(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        lines = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
        assert (await here.one(request(lines=lines))).endswith(b"ok")
        assert b"pgrade" not in here.app.got
        assert b"HTTP2" not in here.app.got


async def test_sibling_projects_are_other_origins_where_each_has_its_own(tmp_path: Path) -> None:
    async with stand(tmp_path, url="https://{project}.gw.test") as here:
        own = b"Host: alice--genome.gw.test\r\n"

        def asks(host: bytes, origin: bytes) -> bytes:
            return f"POST {BASE}/x HTTP/1.1\r\n".encode() + host + b"Origin: %b\r\n" % origin + GRANT + b"\r\n"

        assert (await here.one(asks(own, b"https://alice--genome.gw.test"))).endswith(b"ok")
        assert b" 403 " in await here.one(asks(own, b"https://bob--x.gw.test"))
        assert b" 421 " in await here.one(asks(b"Host: bob--x.gw.test\r\n", b"https://bob--x.gw.test"))
        assert b" 421 " in await here.one(asks(b"Host: gw.test\r\n", b"https://gw.test"))


async def test_a_trusted_proxy_is_believed_and_nobody_else(tmp_path: Path) -> None:
    from aen.proxy.peers import client_address, networks

    those = networks(["10.0.0.0/8", "127.0.0.1"])
    assert client_address("127.0.0.1", b"1.2.3.4, 5.6.7.8, 10.1.1.1", those) == "5.6.7.8"
    assert client_address("127.0.0.1", b"rubbish", those) == "127.0.0.1"
    assert client_address("9.9.9.9", b"1.2.3.4", those) == "9.9.9.9"


async def test_an_older_generation_does_not_take_a_route_over(tmp_path: Path) -> None:
    async with stand(tmp_path, generation=5) as here:
        assert not here.plane.routes.add(route(tmp_path / "elsewhere", generation=4))
        assert (await here.one(request())).endswith(b"ok")
        assert here.plane.routes.remove("s1", 4) is None
        assert here.plane.routes.find(KEY.encode(), "alice") is not None
