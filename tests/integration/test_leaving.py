"""A person leaves: what is done is told before, done as a job, and reported; their SSH keys come and go with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aen.errors import Conflict, Invalid, NotFound
from aen.messages import ApplyPermissions, KeepAccount, StartSession
from aen.model.job import Job, JobState
from aen.model.project import ProjectState
from aen.roles.server.account.accounts import NewUser
from aen.roles.server.permissions import Actor
from aen.roles.server.project.wording import NewProject
from tests.box import Box, box
from tests.waiting import until

ROOT = Actor(local=True)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOao0n5uNK+I6pENBOkngKHuAZl2tb4E5vXSDdq7Oo7o"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


async def ended(server: Box, id: str) -> Job:
    async def look() -> Job | None:
        job = await server.domain.jobs.get(ROOT, id)
        return job if not job.active else None

    return await until(look, 20, "the job is over")


async def team(server: Box) -> tuple[Actor, Actor]:
    """alice's running project, with bob in it."""
    alice, bob = await server.person("alice"), await server.person("bob")
    project = await server.domain.projects.create(alice, NewProject(name="genome"))
    await server.domain.team.set(alice, "alice", "genome", "bob")
    await server.domain.projects.start(alice, "alice", "genome")

    async def runs() -> bool:
        found = await server.domain.projects.by_id(project.id)
        return found is not None and found.state is ProjectState.RUNNING

    await until(runs, 10, "the project runs")
    return alice, bob


async def test_all_is_told_before(server: Box) -> None:
    alice, bob = await team(server)
    server.node.accounts.add("bob")
    await server.domain.accounts.new_token(bob, "bob")
    await server.domain.keys.add(bob, KEY)
    plan = await server.domain.leaving.plan(ROOT, "bob")
    assert plan.blocked == []
    assert plan.steps == [
        "1 login and 1 API token end.",
        "They leave the team of alice/genome; what they own in its files passes to alice.",
        "1 SSH key taken out of the compute nodes.",
        "n1: 2 processes ended, the Linux account (uid 20000) is locked, /home/bob stays.",
    ]
    assert server.node.locked == set()
    assert (await server.domain.projects.get(bob, "alice", "genome")).role_of("bob")
    with pytest.raises(NotFound):  # whoever may not ask learns nothing
        await server.domain.leaving.plan(alice, "bob")
    with pytest.raises(NotFound):
        await server.domain.leaving.plan(ROOT, "nobody")


async def test_who_owns_projects_stays(server: Box) -> None:
    await team(server)
    plan = await server.domain.leaving.plan(ROOT, "alice")
    assert plan.blocked == ["alice owns alice/genome: delete it or give it to somebody else first."]
    with pytest.raises(Conflict):
        await server.domain.accounts.remove(ROOT, "alice")


async def test_removal_ends_with_a_report(server: Box) -> None:
    _, bob = await team(server)
    server.node.accounts.add("bob")
    await server.domain.keys.add(bob, KEY)
    job = await ended(server, (await server.domain.accounts.remove(ROOT, "bob")).id)
    assert (job.state, job.message) == (
        JobState.DONE,
        "Taken off the files of alice/genome, what was theirs there passed to alice. "
        "n1: 2 processes ended, the Linux account (uid 20000) was locked, /home/bob stays.",
    )
    assert server.node.locked == {"bob"}
    assert server.node.keys["bob"] == []
    assert any("bob" in command.project.former for command in server.node.of(ApplyPermissions))
    acts, _ = await server.domain.activity.security(ROOT, 50, "")
    assert {"user.removed", "user.retired"} <= {act.act for act in acts}


async def test_a_silent_node_hears_of_it_later(server: Box) -> None:
    await server.person("bob")
    server.node.accounts.add("bob")
    async with server.node.away():
        job = await server.domain.accounts.remove(ROOT, "bob")

        async def tried() -> bool:
            return (await server.domain.jobs.get(ROOT, job.id)).attempts > 0

        await until(tried, 10, "the job was tried")
        assert server.node.locked == set()
    assert (await ended(server, job.id)).state is JobState.DONE
    assert server.node.locked == {"bob"}


async def test_a_new_person_of_that_name_keeps_the_account(server: Box) -> None:
    bob = await server.person("bob")
    server.node.accounts.add("bob")
    async with server.node.away():
        job = await server.domain.accounts.remove(ROOT, "bob")
        await server.domain.accounts.create(ROOT, NewUser(name="bob"))
    assert (await ended(server, job.id)).state is JobState.DONE
    assert bob.user is not None
    asked = [command.incarnation for command in server.node.of(KeepAccount) if command.retire]
    assert set(asked) == {bob.user.incarnation}  # by which nodes tell them apart: see the launcher's tests


# ── SSH keys ──────────────────────────────────────────────────────────────────────────────────────────


async def test_keys_reach_the_nodes(server: Box) -> None:
    _, bob = await team(server)
    server.node.accounts.add("bob")
    key = await server.domain.keys.add(bob, KEY + " bob@laptop")
    assert (key.title, key.line) == ("bob@laptop", KEY)

    async def installed() -> bool:
        return server.node.keys.get("bob") == [KEY]

    await until(installed, 10, "the node has the key")
    await server.domain.sessions.open(bob, "alice", "genome", "jupyterlab")
    assert [command.keys for command in server.node.of(StartSession)] == [[KEY]]
    with pytest.raises(Conflict, match="already"):
        await server.domain.keys.add(bob, KEY)
    await server.domain.keys.remove(bob, "bob", key.fingerprint)

    async def gone() -> bool:
        return server.node.keys.get("bob") == []

    await until(gone, 10, "the node has taken it out")
    assert len(server.node.of(KeepAccount)) >= 2


async def test_keys_are_ones_own(server: Box) -> None:
    alice, bob = await server.person("alice"), await server.person("bob")
    key = await server.domain.keys.add(bob, KEY)
    with pytest.raises(NotFound):
        await server.domain.keys.list(alice, "bob")
    with pytest.raises(NotFound):
        await server.domain.keys.remove(alice, "bob", key.fingerprint)
    with pytest.raises(Invalid, match="sign in as one"):
        await server.domain.keys.add(ROOT, KEY)
    await server.domain.keys.remove(ROOT, "bob", key.fingerprint)  # a stolen one: an administrator takes it away
    assert await server.domain.keys.list(bob, "bob") == []
