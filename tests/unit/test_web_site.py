"""The site under every page: errors in two forms, ids, headers, static files."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from aen.errors import KINDS, AenError, NotFound, NotSignedIn, TooMany
from aen.web.security import is_loopback
from aen.web.site import SITE, site

Client = TestClient[web.Request, web.Application]
HTML = {"Accept": "text/html"}
HOSTILE = "'\"><script>alert(1)</script><img src=x onerror=alert(1)>"


def _raising(error: Exception) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise error

    return handler


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = site()
    for code, kind in KINDS.items():
        app.router.add_get(f"/raise/{code}", _raising(kind(f"It is {code}. {HOSTILE}")))
        app.router.add_get(f"/api/raise/{code}", _raising(kind(f"It is {code}.")))
    app.router.add_get("/wait", _raising(TooMany("Slower.", retry_after=7.4)))
    app.router.add_get("/fault", _raising(RuntimeError("password=hunter2")))
    app.router.add_get("/bug", _raising(web.HTTPUnsupportedMediaType()))
    async with TestClient(TestServer(app)) as made:
        yield made


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)
async def test_an_error_is_a_page_with_its_id_and_escaped(client: Client, kind: type[AenError]) -> None:
    answer = await client.get(f"/raise/{kind.code}", headers=HTML)
    text = await answer.text()
    assert answer.status == kind.status
    assert answer.content_type == "text/html"
    assert f"It is {kind.code}." in text
    assert "Error id" in text
    assert "<script>alert" not in text
    assert "onerror=alert(1)>" not in text


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.code)
@pytest.mark.parametrize("asked", ["path", "accept"])
async def test_an_error_is_json_for_scripts(client: Client, kind: type[AenError], asked: str) -> None:
    if asked == "path":
        answer = await client.get(f"/api/raise/{kind.code}", headers=HTML)
    else:
        answer = await client.get(f"/raise/{kind.code}", headers={"Accept": "application/json"})
    error = (await answer.json())["error"]
    assert answer.status == kind.status
    assert set(error) == {"code", "message", "id"}
    assert error["code"] == kind.code
    assert error["id"]


async def test_a_fault_says_nothing_of_itself_but_its_id_stands_in_the_log(client: Client) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = await client.get("/fault", headers={"Accept": "application/json"})
        body = await answer.text()
    assert answer.status == 500
    assert "hunter2" not in body
    id = json.loads(body)["error"]["id"]
    assert [entry for entry in logs if entry.get("error_id") == id]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("POST", "/wait", 405, "invalid"),
        ("GET", "/bug", 415, "invalid"),
        ("GET", "/static/nothing.css", 404, "not_found"),
        ("GET", "/static/../pyproject.toml", 404, "not_found"),
        ("GET", "/static/%2e%2e/pyproject.toml", 404, "not_found"),
    ],
)
async def test_what_aiohttp_says_takes_our_form(client: Client, method: str, path: str, status: int, code: str) -> None:
    answer = await client.request(method, path, headers={"Accept": "application/json"})
    assert answer.status == status
    assert (await answer.json())["error"]["code"] == code
    page = await client.request(method, path, headers=HTML)
    assert page.status == status
    assert "Error id" in await page.text()


async def test_retry_after_is_said(client: Client) -> None:
    assert (await client.get("/wait")).headers["Retry-After"] == "7"


async def test_every_answer_has_an_id_and_the_security_headers(client: Client) -> None:
    ids = set()
    for path in ("/nothing", "/fault", "/static/aen.css", "/api/raise/denied"):
        answer = await client.get(path)
        ids.add(answer.headers["X-Request-Id"])
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "Strict-Transport-Security" not in answer.headers
    assert len(ids) == 4


async def test_secure_sites_say_so() -> None:
    async with TestClient(TestServer(site(secure=True))) as client:
        assert "Strict-Transport-Security" in (await client.get("/nothing")).headers


@pytest.mark.parametrize(
    ("host", "secure", "counts"),
    [
        ("aen.example.org", True, True),
        ("aen.example.org", False, False),
        ("192.168.1.7:8080", False, False),
        ("127.0.0.1:8080", False, True),
        ("[::1]:8080", False, True),
        ("localhost", False, True),
        ("aen.localhost:8080", False, True),
        ("127.0.0.1.example.org", False, False),
        ("", False, False),
    ],
)
async def test_windows_are_kept_apart_where_a_browser_heeds_it(host: str, secure: bool, counts: bool) -> None:
    """Over plain HTTP from elsewhere a browser ignores the header, and complains of it on every page."""
    async with TestClient(TestServer(site(secure=secure))) as client:
        headers = (await client.get("/nothing", headers={"Host": host})).headers
        assert headers.get("Cross-Origin-Opener-Policy") == ("same-origin" if counts else None)


async def test_forms_may_lead_to_gateways() -> None:
    app = site()
    app[SITE].form_origins = lambda: ["https://gateway.example"]
    async with TestClient(TestServer(app)) as client:
        policy = (await client.get("/nothing")).headers["Content-Security-Policy"]
        assert "form-action 'self' https://gateway.example" in policy


async def test_a_page_without_a_login_leads_to_the_login_page() -> None:
    app = site()
    app[SITE].sign_in = "/login"
    app.router.add_get("/mine", _raising(NotSignedIn("Sign in first.")))
    async with TestClient(TestServer(app)) as client:
        page = await client.get("/mine?a=1", headers=HTML, allow_redirects=False)
        assert (page.status, page.headers["Location"]) == (303, "/login?next=/mine%3Fa%3D1")
        script = await client.get("/mine", headers={"Accept": "application/json"}, allow_redirects=False)
        assert script.status == 401


async def test_static_files_have_hashed_addresses_and_are_kept_for_ever(client: Client) -> None:
    assets = client.server.app[SITE].assets  # type: ignore[attr-defined]
    address = assets.url("aen.css")
    answer = await client.get(address)
    assert answer.status == 200
    assert answer.content_type == "text/css"
    assert "immutable" in answer.headers["Cache-Control"]
    same = await client.get(address, headers={"If-None-Match": answer.headers["ETag"]})
    assert same.status == 304
    old = await client.get("/static/0123456789abcdef/aen.css")
    assert old.status == 200
    assert old.headers["Cache-Control"] == "no-cache"


async def test_static_files_are_packed_for_who_takes_it(client: Client) -> None:
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        url = client.make_url("/static/aen.css")
        packed = await http.get(url, headers={"Accept-Encoding": "gzip"})
        plain = await http.get(url, headers={"Accept-Encoding": "identity"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await packed.read()) == await plain.read()
        assert "Content-Encoding" not in plain.headers


def test_an_unknown_static_file_in_a_template_is_an_error() -> None:
    with pytest.raises(KeyError):
        site()[SITE].assets.url("nothing.css")


async def test_the_error_page_has_no_inline_script_or_style(client: Client) -> None:
    text = await (await client.get("/nothing", headers=HTML)).text()
    assert "<style" not in text
    assert " style=" not in text
    assert "<script>" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert isinstance(NotFound("x"), AenError)


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("a.localhost:8443", True),
        ("127.0.0.1:80", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("[::1]:8000", True),
        ("::2", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org:80", False),
        ("aen.example.org", False),
        ("", False),
    ],
)
def test_what_is_this_very_machine(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours
