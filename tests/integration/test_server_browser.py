"""Browsers on a real server: the login cookie, where requests come from (CSRF), other hosts, proxies, several tabs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from aen.roles.server.permissions import Actor
from tests.served import PASSWORD, Client, Served, served

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        await running.node()
        yield running


def cookie_of(client: Client) -> str:
    return next(cookie.value for cookie in client.http.cookie_jar if cookie.key == "aen-login")


async def test_the_cookie_says_no_more_than_it_must(server: Served) -> None:
    await server.person("alice")
    client = await server.nobody(origin=server.url)
    answer = await client.post("/login", data={"name": "alice", "password": PASSWORD})
    assert answer.status == 303
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("aen-login=")
    assert {part.strip() for part in cookie.split(";")} >= {"HttpOnly", "Path=/", "SameSite=Lax"}
    assert "Domain" not in cookie
    assert "alice" not in cookie


async def test_under_https_the_cookie_is_bound_to_the_host(tmp_path: Path) -> None:
    async with served(tmp_path, url="https://aen.example.org", listen="127.0.0.1:1") as server:
        await server.person("alice")
        port = server.role.context.listeners["server"].getsockname()[1]
        client = await server.nobody(origin="https://aen.example.org", headers={"Host": "aen.example.org"})
        client.url = f"http://127.0.0.1:{port}"
        cookie = (await client.post("/login", data={"name": "alice", "password": PASSWORD})).headers["Set-Cookie"]
        assert cookie.startswith("__Host-aen-login=")
        assert "Secure" in cookie


async def test_the_cookie_changes_with_every_sign_in(server: Served) -> None:
    client = await server.browser("alice")
    first = cookie_of(client)
    again = await client.post("/login", data={"name": "alice", "password": PASSWORD})
    assert again.status == 303
    assert cookie_of(client) != first
    thief = await server.nobody(headers={"Cookie": f"aen-login={first}"})
    assert (await thief.get("/api/v1/me")).status == 401, "the login of before has ended"


async def test_a_cookie_planted_before_sign_in_is_not_taken_over(server: Served) -> None:
    mallory = await server.browser("mallory")
    planted = cookie_of(mallory)
    await server.person("alice")
    victim = await server.nobody(origin=server.url)
    victim.http.cookie_jar.update_cookies({"aen-login": planted}, response_url=URL(server.url))
    victim.csrf = mallory.csrf
    assert (await victim.post("/login", data={"name": "alice", "password": PASSWORD})).status == 303
    assert (await victim.get("/api/v1/me")).json["name"] == "alice"
    assert (await mallory.get("/api/v1/me")).status == 401


@pytest.mark.parametrize(
    "cookie",
    [
        "aen-login=x",
        "aen-login=" + "A" * 6000,
        "aen-login=junk; aen-login={half}",
        "aen-login={half}",
        "aen-login={tampered}",
        'aen-login="{{}}"',
        "aen-login=\u00e4",
        "; ".join(f"c{number}=x" for number in range(200)),
    ],
)
async def test_cookies_that_are_not_ours(server: Served, cookie: str) -> None:
    good = cookie_of(await server.browser("alice"))
    last = "A" if good[-10] != "A" else "B"
    sent = cookie.replace("{half}", good[: len(good) // 2]).replace("{tampered}", good[:-10] + last + good[-9:])
    client = await server.nobody(headers={"Cookie": sent})
    answer = await client.get("/api/v1/me")
    assert answer.status in (400, 401), answer.text


async def test_a_cookie_that_comes_twice(server: Served) -> None:
    alice, mallory = cookie_of(await server.browser("alice")), cookie_of(await server.browser("mallory"))
    for cookies, status in (
        (("junk", alice), 200),
        ((alice, "junk"), 200),
        ((alice, alice), 200),
        ((alice, mallory), 401),
        ((mallory, alice), 401),
        (("junk", "junk"), 401),
    ):
        client = await server.nobody(headers={"Cookie": "; ".join(f"aen-login={value}" for value in cookies)})
        assert (await client.get("/api/v1/me")).status == status


async def test_a_cookie_of_another_server_is_nobody(server: Served, tmp_path: Path) -> None:
    async with served(tmp_path / "other") as other:
        foreign = cookie_of(await other.browser("alice"))
    await server.person("alice")
    client = await server.nobody(headers={"Cookie": f"aen-login={foreign}"})
    assert (await client.get("/api/v1/me")).status == 401


#: Headers of a forged or honest POST → whether it may pass. `{o}` is the server's origin; `csrf` says whether the token is right.
FORGED = [
    ({"Origin": "{o}"}, True, True),
    ({"Origin": "{o}", "Sec-Fetch-Site": "same-origin"}, True, True),
    ({"Referer": "{o}/projects"}, True, True),
    ({"Origin": "{o}"}, False, False),
    ({}, True, False),
    ({}, False, False),
    ({"Origin": "null"}, True, False),
    ({"Origin": "https://evil.example"}, True, False),
    ({"Origin": "{o}.evil.example"}, True, False),
    ({"Origin": "{o}0"}, True, False),
    ({"Origin": "https://127.0.0.1"}, True, False),
    ({"Origin": "{o}/"}, True, False),
    ({"Origin": "{O}"}, True, None),
    ({"Origin": "http://127.0.0.2:1"}, True, False),
    ({"Origin": "{o}, https://evil.example"}, True, False),
    ({"Referer": "https://evil.example/{o}"}, True, False),
    ({"Referer": "{o}@evil.example/"}, True, False),
    ({"Origin": "https://evil.example", "Referer": "{o}/"}, True, False),
    ({"Origin": "https://evil.example", "Sec-Fetch-Mode": "no-cors"}, True, False),
    ({"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"}, False, False),
    ({"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-site"}, False, False),
    ({"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}, False, False),
    ({"Sec-Fetch-Site": "same-origin"}, False, False),
    ({"X-Requested-With": "XMLHttpRequest"}, True, False),
]


@pytest.mark.parametrize(("headers", "csrf", "passes"), FORGED)
async def test_where_unsafe_requests_come_from(
    server: Served, headers: dict[str, str], csrf: bool, passes: bool | None
) -> None:
    client = await server.browser("alice")
    client.origin = ""
    token, client.csrf = client.csrf, ""
    sent = {key: value.replace("{o}", server.url).replace("{O}", server.url.upper()) for key, value in headers.items()}
    if csrf:
        sent["X-CSRF-Token"] = token
    api = await client.post("/api/v1/projects", {"name": "genome"}, headers=sent)
    form = await client.ask("POST", "/account/theme", headers={**sent, **FORM}, data="theme=dark")
    for status, good in ((api.status, 201), (form.status, 303)):
        assert (status == good) if passes else (status == 403), (api.text, form.text)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_no_unsafe_method_passes_without_the_token(server: Served, method: str) -> None:
    client = await server.browser("alice")
    client.csrf = ""
    for path in ("/api/v1/projects", "/api/v1/users/alice", "/api/v1/nothing"):
        assert (await client.ask(method, path)).status == 403


async def test_a_token_of_another_login_does_not_do(server: Served) -> None:
    alice = await server.browser("alice")
    bob = await server.browser("bob")
    alice.csrf = bob.csrf
    assert (await alice.post("/api/v1/projects", {"name": "genome"})).status == 403


async def test_the_login_form_is_guarded_by_its_origin(server: Served) -> None:
    await server.person("alice")
    for origin in ("", "https://evil.example", "null"):
        client = await server.nobody(origin=origin)
        answer = await client.post("/login", data={"name": "alice", "password": PASSWORD})
        assert answer.status == 403
        assert "Set-Cookie" not in answer.headers


async def test_scripts_with_a_token_need_no_origin(server: Served) -> None:
    alice = await server.script("alice")
    answer = await alice.post("/api/v1/projects", {"name": "genome"}, headers={"Origin": "https://evil.example"})
    assert answer.status == 201


async def test_a_bad_token_beats_a_good_cookie(server: Served) -> None:
    client = await server.browser("alice")
    for given in ("Bearer aen_wrong", "Bearer", "bearer  "):
        assert (await client.get("/api/v1/me", headers={"Authorization": given})).status == 401
    assert (await client.get("/api/v1/me", headers={"Authorization": "Basic eDp5"})).status == 200


async def test_signing_out_in_one_tab_while_others_ask(server: Served) -> None:
    tab = await server.browser("alice")
    cookie = cookie_of(tab)
    other = await server.nobody(headers={"Cookie": f"aen-login={cookie}", "Accept": "text/html"})
    asked = [asyncio.create_task(other.get("/api/v1/me")) for _ in range(30)]
    out = await tab.post("/logout")
    assert out.status == 303
    for answer in await asyncio.gather(*asked):
        assert "Set-Cookie" not in answer.headers
    assert (await other.get("/api/v1/me")).status == 401
    assert not [c for c in tab.http.cookie_jar if c.key == "aen-login" and c.value]


async def test_pages_lead_to_the_login_and_back(server: Served) -> None:
    client = await server.nobody(origin=server.url, headers={"Accept": "text/html"})
    answer = await client.get("/account/tokens?x=1")
    assert answer.status == 303
    assert answer.headers["Location"].startswith("/login?next=")
    await server.person("alice")
    back = await client.post("/login", data={"name": "alice", "password": PASSWORD, "next": "/account/tokens?x=1"})
    assert back.headers["Location"] == "/account/tokens?x=1"


async def test_another_host_leads_to_ours_once(server: Served) -> None:
    client = await server.nobody(headers={"Host": "aen.local", "Accept": "text/html"})
    first = await client.get("/login?next=/a")
    assert first.status == 303
    there = first.headers["Location"]
    assert there.startswith(server.url + "/login?next=")
    again = await client.get(there.removeprefix(server.url))
    assert again.status == 200, "no second time: it would never end"
    assert (await client.get("//evil.example/x")).headers["Location"].startswith(server.url)
    token = await server.script("alice")
    assert (await token.get("/api/v1/me", headers={"Host": "aen.local"})).status == 200


async def test_forwarded_addresses_count_from_trusted_proxies_only(tmp_path: Path) -> None:
    spoofed = {"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}
    async with served(tmp_path / "a", trusted_proxies=["127.0.0.0/8"]) as server:
        assert await _address_seen(server, spoofed) == "203.0.113.7"
    async with served(tmp_path / "b", trusted_proxies=["10.0.0.0/8"]) as server:
        assert await _address_seen(server, spoofed) == "127.0.0.1"


async def _address_seen(server: Served, headers: dict[str, str]) -> str:
    client = await server.nobody(origin=server.url, headers=headers)
    await client.post("/login", data={"name": "nobody-here", "password": "wrong password"})
    entries, _ = await server.domain.activity.security(Actor(local=True))
    return next(entry.address for entry in entries if entry.act == "login.failed")
