"""aen.client and `aen login`: a real server, asked from Python with and without await, and by the command."""

from __future__ import annotations

import asyncio
import os
import re
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aen.client import AsyncClient, Client, models
from aen.errors import Denied, Invalid, NotFound, NotSignedIn, Unavailable
from tests import client_maker
from tests.served import Served, served


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


async def token(server: Served, name: str = "alice", scope: list[str] | None = None) -> str:
    person = await server.browser(name)
    body = {"title": "client", "days": 1, "scope": scope or []}
    made = await person.ask("POST", f"/api/v1/users/{name}/tokens", body)
    assert made.status == 201, made.text
    return str(made.json["token"])


@pytest.mark.parametrize("name", ["models.py", "calls.py", "async_calls.py"])
def test_the_client_is_that_of_this_api(name: str) -> None:
    made = client_maker.formatted(client_maker.files()[name], name)
    assert (client_maker.HERE / name).read_text() == made, "the API has changed: run ./dev client"


async def test_projects_with_await(server: Served) -> None:
    async with AsyncClient(server.url, await token(server)) as aen:
        made = await aen.post_projects(models.NewProject(name="genome", summary="Variants"))
        assert made.slug == "alice/genome"
        for number in range(3):
            await aen.post_projects(models.NewProject(name=f"p{number}"))
        names = [project.name async for project in aen.every(aen.get_projects, scope="mine", limit=2)]
        assert sorted(names) == ["genome", "p0", "p1", "p2"]
        changed = await aen.patch_projects_owner_name("alice", "genome", models.ProjectChanges(tags=["dna"]))
        assert (changed.tags, changed.summary) == (["dna"], "Variants")  # what is not given stays
        with pytest.raises(NotFound, match="no such project"):
            await aen.get_projects_owner_name("alice", "nothing")


async def test_projects_without_await_where_a_loop_runs(server: Served) -> None:
    secret = await token(server)

    def script() -> list[str]:
        with Client(server.url, secret) as aen:
            aen.post_projects(models.NewProject(name="genome"))
            return [project.slug for project in aen.every(aen.get_projects)]

    assert await asyncio.to_thread(script) == ["alice/genome"]


async def test_what_goes_wrong_is_said(server: Served) -> None:
    narrow = await token(server, scope=["read"])
    async with AsyncClient(server.url, narrow) as aen:
        with pytest.raises(Denied):
            await aen.post_projects(models.NewProject(name="genome"))
    async with AsyncClient(server.url, "aen_wrong") as aen:
        with pytest.raises(NotSignedIn):
            await aen.get_me()
    with pytest.raises(Invalid, match="not the address"):
        AsyncClient("aen.example.org", "x")
    with pytest.raises(Invalid, match="with"):
        await AsyncClient(server.url, "x").get_me()
    async with AsyncClient("http://127.0.0.1:9", "x") as aen:
        with pytest.raises(Unavailable, match="did not answer"):
            await aen.get_me()


async def run(home: Path, *words: str, given: str = "") -> tuple[int, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AEN_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "aen",
        *words,
        env=clean | {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "conf")},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _none = await process.communicate(given.encode())
    return process.returncode or 0, out.decode()


async def test_aen_login_and_commands_against_a_server_elsewhere(server: Served, tmp_path: Path) -> None:
    alice = await server.browser("alice")
    await alice.ask("POST", "/api/v1/projects", {"name": "genome", "summary": "Variants"})
    secret = await token(server)
    code, said = await run(tmp_path, "login", server.url, "--token-stdin", given="aen_wrong\n")
    assert code == 1, said
    assert "not valid" in said
    code, said = await run(tmp_path, "login", server.url, given="\n")
    assert code == 2, said
    assert "--token-stdin" in said
    code, said = await run(tmp_path, "login", server.url, given=f"{secret}\n")  # no terminal: as with --token-stdin
    assert (code, said.count("\n")) == (0, 1), said
    code, said = await run(tmp_path, "login", server.url, "--token-stdin", given=f"{secret}\n")
    assert code == 0, said
    assert "as alice" in said
    assert secret not in said
    kept = tmp_path / "conf" / "aen" / "login.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    code, said = await run(tmp_path, "project", "show", "alice/genome")
    assert code == 0, said
    assert "Variants" in said
    assert re.search(r"^space: +not measured yet$", said, re.MULTILINE), said
    assert re.search(r"^space limit: +as configured$", said, re.MULTILINE), said
    kept.chmod(0o644)
    code, said = await run(tmp_path, "project", "show", "alice/genome")
    assert code == 2
    assert "chmod 600" in said
    code, said = await run(tmp_path, "logout")
    assert code == 0, said
    assert not kept.exists()
