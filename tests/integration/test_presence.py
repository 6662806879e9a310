"""Who is here now: told to the team, gone soon after the last page closed, never told to strangers; and failed runs on the home page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aen.client import AsyncClient
from aen.messages import ServerTold
from aen.model import new_id, now
from aen.model.project import Visibility
from aen.model.schedule import Run, RunState
from aen.roles.server import events
from aen.roles.server.account.accounts import UserPatch
from aen.roles.server.project import presence
from aen.roles.server.project.projects import NewProject, ProjectPatch
from tests.served import ROOT, Served, served
from tests.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as made:
        await made.node()
        yield made


async def test_the_team_sees_who_is_here(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_LINGER", 0.05)
    alice, bob, eve = [await server.browser(name) for name in ("alice", "bob", "eve")]
    new = NewProject(name="genome", visibility=Visibility.PUBLIC)
    project = await server.domain.projects.create(await server.actor("alice"), new)
    await server.domain.team.set(await server.actor("alice"), "alice", "genome", "bob", "viewer")
    streams = f"{server.url}/api/v1/projects/alice/genome/events"
    heard = server.domain.events.subscribe([presence.topic(project.id)])
    assert server.domain.presence.of(project.id) == frozenset()
    async with (
        bob.http.get(streams) as page,
        eve.http.get(streams) as strangers,
    ):
        await page.content.readuntil(b"\n\n")
        await strangers.content.readuntil(b"\n\n")
        assert (await anext(heard)).kind == "here"
        assert server.domain.presence.of(project.id) == {"bob"}  # a stranger's look is nobody's business
        assert "here now" in (await alice.get("/alice/genome")).text
        assert "here now" not in (await eve.get("/alice/genome")).text

    async def gone() -> bool:
        server.domain.presence.sweep()
        return not server.domain.presence.of(project.id)

    await until(gone, 10, "bob has gone")
    assert (await anext(heard)).kind == "here"
    assert "here now" not in (await alice.get("/alice/genome")).text


async def test_the_api_says_who_is_here(server: Served) -> None:
    """To the team, viewers too, and to administrators; a stranger of a public project is told of nobody."""
    bob, eve, boss = [await server.script(name, admin=name == "boss") for name in ("bob", "eve", "boss")]
    await server.person("alice")
    alice = await server.actor("alice")
    project = await server.domain.projects.create(alice, NewProject(name="genome", visibility=Visibility.PUBLIC))
    await server.domain.team.set(alice, "alice", "genome", "bob", "viewer")
    address = "/api/v1/projects/alice/genome/here"
    assert (await bob.get(address)).json["items"] == []
    with server.domain.presence.open(project.id, "alice"), server.domain.presence.open(project.id, "eve"):
        for reader in (bob, boss):
            assert (await reader.get(address)).json["items"] == [{"user": "alice", "page": True, "app": ""}]
        assert (await eve.get(address)).json["items"] == []
        await server.domain.projects.update(alice, "alice", "genome", ProjectPatch(visibility=Visibility.PRIVATE))
        assert (await eve.get(address)).status == 404
        async with AsyncClient(server.url, bob.token) as client:
            assert [one.user for one in (await client.get_projects_owner_name_here("alice", "genome")).items] == [
                "alice"
            ]


async def test_strangers_hear_of_nobody_who_comes_and_goes(server: Served) -> None:
    """A public project's events are for everybody; when somebody of its team is there is not."""
    alice, eve = await server.browser("alice"), await server.browser("eve")
    new = NewProject(name="genome", visibility=Visibility.PUBLIC)
    project = await server.domain.projects.create(await server.actor("alice"), new)
    streams = f"{server.url}/api/v1/projects/alice/genome/events"
    async with eve.http.get(streams) as strangers, alice.http.get(streams) as owners:
        await strangers.content.readuntil(b"\n\n")
        await owners.content.readuntil(b"\n\n")
        with server.domain.presence.open(project.id, "bob"):
            server.domain.events.publish(f"project:{project.id}", "marked", {})
        assert b"event: here" in await owners.content.readuntil(b"event: marked")
        assert b"event: here" not in await strangers.content.readuntil(b"event: marked")


async def test_who_administers_no_more_hears_no_more_of_nodes_and_jobs(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    boss = await server.script("boss", admin=True)
    await server.person("chief", admin=True)
    told = {"Authorization": f"Bearer {boss.token}"}
    async with boss.http.get(f"{server.url}/api/v1/events", headers=told) as stream:
        await stream.content.readuntil(b"\n\n")
        await server.domain.accounts.update(ROOT, "boss", UserPatch(admin=False))
        assert b"event: ended" in await stream.content.readuntil(b"event: ended")


async def test_another_servers_word_counts_for_a_while(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    told = ServerTold(origin="another", what="here", topic="p1", kind="carol")
    server.domain.presence._heard(told)
    assert server.domain.presence.of("p1") == {"carol"}
    monkeypatch.setattr(presence, "_ELSEWHERE", 0.0)
    server.domain.presence._heard(told)
    assert server.domain.presence.of("p1") == frozenset()


async def test_a_failed_run_is_told_at_home_until_one_goes_well(server: Served) -> None:
    alice = await server.browser("alice")
    await server.domain.accounts.change_user("alice", lambda user: setattr(user, "created", 1))  # she was there before
    project = await server.domain.projects.create(await server.actor("alice"), NewProject(name="genome"))

    async def run(state: RunState, ago: int) -> None:
        at = now() - ago
        made = Run(
            id=new_id(), schedule="s1", project=project.id, user="alice", name="nightly", notebook="a.ipynb", due=at,
            state=state, active=False, created=at, ended=at, reason="Cell 3: no such file",
        )  # fmt: skip
        await server.domain.store.insert("runs", made.model_dump(mode="json"))

    await run(RunState.FAILED, 60_000)
    text = (await alice.get("/")).text
    assert "alice/genome · nightly" in text
    assert "Cell 3: no such file" in text
    await run(RunState.SKIPPED, 30_000)  # says nothing
    assert "alice/genome · nightly" in (await alice.get("/")).text
    await run(RunState.DONE, 1_000)
    assert "alice/genome · nightly" not in (await alice.get("/")).text
