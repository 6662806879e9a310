"""The gateway's addresses: TLS and its cookies, a renewed certificate, other names of the host, an origin for each project."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from yarl import URL

from aen import certificates
from aen.certificates import Certificate
from aen.errors import Invalid
from tests.hostile.stand import BASE, GRANT, stand
from tests.integration.test_gateway import PATH, House, housed
from tests.integration.test_main_job import opened, project_of
from tests.integration.test_nginx import sign_in
from tests.kernels import Kernel
from tests.nginx import browser, certificate
from tests.ports import free_ports
from tests.served import Client
from tests.waiting import until
from tests.world import World

HTML = {"Accept": "text/html"}
STAY: dict[str, Any] = {"allow_redirects": False}
APART = "http://{project}.localhost:PORT"
PROJECT = "http://alice--genome.localhost:PORT"


async def enter(house: House, http: aiohttp.ClientSession, address: str) -> dict[str, Any]:
    """Go to `address` as a signed-in person's browser does; the cookies that the gateway has set on the way."""
    async with http.get(address, **STAY) as answer:
        assert answer.status == 303
        to_server = urlsplit(answer.headers["Location"])
        assert to_server.path == "/gateway/enter"
        nonce = dict(answer.cookies)
    asked = dict(parse_qsl(to_server.query))
    ticket = house.server.signer.ticket("alice", "L1", asked["gateway"], asked["nonce"])
    back = {"ticket": ticket, "next": asked["next"]}
    async with http.get(f"{asked['gateway']}/.aen/enter", params=back, **STAY) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, asked["next"])
        return {**nonce, **answer.cookies}


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_over_tls_cookies_are_bound_to_the_host(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    tls = {"cert": str(made.cert), "key": str(made.key)}
    async with (
        housed(tmp_path, "https://localhost:PORT", tls=tls) as house,
        browser(made.trusting(), headers=HTML) as http,
    ):
        cookies = await enter(house, http, house.origin + PATH + "lab")
        assert set(cookies) == {"__Host-aen-gateway", "__Host-aen-nonce"}
        for cookie in cookies.values():
            assert (cookie["secure"], cookie["httponly"], cookie["path"], cookie["domain"]) == (True, True, "/", "")
        async with http.get(house.origin + PATH + "x", headers={"Accept": "*/*"}) as answer:
            seen = (await answer.json())["headers"]
        assert (seen["X-Forwarded-Proto"], seen["X-AEN-User"]) == ("https", "alice")
        assert "Cookie" not in seen
        async with http.ws_connect(house.origin + PATH + "ws", headers={"Origin": house.origin}) as ws:
            await ws.send_str("hello")
            assert await ws.receive_str(timeout=5) == "alice: hello"
        plain = {"Cookie": f"aen-gateway={house.server.grant('alice', 'L1', house.origin)}", "Accept": "*/*"}
        async with browser(made.trusting()) as other, other.get(house.origin + PATH + "x", headers=plain) as answer:
            assert answer.status == 401, "a name that a page without TLS could have set does not count"


@pytest.mark.parametrize(
    ("url", "asked", "said"), [("https", 3600, "max-age=3600"), ("https", 0, None), ("http", 3600, None)]
)
async def test_hsts_is_said_when_asked_for(url: str, asked: int, said: str | None, tmp_path: Path) -> None:
    made = certificate(tmp_path)
    tls = {"cert": str(made.cert), "key": str(made.key)} if url == "https" else {}
    async with housed(tmp_path, f"{url}://localhost:PORT", tls=tls, hsts_seconds=asked) as house:
        name = "__Host-aen-gateway" if url == "https" else "aen-gateway"
        headers = {"Cookie": f"{name}={house.server.grant('alice', 'L1', house.origin)}", "Accept": "*/*"}
        async with browser(made.trusting() if tls else None) as http:
            for path in (PATH + "x", "/.aen/static/none", "/alice/other/jupyter/"):  # an app, a page, an error
                async with http.get(house.origin + path, headers=headers, allow_redirects=False) as answer:
                    assert answer.headers.getall("Strict-Transport-Security", []) == ([said] if said else [])


async def test_old_tls_and_no_tls_are_not_spoken(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    tls = {"cert": str(made.cert), "key": str(made.key)}
    async with housed(tmp_path, "https://localhost:PORT", tls=tls) as house:
        async with browser() as http:
            with pytest.raises(aiohttp.ClientError):
                await http.get(f"http://localhost:{house.port}{PATH}")
        old = made.trusting()
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        async with browser(old) as http:
            with pytest.raises(aiohttp.ClientError):
                await http.get(house.origin + PATH)


@pytest.mark.parametrize(
    ("url", "host", "to"),
    [
        ("https://apps.example.net", "apps.example.net", "https://apps.example.net"),
        ("https://apps.example.net:8443", "evil.example", "https://apps.example.net:8443"),
        (
            "https://{project}.apps.example.net",
            "alice--genome.apps.example.net",
            "https://alice--genome.apps.example.net",
        ),
        (
            "https://{project}.apps.example.net",
            "Alice--Genome.apps.example.net:80",
            "https://alice--genome.apps.example.net",
        ),
        ("https://{project}.apps.example.net", "evil.example", "https://apps.example.net"),
        ("https://{project}.apps.example.net", "a.b.apps.example.net", "https://apps.example.net"),
    ],
)
async def test_plain_http_is_led_to_the_same_address_over_tls(url: str, host: str, to: str, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with housed(tmp_path) as house:
        await house.gateway.stop()
        house.url, house.listeners = url, {"gateway.redirect": socket.create_server(("127.0.0.1", port))}
        await house.start()
        ask: dict[str, Any] = {"headers": {"Host": host}, **STAY}
        async with browser() as http, http.get(f"http://127.0.0.1:{port}/alice/genome/x?a=%2f", **ask) as answer:
            assert (answer.status, answer.headers["Location"]) == (308, f"{to}/alice/genome/x?a=/")


async def test_a_renewed_certificate_is_taken_up_and_nobody_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "LOOK_SECONDS", 0.05)
    made = certificate(tmp_path)
    tls = {"cert": str(made.cert), "key": str(made.key)}
    async with housed(tmp_path, "https://localhost:PORT", tls=tls) as house:
        before = made.trusting()
        headers = {"Cookie": f"__Host-aen-gateway={house.server.grant('alice', 'L1', house.origin)}"}
        origin, address = {"Origin": house.origin}, house.origin + PATH + "ws"
        async with browser(before, headers=headers) as http, http.ws_connect(address, headers=origin) as ws:
            made.key.write_text("half a renewal")
            certificate(tmp_path)

            async def renewed() -> bool:
                return await _accepted(house, made.trusting())

            await until(renewed, 5, "new connections get the new certificate")
            assert not await _accepted(house, before)
            await ws.send_str("still here")
            assert await ws.receive_str(timeout=5) == "alice: still here"


async def _accepted(house: House, trust: ssl.SSLContext) -> bool:
    async with browser(trust) as http:
        try:
            async with http.get(house.origin + PATH):
                return True
        except aiohttp.ClientConnectorCertificateError:
            return False


def test_a_certificate_that_is_no_use_changes_nothing(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    kept = Certificate("gateway.tls", made.cert, made.key)
    context, key = kept.context, made.key.read_bytes()
    for broken in ("", "rubbish", key.decode().replace("PRIVATE", "PUBLIC")):
        made.key.write_text(broken)
        kept.look()
        assert kept.context is context
        with pytest.raises(Invalid, match=r"gateway\.tls"):
            Certificate("gateway.tls", made.cert, made.key)
    made.key.unlink()
    kept.look()
    made.key.write_bytes(key)
    kept.look()


# ── another name of the same host ───────────────────────────────────────────────────────────────────


async def test_a_browser_that_came_by_another_name_is_led_to_the_one_where_logins_work(tmp_path: Path) -> None:
    async with housed(tmp_path, "http://localhost:PORT") as house, browser(headers=HTML) as http:
        other = f"http://127.0.0.1:{house.port}{PATH}lab?a=%2F"
        async with http.get(other, **STAY) as answer:
            assert answer.status == 303
            there = answer.headers["Location"]
        assert there == f"{house.origin}{PATH}lab?a=/&_other_host=1"
        async with http.get(there, **STAY) as answer:
            query = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
            assert query["next"] == f"{PATH}lab?a=/"
        await enter(house, http, there)
        # A proxy that hides the host: led once, not in a circle.
        async with browser(headers={**HTML, "Host": "hidden:1"}) as hidden, hidden.get(there, **STAY) as answer:
            assert urlsplit(answer.headers["Location"]).path == "/gateway/enter"
        async with http.get(other, headers={"Accept": "*/*"}, **STAY) as answer:
            assert answer.status == 401


# ── an origin for each project ──────────────────────────────────────────────────────────────────────


async def test_each_project_has_its_own_origin_and_login(tmp_path: Path) -> None:
    async with housed(tmp_path, APART, api_url="http://localhost:4711") as house, browser(headers=HTML) as http:
        own = PROJECT.replace("PORT", str(house.port))
        cookies = await enter(house, http, own + PATH + "lab")
        assert cookies["aen-gateway"]["domain"] == ""
        async with http.get(own + PATH + "x") as answer:
            seen = (await answer.json())["headers"]
        assert seen["X-Forwarded-Host"] == seen["Host"] == f"alice--genome.localhost:{house.port}"
        house.server.routes.append(house.route(session="s2", project="other", project_id="p2"))
        await house.gateway._following.read_routes()  # type: ignore[union-attr]
        # The grant of one project is nobody's at another's origin.
        sibling = own.replace("alice--genome", "alice--other")
        grant = http.cookie_jar.filter_cookies(URL(own))["aen-gateway"].value
        stolen = {"Cookie": f"aen-gateway={grant}", "Accept": "*/*"}
        async with http.get(f"{sibling}/alice/other/jupyter/x", headers=stolen) as answer:
            assert answer.status == 401
        # A project's page under another project's name is led home, once; nothing else is.
        async with http.get(f"{sibling}{PATH}lab?a=b", **STAY) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, f"{own}{PATH}lab?a=b&_other_host=1")
        for method, address, headers in (
            ("GET", f"{sibling}{PATH}x?_other_host=1", HTML),
            ("POST", f"{sibling}{PATH}x", HTML),
            ("GET", f"{sibling}{PATH}x", {"Accept": "*/*"}),
            ("GET", f"http://evil.example:{house.port}/", HTML),
        ):
            async with http.request(method, address, headers=headers, **STAY) as answer:
                assert answer.status == 421, (method, address)


async def test_the_address_for_scripts_takes_tokens_alone(tmp_path: Path) -> None:
    api = "http://api.localhost:4711"
    async with housed(tmp_path, APART, api_url=api) as house, browser() as http:
        address, host = f"http://127.0.0.1:{house.port}{PATH}x", {"Host": "api.localhost:4711"}
        async with http.get(address, headers={**host, "Authorization": "Bearer secret-token"}) as answer:
            assert answer.status == 200
        grant = house.server.grant("alice", "L1", api)
        async with http.get(address, headers={**host, "Cookie": f"aen-gateway={grant}"}) as answer:
            assert answer.status == 401
        async with http.get(address, headers={**host, **HTML}, **STAY) as answer:
            assert answer.status == 303
            assert urlsplit(answer.headers["Location"]).hostname == "alice--genome.localhost"


async def test_what_an_app_is_told_in_path_mode_is_the_one_address(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        asked = f"GET {BASE}/x HTTP/1.1\r\nHost: somewhere.else\r\n".encode() + GRANT + b"\r\n"
        assert (await here.one(asked)).endswith(b"ok")
        assert b"X-Forwarded-Host: gw.test\r\n" in here.app.got


async def test_from_the_form_to_a_kernel_with_an_origin_for_each_project() -> None:
    (port,) = free_ports(1)
    gateway = {
        "listen": f"127.0.0.1:{port}",
        "url": f"http://{{project}}.localhost:{port}",
        "api_url": f"http://localhost:{port}",
    }
    with World(options={"gateway": gateway}) as world:
        name = world.add("olga")
        async with browser(headers=HTML) as http:
            api = Client(world.server, http, token=world.token(name))
            session = await opened(api, await project_of(api, name, "genome"))
            own = f"http://{name}--genome.localhost:{port}"
            assert session["url"] == f"{own}/{name}/genome/jupyter/"
            await sign_in(http, world.server, name)
            async with http.get(f"{session['url']}lab") as page:
                assert (page.status, page.url.host) == (200, f"{name}--genome.localhost")
            xsrf = next((cookie.value for cookie in http.cookie_jar if cookie.key == "_xsrf"), "")
            kernel = await Kernel.start(http, session["url"], {"Origin": own, "X-XSRFToken": xsrf})
            assert await kernel.run("print(6 * 7)") == "42\n"
        script = {"Authorization": f"Bearer {world.token(name)}"}
        async with browser() as http:
            there = f"{gateway['api_url']}/{name}/genome/jupyter/"
            kernel = await Kernel.start(http, there, script)
            assert await kernel.run("print(6 * 7)") == "42\n"
