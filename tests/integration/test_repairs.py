"""Repairs: the drift of a project's permissions, asked of its node; repaired by a job."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aen.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from aen.messages import ApplyPermissions, PathRightsOf
from aen.model.drift import Drift
from aen.model.job import Job, JobState
from aen.model.project import ProjectState, Role, Visibility
from aen.model.rights import RightsWish
from aen.roles.server.permissions import Actor
from aen.roles.server.project.wording import NewProject
from tests.box import Box, box
from tests.waiting import until


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


async def started(server: Box) -> Actor:
    """alice with a running public project."""
    alice = await server.person("alice")
    project = await server.domain.projects.create(alice, NewProject(name="genome", visibility=Visibility.PUBLIC))
    await server.domain.projects.start(alice, "alice", "genome")

    async def runs() -> bool:
        found = await server.domain.projects.by_id(project.id)
        return found is not None and found.state is ProjectState.RUNNING

    await until(runs, 10, "the project runs")
    return alice


async def test_what_differs_is_told_to_those_who_work_there(server: Box) -> None:
    alice = await started(server)
    bob, carol, dora = [await server.person(name) for name in ("bob", "carol", "dora")]
    await server.domain.team.set(alice, "alice", "genome", "bob", Role.MEMBER)
    await server.domain.team.set(alice, "alice", "genome", "carol", Role.VIEWER)
    for actor in (alice, bob):
        found = await server.domain.projects.repairs.check(actor, "alice", "genome")
        assert (found.differing, found.unreadable, found.items[0].lacks) == (1, {"bob": 1}, {"bob": "rw"})
    for actor in (carol, dora):  # it names files, which who only sees the project may not know
        with pytest.raises(Denied):
            await server.domain.projects.repairs.check(actor, "alice", "genome")
    with pytest.raises(NotFound):
        await server.domain.projects.repairs.check(bob, "alice", "other")


async def test_repair_is_one_job_that_tells_what_it_did(server: Box) -> None:
    alice = await started(server)
    job = await server.domain.projects.repairs.repair(alice, "alice", "genome")

    async def done() -> Job | None:
        now = await server.domain.jobs.get(alice, job.id)
        return now if now.state is JobState.DONE else None

    ended = await until(done, 10, "the repair is done")
    assert ended.message == "0 of 1 files changed."
    assert [command.repair for command in server.node.of(ApplyPermissions)].count(True) == 1
    last = await server.domain.projects.repairs.last(await server.domain.projects.get(alice, "alice", "genome"))
    assert last is not None
    assert last.id == job.id


async def test_two_who_press_the_button_get_the_same_job(server: Box) -> None:
    alice = await started(server)
    server.node.deaf_to = {ApplyPermissions}
    first = await server.domain.projects.repairs.repair(alice, "alice", "genome")
    assert (await server.domain.projects.repairs.repair(alice, "alice", "genome")).id == first.id
    await server.domain.jobs.cancel(alice, first.id)


async def test_rights_on_one_file(server: Box) -> None:
    """Members set them on what they own, those who lead the project on everybody's; the activity says who did what."""
    alice = await started(server)
    bob, carol, dora = [await server.person(name) for name in ("bob", "carol", "dora")]
    await server.domain.team.set(alice, "alice", "genome", "bob", Role.MEMBER)
    await server.domain.team.set(alice, "alice", "genome", "carol", Role.VIEWER)
    rights = server.domain.projects.rights
    wish = RightsWish(rights={"carol": ""})
    for actor, only in ((alice, ""), (bob, "bob")):
        found = await rights.set(actor, "alice", "genome", "/data/caf%E9/", wish)
        given = {each.user: each.given for each in found.people}
        assert (given["bob"], given["carol"]) == ("rw", "")
        asked = server.node.of(PathRightsOf)[-1]
        assert (asked.path, asked.wish, asked.only) == ("data/caf%E9", wish, only)
    assert (await rights.look(bob, "alice", "genome", "data")).changed == 0
    assert server.node.of(PathRightsOf)[-1].wish is None
    entries, _ = await server.domain.activity.of_project(alice, "alice", "genome", 10, "")
    done = [(each.actor, each.detail) for each in entries if each.act == "project.rights"]
    assert sorted(done) == [
        ("alice", "data/caf\N{REPLACEMENT CHARACTER}"),
        ("bob", "data/caf\N{REPLACEMENT CHARACTER}"),
    ]
    for actor in (carol, dora):
        with pytest.raises(Denied):
            await rights.look(actor, "alice", "genome", "data")
    for path in ("", "/", "..", "a/%2e%2e/b", ".trash/x", "a%00b", "x" * 256, "a/" * 600 + "b"):
        with pytest.raises(Invalid):
            await rights.set(alice, "alice", "genome", path, wish)


async def test_nothing_to_look_at(server: Box) -> None:
    alice = await server.person("alice")
    await server.domain.projects.create(alice, NewProject(name="fresh"))
    found = await server.domain.projects.repairs.check(alice, "alice", "fresh")
    assert found == Drift(notes=["The project was never started: it has no files yet."])
    with pytest.raises(Conflict, match="never started"):
        await server.domain.projects.repairs.repair(alice, "alice", "fresh")


async def test_a_node_that_is_not_heard(server: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = await started(server)
    monkeypatch.setattr(server.domain.nodes, "up", lambda name: False)
    with pytest.raises(Unavailable, match="not heard"):
        await server.domain.projects.repairs.check(alice, "alice", "genome")
