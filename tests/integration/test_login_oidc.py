"""Signing in by OpenID Connect at a real provider (oidc-provider): its own forms, its own signatures, groups, signing out."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.ports import free_port
from tests.providers import begin, needs_provider, options, real, sign_in_at
from tests.served import PASSWORD, Client, Served, served

pytestmark = needs_provider
HTML = {"Accept": "text/html"}


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """AEN beside the provider; only members of aen come in, bosses administer."""
    listener, port = socket.create_server(("127.0.0.1", 0)), free_port()
    oidc = options(f"http://127.0.0.1:{port}", groups=["aen"], admin_groups=["bosses"])
    login = {"backends": ["oidc"], "oidc": oidc}
    async with (
        real(listener.getsockname()[1], port),
        served(tmp_path, listeners={"server": listener}, login=login) as running,
    ):
        yield running


async def come(server: Served, person: str, path: str = "/login/oidc") -> tuple[Client, int, str]:
    """Press the button, sign in at the provider, come back."""
    client = await server.nobody(origin=server.url, headers=HTML)
    back = await sign_in_at(client, await begin(client, path), person)
    answer = await client.get(back.removeprefix(server.url))
    return client, answer.status, answer.headers.get("Location", answer.text)


async def test_people_come_in_and_groups_count(server: Served) -> None:
    client, status, there = await come(server, "ada", "/login/oidc?next=/account")
    assert (status, there) == (303, "/account")
    me = (await client.get("/api/v1/me")).json
    assert (me["name"], me["admin"]) == ("ada", False)
    boss, status, _ = await come(server, "grace")
    assert status == 303
    me = (await boss.get("/api/v1/me")).json
    assert (me["name"], me["admin"]) == ("grace-hopper", True)
    stranger, status, page = await come(server, "eve")
    assert (status, "none of the groups" in page) == (403, True)
    assert (await stranger.get("/api/v1/me")).status == 401


async def test_the_login_page_and_the_way_out(server: Served) -> None:
    client = await server.nobody(origin=server.url, headers=HTML)
    page = (await client.get("/login")).text
    assert 'href="/login/oidc"' in page
    assert "Sign in with Example SSO" in page
    assert "<details" in page  # the administrators' password is there, and not in the way
    answer = await client.post("/login", data={"name": "root1", "password": PASSWORD})
    assert answer.status == 303
    client, _, _ = await come(server, "ada")
    csrf = (await client.get("/api/v1/me")).json["csrf"]
    out = await client.post("/logout", data={"csrf": csrf})
    async with client.http.get(out.headers["Location"], allow_redirects=False) as there:
        assert there.status == 200  # the provider asks whether to sign out there, too
        assert "logout" in (await there.text()).lower()


async def test_a_person_who_stops_there(server: Served) -> None:
    client = await server.nobody(origin=server.url, headers=HTML)
    url = await begin(client)
    state = url.partition("state=")[2].partition("&")[0]
    issuer = server.config.server.login.oidc.issuer
    answer = await client.get(f"/login/oidc/callback?error=access_denied&state={state}&iss={issuer}")
    assert answer.status == 403
    assert "did not let you in" in answer.text
