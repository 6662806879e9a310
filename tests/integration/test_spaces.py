"""Space on the disk: measured, shown, bounded. Server parts against a node that tells sizes; the launcher's look on real files."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aen.errors import Conflict, Denied, Invalid
from aen.model.environment import Act, EnvironmentChange
from aen.model.project import Project, ProjectState
from aen.model.space import Space
from aen.roles.server.permissions import Actor
from aen.roles.server.project import attention
from aen.roles.server.project.spaces import limit_in_bytes
from aen.roles.server.project.wording import NewProject
from tests.box import Box, box
from tests.launching import place
from tests.waiting import until

GB = 1 << 30


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


async def started(server: Box, name: str = "genome") -> tuple[Actor, Project]:
    alice = await server.person("alice")
    project = await server.domain.projects.create(alice, NewProject(name=name))
    await server.domain.projects.start(alice, "alice", name)

    async def runs() -> Project | None:
        found = await server.domain.projects.by_id(project.id)
        return found if found is not None and found.state is ProjectState.RUNNING else None

    return alice, await until(runs, 10, "the project runs")


def bound(server: Box, **options: str) -> None:
    for name, text in options.items():
        setattr(server.domain.config.space, name, text)


async def test_what_runs_is_measured_and_what_has_stopped_once_more(server: Box) -> None:
    alice, project = await started(server)
    spaces = server.domain.spaces
    await spaces.sweep()
    found = await server.domain.projects.by_id(project.id)
    assert found is not None
    assert found.space is not None
    assert (found.space.bytes, found.space.at > 0) == (5 << 20, True)
    server.node.space = Space(bytes=6 << 20, files=11)
    await spaces.sweep()  # lately measured
    await server.domain.projects.stop(alice, "alice", "genome")

    async def measured_again() -> bool:
        await spaces.sweep()
        again = await server.domain.projects.by_id(project.id)
        return again is not None and again.space is not None and again.space.bytes == 6 << 20

    await until(measured_again, 10, "it is measured after its end")


async def test_over_its_bound_a_project_starts_only_what_cleans_up(server: Box) -> None:
    alice, project = await started(server)
    bound(server, project_soft="1G", project_hard="2G")
    server.node.space = Space(bytes=3 * GB // 2, files=9, trash=GB)
    project = await server.domain.spaces.measure(alice, "alice", "genome")
    warning = await server.domain.spaces.warning(project)
    assert "1.5 GB of 2.0 GB" in warning
    assert "the trash (1.0 GB)" in warning
    await server.domain.spaces.check(project)  # a warning only
    server.node.space = Space(bytes=2 * GB, files=9, trash=GB)
    await server.domain.spaces.measure(alice, "alice", "genome")
    with pytest.raises(Conflict, match=r"takes 2\.0 GB on the disk and may take 2\.0 GB.*trash"):
        await server.domain.sessions.open(alice, "alice", "genome", "jupyterlab")
    change = EnvironmentChange(act=Act.INSTALL, name="default", packages=["numpy"])
    with pytest.raises(Conflict, match="nothing more is begun"):
        await server.domain.environments.change(alice, "alice", "genome", change)
    opened = await server.domain.sessions.open(alice, "alice", "genome", "workbench")
    assert opened.app_server == "workbench"


async def test_a_running_session_is_reached_over_the_bound(server: Box) -> None:
    alice, _ = await started(server)
    first = await server.domain.sessions.open(alice, "alice", "genome", "jupyterlab")
    bound(server, project_hard="1M")
    await server.domain.spaces.measure(alice, "alice", "genome")
    again = await server.domain.sessions.open(alice, "alice", "genome", "jupyterlab")
    assert again.generation == first.generation


async def test_all_projects_of_an_owner_together(server: Box) -> None:
    alice, _ = await started(server)
    await server.domain.projects.create(alice, NewProject(name="second"))
    await server.domain.projects.start(alice, "alice", "second")
    server.node.space = Space(bytes=GB, files=9)
    for name in ("genome", "second"):

        async def measured(name: str = name) -> bool:
            try:
                await server.domain.spaces.measure(alice, "alice", name)
            except Conflict:  # not placed yet
                return False
            return True

        await until(measured, 10, "it is measured")
    assert await server.domain.spaces.used_by("alice") == 2 * GB
    bound(server, user_hard="2G")
    notices, _ = await attention.of(server.domain, alice, [], await server.domain.tags.of_person(alice))
    assert [one.title for one in notices if "All projects of alice take" in one.text] == ["alice"]  # once, not for each
    with pytest.raises(Conflict, match="projects of alice take"):
        await server.domain.sessions.open(alice, "alice", "second", "jupyterlab")


async def test_an_administrator_gives_a_project_more(server: Box) -> None:
    alice, project = await started(server)
    bound(server, project_hard="1M")
    full = await server.domain.spaces.measure(alice, "alice", "genome")
    with pytest.raises(Conflict):
        await server.domain.spaces.check(full)
    with pytest.raises(Denied):
        await server.domain.spaces.limit(alice, "alice", "genome", GB)
    given = await server.domain.spaces.limit(Actor(local=True), "alice", "genome", limit_in_bytes("1G"))
    await server.domain.spaces.check(given)
    assert server.domain.spaces.of_project(given).hard == GB
    assert project.id == given.id


@pytest.mark.parametrize("text", ["many", "-1", "1", "9999999T"])
def test_bounds_that_are_none(text: str) -> None:
    with pytest.raises(Invalid):
        limit_in_bytes(text)


async def test_before_the_first_start_there_is_nothing_to_measure(server: Box) -> None:
    alice = await server.person("alice")
    await server.domain.projects.create(alice, NewProject(name="fresh"))
    with pytest.raises(Conflict, match="never started"):
        await server.domain.spaces.measure(alice, "alice", "fresh")


# ── the look itself ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real accounts")
async def test_the_launcher_counts_each_file_once_and_shared_ones_not() -> None:
    from aen.launchers import ProjectRef

    with place() as spot:
        async with spot.launcher() as launcher:
            ann = await launcher.ensure_account("aentann")
            ref = ProjectRef("aentann", "genome", {"aentann": "owner"})
            await launcher.prepare_project(ref, str(spot.skeleton))
            before = await launcher.measure_project(ref)
            top = spot.path(ref)
            written(top / "data.bin", 1 << 20, ann.uid)
            os.link(top / "data.bin", top / "same.bin")
            (top / ".trash").mkdir()
            written(top / ".trash" / "old.bin", 1 << 20, ann.uid)
            (top / "a" / "__pycache__").mkdir(parents=True)
            written(top / "a" / "__pycache__" / "x.pyc", 1 << 20, ann.uid)
            (top / "out").symlink_to("/usr")
            shared = spot.top / "shared.bin"
            written(shared, 1 << 20, 0)
            os.link(shared, top / "clone.bin")  # a clone's file: root's, with several names
            found = await launcher.measure_project(ref)
    taken = found.bytes - before.bytes
    assert 3 << 20 <= taken < (3 << 20) + (64 << 10)
    assert found.files - before.files == 9
    assert found.trash >= 1 << 20
    assert found.caches >= 1 << 20


def written(path: Path, size: int, uid: int) -> None:
    path.write_bytes(os.urandom(size))
    os.chown(path, uid, uid)
