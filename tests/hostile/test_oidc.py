"""OpenID Connect against a provider that lies, browsers that were tricked, and answers that come twice."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio

from aen.roles.server.account.accounts import NewUser
from tests.providers import Liar, begin, liar, options
from tests.served import PASSWORD, ROOT, Client, Served, served

HTML = {"Accept": "text/html"}


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Liar]:
    async with liar() as running:
        yield running


@pytest_asyncio.fixture
async def server(provider: Liar, tmp_path: Path) -> AsyncIterator[Served]:
    login = {"backends": ["local", "oidc"], "attempts": 1000, "oidc": options(provider.issuer)}
    async with served(tmp_path, login=login) as running:
        yield running


async def name_of(client: Client) -> str:
    answer = await client.get("/api/v1/me")
    return str(answer.json["name"]) if answer.status == 200 else ""


async def browser(server: Served) -> Client:
    return await server.nobody(origin=server.url, headers=HTML)


async def test_all_is_right(server: Served, provider: Liar) -> None:
    client = await browser(server)
    url = await begin(client, "/login/oidc?next=/projects/new%3Fa%3Db")
    asked = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{server.url}/login/oidc/callback"
    answer = await client.get(provider.back(url))
    assert (answer.status, answer.headers["Location"]) == (303, "/projects/new?a=b")
    assert await name_of(client) == "ada"
    assert len(provider.verifiers[0]["code_verifier"]) >= 43
    user = await server.domain.accounts.find("ada")
    assert user is not None
    assert (user.full_name, user.email, user.password) == ("Ada Lovelace", "ada@example.org", "")


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("alg none", {"algorithm": "none"}),
    ("our secret as the key", {"algorithm": "HS256"}),
    ("a key nobody names", {"kid": "two"}),
    ("another nonce", {"claims": {"nonce": "x"}}),
    ("no nonce", {"claims": {"nonce": None}}),
    ("another audience", {"claims": {"aud": "other"}}),
    ("several audiences, no azp", {"claims": {"aud": ["aen", "other"]}}),
    ("made for another", {"claims": {"azp": "other"}}),
    ("another issuer", {"claims": {"iss": "https://other.example"}}),
    ("no subject", {"claims": {"sub": None}}),
    ("expired", {"claims": {"exp": int(time.time()) - 3600}}),
    ("no end", {"claims": {"exp": None}}),
    ("not yet", {"claims": {"nbf": int(time.time()) + 3600}}),
    ("two people", {"userinfo": {"sub": "2"}}),
    ("no name", {"claims": {"preferred_username": None}}),
    ("a name that is none", {"claims": {"preferred_username": "../root"}}),
    ("a name of the system", {"claims": {"preferred_username": "root"}}),
    ("mix-up", {"answer": {"iss": "https://other.example"}}),
    ("no issuer in the answer", {"answer": {"iss": ""}}),
    ("no state", {"answer": {"state": ""}}),
    ("another state", {"answer": {"state": "x" * 43}}),
    ("two states", {"answer": {"state": "x&state=y"}}),
    ("no code", {"answer": {"code": ""}}),
    ("another code", {"answer": {"code": "stolen"}}),
    ("an error", {"answer": {"error": "access_denied", "error_description": "<script>alert(1)</script>"}}),
    ("an error that reflects", {"answer": {"state": "'><img>"}}),
]


@pytest.mark.parametrize(("what", "bent"), WRONG, ids=[what for what, _ in WRONG])
async def test_what_is_not_right_signs_nobody_in(
    server: Served, provider: Liar, what: str, bent: dict[str, Any]
) -> None:
    for name, value in bent.items():
        setattr(provider, name, value)
    client = await browser(server)
    answer = await client.get(provider.back(await begin(client)))
    assert answer.status == 403, answer.text
    assert "<script>alert" not in answer.text
    assert "<img>" not in answer.text
    assert await name_of(client) == ""
    assert await server.domain.accounts.find("ada") is None
    entries, _ = await server.domain.activity.security(ROOT, 5)
    assert entries[0].act in ("login.failed", "login.refused")


@pytest.mark.parametrize(
    "description",
    [
        {"issuer": "https://other.example"},
        {"token_endpoint": "http://192.0.2.1/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": "file:///etc/passwd"},
    ],
)
async def test_a_description_that_cannot_be_trusted(
    server: Served, provider: Liar, description: dict[str, str]
) -> None:
    provider.description = description
    client = await browser(server)
    assert (await client.get("/login/oidc")).status == 503


async def test_an_answer_counts_once(server: Served, provider: Liar) -> None:
    client = await browser(server)
    url = await begin(client)
    jar = {cookie.key: cookie.value for cookie in client.http.cookie_jar}
    path = provider.back(url)
    assert (await client.get(path)).status == 303
    provider.nonces[parse_qs(urlsplit(path).query)["code"][0]] = "again"
    assert (await client.get(path)).status == 403
    stolen = await server.nobody(
        origin=server.url, headers={**HTML, "Cookie": "; ".join(f"{k}={v}" for k, v in jar.items())}
    )
    assert (await stolen.get(path)).status == 403


async def test_an_answer_counts_in_the_browser_that_began(server: Served, provider: Liar) -> None:
    begun, other = await browser(server), await browser(server)
    path = provider.back(await begin(begun))
    assert (await other.get(path)).status == 403  # login CSRF: somebody sends their own answer to another person
    await begin(other)
    assert (await other.get(path)).status == 403  # also when that one began a sign-in of its own
    assert await name_of(other) == ""


async def test_keys_are_exchanged(server: Served, provider: Liar, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await browser(server)
    assert (await client.get(provider.back(await begin(client)))).status == 303
    asked = provider.asked_for_keys
    provider.kid, provider.published = "two", ["one", "two"]
    other = await browser(server)
    assert (
        await other.get(provider.back(await begin(other)))
    ).status == 403  # asked a moment ago: not again for a stranger
    assert provider.asked_for_keys == asked
    monkeypatch.setattr("aen.logins.oidc_provider._AGAIN", 0.0)
    assert (await other.get(provider.back(await begin(other)))).status == 303


async def test_no_account_of_another_kind_is_taken_over(server: Served, provider: Liar) -> None:
    for name in ("root1", "local-person"):
        if name != "root1":
            await server.domain.accounts.create(ROOT, NewUser(name=name, password=PASSWORD))
        provider.claims = {"preferred_username": name, "sub": name}
        provider.userinfo = {"sub": name}
        client = await browser(server)
        answer = await client.get(provider.back(await begin(client)))
        assert (answer.status, await name_of(client)) == (403, "")
        assert "signs in another way" in answer.text


async def test_another_subject_of_the_same_name_gets_nothing(server: Served, provider: Liar) -> None:
    client = await browser(server)
    assert (await client.get(provider.back(await begin(client)))).status == 303
    provider.claims, provider.userinfo = {"sub": "2"}, {"sub": "2"}
    other = await browser(server)
    answer = await other.get(provider.back(await begin(other)))
    assert (answer.status, "another person of that name" in answer.text) == (403, True)


async def test_an_email_address_that_somebody_has_opens_nothing(server: Served, provider: Liar) -> None:
    await server.domain.accounts.create(ROOT, NewUser(name="owner", password=PASSWORD, email="ada@example.org"))
    client = await browser(server)
    assert (await client.get(provider.back(await begin(client)))).status == 303
    assert await name_of(client) == "ada"
    user = await server.domain.accounts.find("ada")
    assert user is not None
    assert user.email == ""


@pytest.mark.parametrize(
    "there", ["https://evil.example", "//evil.example", "/\\evil", "/%5cevil", "/logout", "/" + "x" * 3000]
)
async def test_no_open_redirect(server: Served, provider: Liar, there: str) -> None:
    client = await browser(server)
    answer = await client.get("/login/oidc", params={"next": there})
    back = await client.get(provider.back(str(answer.headers["Location"])))
    assert (back.status, back.headers["Location"]) == (303, "/")


async def test_no_session_fixation(server: Served, provider: Liar) -> None:
    client = await browser(server)
    url = await begin(client)
    planted = {cookie.key: cookie.value for cookie in client.http.cookie_jar}
    assert (await client.get(provider.back(url))).status == 303
    attacker = await server.nobody(headers={"Cookie": "; ".join(f"{k}={v}" for k, v in planted.items())})
    assert await name_of(attacker) == ""


async def test_signing_out_signs_out_there_too(server: Served, provider: Liar) -> None:
    client = await browser(server)
    await client.get(provider.back(await begin(client)))
    client.csrf = (await client.get("/api/v1/me")).json["csrf"]
    page = await client.get("/account")
    assert provider.issuer in page.headers["Content-Security-Policy"].partition("form-action")[2]
    answer = await client.post("/logout", data={"csrf": client.csrf})
    assert answer.headers["Location"].startswith(f"{provider.issuer}/end?client_id=aen&post_logout_redirect_uri=")
    assert await name_of(client) == ""
    provider.description = {"end_session_endpoint": "https://evil.example/end"}


async def test_a_provider_that_is_gone(server: Served, provider: Liar) -> None:
    provider.description = {"issuer": "somebody else"}
    client = await browser(server)
    assert (await client.get("/login/oidc")).status == 503
    assert (await client.get("/login/nothing")).status == 404
    answer = await client.post("/login", data={"name": "root1", "password": PASSWORD})
    assert answer.status == 303  # the local administrator is not held up by it
