"""Behind a real nginx, with the sample configurations: sign-in, pages, WebSockets through two proxies, whose address counts."""

from __future__ import annotations

import re
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from aen.roles.server.subpath import ATTRIBUTES
from tests.hostile.stand import request, stand
from tests.integration.test_main_job import opened, project_of
from tests.kernels import Kernel
from tests.nginx import SAMPLES, Certificate, browser, certificate, nginx, program
from tests.ports import free_ports
from tests.served import PASSWORD, Client, Served, served
from tests.served import ROOT as ADMINISTRATOR
from tests.waiting import until
from tests.world import ROOT, World

needs_nginx = pytest.mark.skipif(program() is None, reason="nginx is not installed")
HTML = {"Accept": "text/html"}


@dataclass
class Front:
    """A world behind nginx."""

    world: World
    folder: Path
    plain: int  # nginx's port for plain HTTP

    def browser(self, local: str = "") -> aiohttp.ClientSession:
        """Somebody's browser."""
        return browser(Certificate.within(self.folder).trusting(), local, headers=HTML)

    def access_log(self) -> str:
        """The gateway's."""
        return (Path(self.world.config["data_dir"]) / "gateway" / "access.log").read_text()


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with tempfile.TemporaryDirectory(prefix="aenn-", dir="/tmp") as made:
        folder = Path(made)
        folder.chmod(0o755)
        certificate(folder)
        tls, gateway = free_ports(2)
        options: dict[str, Any] = {
            "server": {"listen": f"unix:{folder}/server.sock", "url": f"https://aen.example.org:{tls}"},
            "gateway": {
                "listen": f"127.0.0.1:{gateway}",
                "url": f"https://apps.example.net:{tls}",
                "trusted_proxies": ["127.0.0.1"],
            },
        }
        changes = {"unix:/run/aen/server.sock": options["server"]["listen"], "127.0.0.1:8089": f"127.0.0.1:{gateway}"}
        with World(options=options) as world, nginx("aen.conf", folder, tls, changes) as plain:
            yield Front(world, folder, plain)


async def sign_in(http: aiohttp.ClientSession, server: str, name: str) -> None:
    """By the form."""
    form = {"name": name, "password": PASSWORD}
    async with http.post(f"{server}/login", data=form, headers={"Origin": server}, allow_redirects=False) as answer:
        assert answer.status == 303, await answer.text()


@needs_nginx
async def test_from_the_form_to_a_kernel_through_both_proxies(front: Front) -> None:
    world = front.world
    name = world.add("nina")
    async with front.browser("127.0.0.3") as http:
        api = Client(world.server, http, token=world.token(name))
        session = await opened(api, await project_of(api, name, "remote"))
        assert session["url"].startswith(world.gateway)
        await sign_in(http, world.server, name)
        async with http.get(f"{session['url']}lab?reset") as page:  # to the server, to the gateway, and back
            assert (page.status, urlsplit(str(page.url)).path) == (200, urlsplit(session["url"]).path + "lab")
        names = {cookie.key for cookie in http.cookie_jar}
        assert {"__Host-aen-login", "__Host-aen-gateway"} <= names
        headers = {"Origin": world.gateway}
        async with http.get(f"{session['url']}api/status", headers=headers):
            pass
        xsrf = next((cookie.value for cookie in http.cookie_jar if cookie.key == "_xsrf"), "")
        kernel = await Kernel.start(http, session["url"], {**headers, "X-XSRFToken": xsrf})
        assert await kernel.run("print(6 * 7)") == "42\n"
        async with http.get(
            f"{session['url']}api/kernels/{kernel.id}/channels", headers=_upgrade("https://evil")
        ) as no:
            assert no.status == 403

    async def noted() -> bool:
        return bool(re.search(f'^127.0.0.3 - {name} .* "GET /{name}/remote/jupyter/lab ', front.access_log(), re.M))

    await until(noted, 5, "the access log says who asked, not which proxy")


def _upgrade(origin: str) -> dict[str, str]:
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
    return {"Origin": origin, "Connection": "Upgrade", "Upgrade": "websocket", **key}


@needs_nginx
async def test_an_address_that_somebody_claims_for_themselves_counts_nowhere(front: Front) -> None:
    """Not through nginx, which sets the header, and not past it, since only nginx's address is trusted."""
    world = front.world
    claims = {"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6", "Forwarded": "for=6.6.6.6"}
    port = world.config["gateway"]["listen"].rpartition(":")[2]
    async with front.browser("127.0.0.5") as http:
        async with http.get(f"{world.gateway}/ann/x/through", headers=claims, allow_redirects=False):
            pass
        async with http.get(f"http://apps.example.net:{port}/ann/x/past", headers=claims, allow_redirects=False):
            pass
        async with http.get(f"{world.server}/login?x=seen", headers=claims):
            pass

    async def noted() -> bool:
        text = front.access_log()
        return all(re.search(f'^127.0.0.5 - - .* "GET /ann/x/{way} ', text, re.M) for way in ("through", "past"))

    await until(noted, 5, "both are noted with the address they came from")
    assert "6.6.6.6" not in front.access_log()
    assert "6.6.6.6" not in world.log.read_text()
    assert "127.0.0.5" in world.log.read_text()


