"""What an app says of itself to a browser reaches no further than the app: over HTTP and WebSocket, in both modes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.hostile.stand import request, stand
from tests.hostile.test_answers import head, says
from tests.hostile.test_identity import GOOD_ORIGIN, WS
from tests.hostile.test_paths import MODES, at

#: What an app may not do to browsers beyond itself: name → (line, passes with one origin for all, with one for each).
REACHING = {
    "our cookie": (b"Set-Cookie: aen-gateway=evil; Path=/", False, False),
    "our cookie, bound to the host": (b"Set-Cookie: __Host-aen-gateway=evil; Secure; Path=/", False, False),
    "the server's cookie": (b"Set-Cookie: aen-login=evil; Path=/", False, False),
    "our cookie in other letters": (b"Set-Cookie: AEN-Gateway=evil", False, False),
    "a parent domain": (b"Set-Cookie: evil=1; Domain=gw.test", False, False),
    "a parent domain, spaced": (b"Set-Cookie: evil=1;\tdomain =.gw.test", False, False),
    "a cookie without a name": (b"Set-Cookie: =aen-gateway=evil", False, False),
    "an old cookie": (b"Set-Cookie2: evil=1", False, False),
    "its own cookie": (b"Set-Cookie: _xsrf=evil; Path=/alice/genome/jupyter/", True, True),
    "a service worker": (b"Service-Worker-Allowed: /evil", False, True),
    "clearing": (b'Clear-Site-Data: "evil"', False, False),
    "HSTS": (b"Strict-Transport-Security: max-age=1; evil", False, False),
    "another service": (b'Alt-Svc: h3="evil:443"', False, False),
    "pinned keys": (b"Public-Key-Pins: evil", False, False),
    "a file of nginx": (b"X-Accel-Redirect: /evil", False, False),
    "a file": (b"X-Sendfile: /evil", False, False),
    "our headers": (b"X-AEN-User: evil", False, False),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["http", "ws"])
@pytest.mark.parametrize("name", REACHING)
async def test_an_app_reaches_no_further_than_itself(name: str, kind: str, mode: str, tmp_path: Path) -> None:
    line, *passes = REACHING[name]
    switching = head(
        b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", line, b"X-Kept: 1",
        status=b"HTTP/1.1 101 Switching Protocols",
    )  # fmt: skip
    plain = head(b"Content-Length: 2", line, b"X-Kept: 1") + b"ok"
    url = "http://{project}.gw.test" if mode == "host" else "http://gw.test"
    async with stand(tmp_path, says(switching if kind == "ws" else plain), url=url) as here:
        reader, writer = await here.connect()
        writer.write(at(mode, request(lines=GOOD_ORIGIN + WS if kind == "ws" else b"")))
        got = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        writer.close()
    assert got.startswith(b"HTTP/1.1 101 " if kind == "ws" else b"HTTP/1.1 200 ")
    assert b"X-Kept: 1\r\n" in got
    assert (b"evil" in got) is passes[MODES.index(mode)]
