"""Second factor: set up, signing in by it, and everything that must not open an account."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aen.logins import totp
from tests.served import PASSWORD, ROOT, Client, Served, served

HTML = {"Accept": "text/html"}


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


def code(secret: str, later: int = 0) -> str:
    return totp.code_at(secret, int(time.time() // totp.STEP) + later)


async def enrol(server: Served, name: str) -> tuple[Client, str, list[str]]:
    """A browser of a person who sets up a second factor; the secret, the recovery codes."""
    client = await server.browser(name)
    page = await client.get("/account/second-factor")
    assert "<svg" in page.text
    found = re.search(r'name="secret" value="([A-Z2-7]{32})"', page.text)
    assert found is not None
    form = {"secret": found[1], "code": code(found[1], -1), "password": PASSWORD, "csrf": client.csrf}
    answer = await client.post("/account/second-factor", data=form)
    shown = re.search(r'id="recovery-codes">([^<]+)<', answer.text)
    assert shown is not None, answer.text
    return client, found[1], shown[1].split()


async def half(server: Served, name: str) -> Client:
    """A browser that gave the right password and is asked for a code."""
    client = await server.nobody(origin=server.url, headers=HTML)
    answer = await client.post("/login", data={"name": name, "password": PASSWORD, "next": "/account"})
    assert (answer.status, answer.headers["Location"]) == (303, "/login/code?next=%2Faccount")
    return client


async def in_(client: Client) -> bool:
    return (await client.get("/api/v1/me")).status == 200


@pytest.mark.parametrize(
    ("at", "expected"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (2000000000, "279037")],
)
def test_the_vectors_of_rfc_6238(at: int, expected: str) -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert totp.code_at(secret, at // 30) == expected
    assert totp.step_of(secret, f" {expected[:3]} {expected[3:]}", now=at + 30) == at // 30
    assert totp.step_of(secret, expected, now=at + 90) == 0
    assert totp.step_of(secret, expected, after=at // 30, now=at) == 0
    assert totp.step_of(secret, "", now=at) == totp.step_of(secret, "12345é", now=at) == 0


async def test_signing_in_with_a_code(server: Served) -> None:
    _, secret, _ = await enrol(server, "ada")
    client = await half(server, "ada")
    assert not await in_(client)
    assert (await client.get("/account")).status != 200
    page = await client.get("/login/code?next=/account")
    assert "One more step" in page.text
    answer = await client.post("/login/code", data={"code": code(secret), "next": "/account"})
    assert (answer.status, answer.headers["Location"]) == (303, "/account")
    assert await in_(client)


async def test_a_code_counts_once_everywhere(server: Served) -> None:
    _, secret, _ = await enrol(server, "ada")
    clients = [await half(server, "ada") for _ in range(4)]
    good = code(secret)
    answers = await asyncio.gather(*(client.post("/login/code", data={"code": good}) for client in clients))
    assert sorted(answer.status for answer in answers) == [303, 403, 403, 403]


async def test_a_recovery_code_counts_once(server: Served) -> None:
    _, _, codes = await enrol(server, "ada")
    assert len(set(codes)) == 10
    client = await half(server, "ada")
    assert (await client.post("/login/code", data={"code": codes[3].upper().replace("-", " ")})).status == 303
    again = await half(server, "ada")
    assert (await again.post("/login/code", data={"code": codes[3]})).status == 403
    assert (await again.post("/login/code", data={"code": codes[4]})).status == 303
    user = await server.domain.accounts.find("ada")
    assert user is not None
    assert user.second_factor is not None
    assert len(user.second_factor.recovery) == 8
    assert not any(one in user.model_dump_json() for one in codes)


async def test_codes_can_not_be_guessed(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    _, secret, _ = await enrol(server, "ada")
    began = time.monotonic()  # the time to wait must not run out while a busy machine gets through this
    monkeypatch.setattr(server.domain.accounts.attempts, "_clock", lambda: began)
    client = await half(server, "ada")
    statuses = [(await client.post("/login/code", data={"code": "000000"})).status for _ in range(6)]
    assert statuses == [403, 403, 403, 403, 401, 401]  # the half login has ended
    client = await half(server, "ada")
    tries = [client.post("/login/code", data={"code": f"{number:06}"}) for number in range(40)]
    answers = await asyncio.gather(*tries)
    assert {answer.status for answer in answers} <= {401, 403, 429}
    last = await half(server, "ada")
    answer = await last.post("/login/code", data={"code": code(secret)})
    assert answer.status == 429  # waiting is asked for, even with the right one
    assert int(answer.headers["Retry-After"]) >= 1
    entries, _ = await server.domain.activity.security(ROOT, 50)
    assert sum(entry.act == "login.code_failed" for entry in entries) >= 5


async def test_a_half_login_opens_nothing(server: Served) -> None:
    await enrol(server, "ada")
    client = await half(server, "ada")
    for path in ("/", "/account", "/account/second-factor", "/account/tokens", "/api/v1/projects", "/api/v1/me"):
        assert (await client.get(path)).status != 200, path
    actor = await server.actor("ada")
    assert all(login.kind != "half" for login in await server.domain.accounts.logins(actor, "ada"))


async def test_locked_meanwhile(server: Served) -> None:
    _, secret, _ = await enrol(server, "ada")
    client = await half(server, "ada")
    await server.domain.accounts.lock(ROOT, "ada")
    assert (await client.post("/login/code", data={"code": code(secret)})).status == 401
    assert not await in_(client)


async def test_the_password_protects_it(server: Served) -> None:
    client, _, _ = await enrol(server, "ada")
    for path in ("remove", "codes"):
        answer = await client.post(f"/account/second-factor/{path}", data={"password": "wrong", "csrf": client.csrf})
        assert answer.status == 403
    form = {"password": PASSWORD, "csrf": client.csrf}
    assert (await client.post("/account/second-factor/codes", data=form)).status == 200
    assert (await client.post("/account/second-factor/remove", data=form)).status == 303
    user = await server.domain.accounts.find("ada")
    assert user is not None
    assert user.second_factor is None


async def test_tokens_work_on_and_may_not_touch_it(server: Served) -> None:
    await enrol(server, "ada")
    script = await server.script("ada")
    assert (await script.get("/api/v1/me")).status == 200
    answer = await script.post("/account/second-factor/remove", data={"password": PASSWORD})
    assert answer.status == 403
    user = await server.domain.accounts.find("ada")
    assert user is not None
    assert user.second_factor is not None


async def test_an_administrator_takes_it_away(server: Served) -> None:
    client, _, _ = await enrol(server, "ada")
    await server.person("boss", admin=True)
    await server.domain.accounts.remove_second_factor(await server.actor("boss"), "ada")
    assert not await in_(client)  # who stole the device is out
    answer = await (await server.nobody(origin=server.url, headers=HTML)).post(
        "/login", data={"name": "ada", "password": PASSWORD}
    )
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize(
    ("rule", "name", "asked"),
    [("everybody", "ada", True), ("administrators", "ada", False), ("administrators", "root1", True)],
)
async def test_who_must(tmp_path: Path, rule: str, name: str, asked: bool) -> None:
    async with served(tmp_path, login={"second_factor": rule}) as server:
        await server.person("ada")
        client = await server.nobody(origin=server.url, headers=HTML)
        answer = await client.post("/login", data={"name": name, "password": PASSWORD})
        assert (answer.headers["Location"] == "/login/code") is asked
        if not asked:
            return
        page = await client.get("/login/code")
        secret = re.findall(r'name="secret" value="([A-Z2-7]{32})"', page.text)[0]
        wrong = await client.post("/login/code", data={"secret": secret, "code": "000000"})
        assert wrong.status == 403
        assert secret in wrong.text  # the app has it already
        done = await client.post("/login/code", data={"secret": secret, "code": code(secret)})
        assert "recovery-codes" in done.text
        assert await in_(client)


async def test_a_half_login_can_not_replace_a_second_factor(server: Served) -> None:
    await enrol(server, "ada")
    client = await half(server, "ada")
    mine = totp.new_secret()
    answer = await client.post("/login/code", data={"secret": mine, "code": code(mine)})
    assert answer.status == 403
    assert not await in_(client)