@needs_nginx
async def test_plain_http_is_led_to_https(front: Front) -> None:
    ask: dict[str, Any] = {"headers": {"Host": "aen.example.org"}, "allow_redirects": False}
    async with browser() as http, http.get(f"http://127.0.0.1:{front.plain}/a?b=c", **ask) as answer:
        assert (answer.status, answer.headers["Location"]) == (308, "https://aen.example.org/a?b=c")


async def test_a_proxy_asks_for_many_on_one_connection(tmp_path: Path) -> None:
    """Whoever claims nothing is not taken for whoever came before on the same connection."""
    claim = b"X-Forwarded-For: 10.1.1.%d\r\n"
    for believed, seen in (("127.0.0.1", [b"10.1.1.1", b"127.0.0.1", b"10.1.1.2"]), ("127.0.0.9", [b"127.0.0.1"] * 3)):
        async with stand(tmp_path, trusted=[believed]) as here:
            reader, writer = await here.connect()
            for lines in (claim % 1, b"", claim % 2):
                writer.write(request(lines=lines))
                await reader.readuntil(b"ok")
            writer.close()
            told = re.findall(rb"X-Forwarded-For: ([^\r]*)\r\n", here.app.got)
            assert told == seen


# ── below a path of another site ────────────────────────────────────────────────────────────────────


@pytest.fixture
async def below(tmp_path: Path) -> AsyncIterator[Served]:
    tls, server = free_ports(2)
    certificate(tmp_path)
    changes = {"unix:/run/aen/server.sock": f"127.0.0.1:{server}"}
    bound = socket.create_server(("127.0.0.1", server))
    url = f"https://www.example.org:{tls}/aen"
    with nginx("aen-subpath.conf", tmp_path, tls, changes):
        async with served(tmp_path, listeners={"server": bound}, url=url, trusted_proxies=["127.0.0.1"]) as made:
            await made.node()
            yield made


_LINKS = re.compile(rf'\s({"|".join(ATTRIBUTES)})="([^"]*)"')


@needs_nginx
async def test_a_server_below_a_path(below: Served, tmp_path: Path) -> None:
    """Every address on every page that can be reached by a link leads below the path, and to something."""
    origin = below.url.removesuffix("/aen")
    await below.person("nina", admin=True)
    async with browser(Certificate.within(tmp_path).trusting(), headers=HTML) as http:
        async with http.get(origin + "/aen", allow_redirects=False) as answer:
            assert (answer.status, urlsplit(answer.headers["Location"]).path) == (308, "/aen/")
        async with http.get(below.url + "/account?tab=x") as page:
            assert urlsplit(str(page.url)).path == "/aen/login"
            assert 'action="/aen/login"' in await page.text()
        form = {"name": "nina", "password": PASSWORD, "next": "/account"}
        ask: dict[str, Any] = {"data": form, "headers": {"Origin": origin}, "allow_redirects": False}
        async with http.post(below.url + "/login", **ask) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/aen/account")
        api = Client(below.url, http, token=(await below.domain.accounts.new_token(ADMINISTRATOR, "nina"))[1])
        assert (await api.post("/api/v1/projects", {"name": "genome"})).status == 201
        seen, waiting = set(), ["/aen/"]
        while waiting:
            address = waiting.pop()
            if address in seen:
                continue
            seen.add(address)
            async with http.get(origin + address) as page:
                # What was never started has no files to export: that is said, at the right address.
                assert page.status == (409 if address.endswith("/export") else 200), address
                text = await page.text() if page.content_type == "text/html" else ""
            for attribute, there in _LINKS.findall(text):
                if there.startswith("/"):
                    assert there.startswith("/aen/"), f"{address}: {attribute}={there}"
                    if attribute in ("href", "src") and "?" not in there:
                        waiting.append(there.partition("#")[0])
        assert {"/aen/nina/genome", "/aen/account", "/aen/admin/users"} <= seen
        assert len(seen) > 15


def test_no_template_has_an_address_in_another_attribute() -> None:
    """What the server's sub-path is put before is a list: here is why it is whole."""
    found = set()
    for path in (ROOT / "templates").rglob("*.html"):
        found |= set(
            re.findall(r'\s([a-z-]+)="(?:/(?!/)|\{\{[^}]*(?:url|address|href|path)[^}]*\}\})', path.read_text())
        )
    only_texts = {"content", "value", "data-next", "data-copy", "aria-current", "data-confirm", "placeholder"}
    assert found - only_texts <= set(ATTRIBUTES)
    for path in (ROOT / "static").glob("*.js"):
        assert not re.findall(r"""["'`]/[a-z{]""", path.read_text()), f"{path} builds an address without the sub-path"


def test_samples_are_all_tested() -> None:
    assert {path.name for path in SAMPLES.iterdir()} == {"aen.conf", "aen-subpath.conf"}
