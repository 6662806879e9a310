"""Deleting with time to think better of it: nothing shows or runs meanwhile, restoring brings all back, then it is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aen.errors import Conflict, Denied, Invalid, NotFound, NotSignedIn
from aen.model import new_id, now
from aen.model.project import Project, ProjectState, Visibility
from aen.model.publication import Audience, Publication, PublishedFile, Version
from aen.roles.server.permissions import Actor, Permission, allows
from aen.roles.server.project.grace import _restore
from aen.roles.server.project.moves import DELETE
from aen.roles.server.project.projects import NewProject
from tests.box import Box, box
from tests.integration.test_projects import gone, state
from tests.served import ROOT

S = ProjectState


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


async def listed(server: Box, name: str, scope: str) -> list[str]:
    found, _ = await server.domain.projects.list(await server.person(name), scope)
    return [project.name for project in found]


async def test_a_deleted_project_shows_nowhere_runs_nothing_and_comes_back(server: Box) -> None:
    alice, bob, eve = [await server.person(name) for name in ("alice", "bob", "eve")]
    new = NewProject(name="genome", visibility=Visibility.PUBLIC, tags=["dna"], summary="sequences")
    project = await server.domain.projects.create(alice, new)
    await server.domain.team.set(alice, "alice", "genome", "bob", "maintainer")
    await server.domain.projects.star(bob, "alice", "genome", True)
    session = await server.domain.sessions.open(bob, "alice", "genome", "jupyterlab")
    await state(server, project, S.RUNNING)
    share, _ = await server.domain.shares.create(alice, "alice", "genome", "public.csv", 7)
    version = Version(number=1, user="alice", files=[PublishedFile(path="a.md")])
    paper = Publication(id=new_id(), project=project.id, user="alice", path="a.md", title="A", versions=[version])
    paper.audience = Audience.PUBLIC
    await server.store.insert("publications", paper.model_dump(mode="json"))
    assert (await server.domain.publications.get(Actor(), paper.id))[0].id == paper.id
    with pytest.raises(Invalid):
        await server.domain.grace.discard(alice, "alice", "genome", "genom")
    with pytest.raises(Denied):
        await server.domain.grace.discard(bob, "alice", "genome", "genome")
    deleted = await server.domain.grace.discard(alice, "alice", "genome", "genome")
    assert now() + 6 * 86_400_000 < deleted.ends <= now() + 7 * 86_400_000
    stopped = await state(server, project, S.STOPPED)
    assert server.domain.sessions.routes.get(session.id) is None
    assert server.node.sessions == {}
    assert server.node.directories == {"alice/genome"}

    for name, scope in (("alice", "mine"), ("alice", "all"), ("bob", "team"), ("bob", "starred"), ("eve", "public")):
        assert await listed(server, name, scope) == [], (name, scope)
    assert (await listed(server, "alice", "deleted"), await listed(server, "bob", "deleted")) == (["genome"], [])
    assert (await server.domain.search.find(bob, "genome")).counts["projects"] == 0
    assert await server.domain.projects.tags(alice) == ()
    with pytest.raises(NotFound):
        await server.domain.projects.get(eve, "alice", "genome")
    assert (await server.domain.projects.get(bob, "alice", "genome")).ends
    assert await server.domain.shares.valid(share.id, stopped) is None
    assert not server.domain.admitting.is_public(stopped)
    with pytest.raises(NotSignedIn):  # whatever there is
        await server.domain.publications.get(Actor(), paper.id)
    with pytest.raises(NotFound):
        await server.domain.publications.get(bob, paper.id)
    for permission in (Permission.LOOK, Permission.RUN, Permission.CONTROL, Permission.EDIT, Permission.TEAM):
        assert not allows(alice, permission, stopped), permission
    with pytest.raises(Denied, match="can restore it"):
        await server.domain.sessions.open(alice, "alice", "genome", "jupyterlab")
    with pytest.raises(Conflict, match=r"have deleted .* Restore it"):
        await server.domain.projects.create(alice, NewProject(name="genome"))
    with pytest.raises(Denied):
        await server.domain.grace.restore(bob, "alice", "genome")

    back = await server.domain.grace.restore(alice, "alice", "genome")
    assert await server.domain.shares.valid(share.id, back) is not None
    assert (await server.domain.publications.get(Actor(), paper.id))[0].id == paper.id
    assert (await listed(server, "alice", "mine"), await listed(server, "eve", "public")) == (["genome"], ["genome"])
    assert await listed(server, "bob", "starred") == ["genome"]
    await server.domain.sessions.open(bob, "alice", "genome", "jupyterlab")
    await state(server, project, S.RUNNING)
    acts, _ = await server.domain.activity.of_project(alice, "alice", "genome")
    assert {"project.discarded", "project.restored"} <= {act.act for act in acts}


async def test_when_its_time_is_over_it_is_gone(server: Box) -> None:
    alice = await server.person("alice")
    project = await server.domain.projects.create(alice, NewProject(name="old"))
    kept = await server.domain.projects.create(alice, NewProject(name="kept"))
    for name in ("old", "kept"):
        await server.domain.grace.discard(alice, "alice", name, name)

    def long_ago(project: Project) -> None:
        project.ends = now() - 1

    await server.domain.projects.edit(project.id, long_ago)
    await server.domain.grace.sweep()
    await gone(server, project)
    assert (await server.domain.projects.by_id(kept.id)) is not None
    await server.domain.projects.delete(alice, "alice", "kept", "kept")  # for good, at once
    await gone(server, kept)


async def test_what_is_being_deleted_for_good_is_not_said_to_be_restored(server: Box) -> None:
    """It was decided on the record as it is now, also when its time ended between the look and the change."""
    alice = await server.person("alice")
    project = await server.domain.projects.create(alice, NewProject(name="genome"))
    await server.domain.grace.discard(alice, "alice", "genome", "genome")
    begun = (await kept(server, project)).model_copy(update={"state": S.DELETING, "ends": 0, "pending": [DELETE]})
    with pytest.raises(Conflict, match="too late"):
        _restore(begun)
    assert begun.pending == [DELETE]
    await server.domain.projects.edit(project.id, lambda one: one.move(S.DELETING))
    with pytest.raises(Conflict, match="too late"):
        await server.domain.grace.restore(alice, "alice", "genome")


async def kept(server: Box, project: Project) -> Project:
    found = await server.domain.projects.by_id(project.id)
    assert found is not None
    return found


async def test_without_grace_it_is_gone_at_once(server: Box) -> None:
    alice = await server.person("alice")
    await server.domain.settings.set(ROOT, "deletion.grace_days", 0)
    project = await server.domain.projects.create(alice, NewProject(name="short"))
    assert not (await server.domain.grace.discard(alice, "alice", "short", "short")).ends
    await gone(server, project)
