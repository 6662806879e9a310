"""Scopes of API tokens over HTTP: single things, collections, administrators, and tokens that make tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aen.roles.server.project.projects import NewProject
from tests.served import Client, Served, served


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    """ada has genome and other, bob has his; boss administers."""
    async with served(tmp_path) as running:
        await running.node()
        for owner, name in ("ada", "genome"), ("ada", "other"), ("bob", "his"):
            await running.person(owner)
            await running.domain.projects.create(await running.actor(owner), NewProject(name=name))
        await running.person("boss", admin=True)
        yield running


async def status(client: Client, method: str, path: str, body: object = None) -> int:
    return (await client.ask(method, f"/api/v1{path}", body)).status


GENOME, OTHER, HIS = "/projects/ada/genome", "/projects/ada/other", "/projects/bob/his"
PATCH = {"summary": "new"}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        #  what                     GET genome, other, list, me, users; PATCH genome, other; POST project
        (["projects:read"], [200, 200, 200, 403, 403, 403, 403, 403]),
        (["projects:read!project=ada/genome"], [200, 403, 403, 403, 403, 403, 403, 403]),
        (["projects:write!project=ada/genome"], [200, 403, 403, 403, 403, 200, 403, 403]),
        (["projects:write"], [200, 200, 200, 403, 403, 200, 200, 403]),
        (["projects:create"], [403, 403, 403, 403, 403, 403, 403, 201]),
        (["account:read"], [403, 403, 403, 200, 403, 403, 403, 403]),
        (["sessions:write!project=ada/genome"], [200, 403, 403, 403, 403, 403, 403, 403]),
        (["admin"], [403, 403, 403, 403, 403, 403, 403, 403]),
        (["read"], [200, 200, 200, 200, 403, 403, 403, 403]),
        (["read", "write"], [200, 200, 200, 200, 403, 200, 200, 201]),
    ],
)
async def test_what_a_narrow_token_may(server: Served, scope: list[str], expected: list[int]) -> None:
    script = await server.script("ada", scope=tuple(scope))
    found = [await status(script, "GET", path) for path in (GENOME, OTHER, "/projects", "/me", "/users")]
    found += [await status(script, "PATCH", path, PATCH) for path in (GENOME, OTHER)]
    found.append(await status(script, "POST", "/projects", {"name": "third"}))
    assert found == expected


async def test_a_narrowed_administrator_stays_narrowed(server: Served) -> None:
    wide, narrow = await server.script("boss"), await server.script("boss", scope=("read", "run", "write"))
    assert await status(wide, "GET", HIS) == 200
    assert await status(narrow, "GET", HIS) == 404  # nobody's project of theirs: as for anybody else
    listed = (await narrow.get("/api/v1/projects?scope=all")).json["items"]
    assert listed == []
    assert len((await wide.get("/api/v1/projects?scope=all")).json["items"]) == 3
    for method, path, body in (
        ("GET", "/users", None),
        ("POST", "/users", {"name": "made"}),
        ("GET", "/users/ada", None),
        ("PATCH", "/users/ada", {"admin": True}),
        ("PUT", "/users/ada/password", {"new": "another good one"}),
        ("POST", "/users/ada/tokens", {}),
        ("DELETE", "/users/ada", None),
        ("GET", "/security", None),
        ("POST", "/invitations", {"admin": True}),
        ("PUT", "/settings/registration", {"open": True}),
    ):
        assert await status(narrow, method, path, body) in (403, 404), path
    assert await server.domain.accounts.find("made") is None


async def test_a_token_makes_no_wider_token(server: Served) -> None:
    script = await server.script("ada", scope=("account:write", "projects:read!project=ada/genome"))
    path = "/users/ada/tokens"
    for scope in ([], ["read"], ["projects:read"], ["projects:read!project=ada/other"], ["admin"], ["sessions:write"]):
        assert await status(script, "POST", path, {"scope": scope}) == 403, scope
    assert await status(script, "POST", path, {"scope": ["projects:read!project=ada/genome"]}) == 201
    assert await status(script, "POST", path, {"scope": ["nothing"]}) == 400


async def test_the_form(server: Served) -> None:
    browser = await server.browser("ada")
    form = {"csrf": browser.csrf, "title": "CI", "days": "30", "scope": "own", "project": "ada/genome"}
    for scope in ("own", "", "read run"):  # a project without boxes is never a token for everything
        nothing = await browser.post("/account/tokens", data={**form, "scope": scope})
        assert nothing.status == 400
    boxes = {"scope-projects:read": "1", "scope-sessions:write": "1"}
    made = await browser.post("/account/tokens", data={**form, **boxes})
    assert made.status == 200, made.text
    tokens = [login for login in await server.domain.accounts.logins(await server.actor("ada"), "ada") if login.scope]
    assert tokens[0].scope == ["projects:read!project=ada/genome", "sessions:write!project=ada/genome"]
    assert (await browser.post("/account/tokens", data={**form, "scope-account:write": "1"})).status == 400
    assert (await browser.post("/account/tokens", data={**form, **boxes, "scope": ""})).status == 200
    tokens = await server.domain.accounts.logins(await server.actor("ada"), "ada")
    assert all(login.scope for login in tokens if login.kind == "token")
