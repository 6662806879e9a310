"""The server's projects and teams, with a real store and bus and a compute node that answers as a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aen.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from aen.messages import ApplyPermissions, DeleteProject, PrepareProject, RenameProject
from aen.model.job import JobState
from aen.model.project import Project, ProjectState, Role, Visibility
from aen.model.session import Phase
from aen.roles.server.permissions import Actor
from aen.roles.server.project.wording import NewProject, ProjectPatch
from tests.box import Box, box
from tests.fakenode import FakeNode
from tests.waiting import until

S = ProjectState


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


async def state(server: Box, project: Project, wanted: ProjectState, seconds: float = 10) -> Project:
    """The project once it is in that state."""

    async def look() -> Project | None:
        found = await server.domain.projects.by_id(project.id)
        return found if found is not None and found.state is wanted else None

    return await until(look, seconds, f"{project.slug} is {wanted}")


async def genome(server: Box, name: str = "genome", **more: object) -> tuple[Actor, Project]:
    alice = await server.person("alice")
    return alice, await server.domain.projects.create(alice, NewProject(name=name, **more))


# ── making and changing ─────────────────────────────────────────────────────────────────────────────


async def test_create_fills_what_was_left_out(server: Box) -> None:
    alice, project = await genome(server, tags=["  Machine Learning ", "dna", "DNA", ""], summary=" a \n b ")
    assert (project.slug, project.state, project.visibility) == ("alice/genome", S.STOPPED, Visibility.PRIVATE)
    assert project.datacenter == "main"
    assert project.tags == ["machine-learning", "dna"]
    assert project.summary == "a b"
    assert [(member.user, member.role) for member in project.team] == [("alice", Role.OWNER)]
    found = await server.domain.projects.get(alice, "alice", "genome")
    assert found == project
    acts, _ = await server.domain.activity.of_project(alice, "alice", "genome")
    assert [act.act for act in acts] == ["project.created"]


async def test_a_name_is_taken_once(server: Box) -> None:
    alice, _ = await genome(server)
    with pytest.raises(Conflict):
        await server.domain.projects.create(alice, NewProject(name="genome"))
    bob = await server.person("bob")
    assert (await server.domain.projects.create(bob, NewProject(name="genome"))).slug == "bob/genome"


async def test_two_at_once_make_one(server: Box) -> None:
    alice = await server.person("alice")
    made = await asyncio.gather(
        *(server.domain.projects.create(alice, NewProject(name="genome")) for _ in range(8)), return_exceptions=True
    )
    assert sum(isinstance(one, Project) for one in made) == 1
    assert sum(isinstance(one, Conflict) for one in made) == 7


@pytest.mark.parametrize("name", ["", "..", "a..b", "-x", "x/", "Ä", "x" * 64, "new", "a b"])
async def test_bad_names(server: Box, name: str) -> None:
    alice = await server.person("alice")
    with pytest.raises(Invalid):
        await server.domain.projects.create(alice, NewProject(name=name))


@pytest.mark.parametrize(
    "more",
    [
        {"summary": "x" * 301},
        {"description": "ä" * 40_000},
        {"description": "\ud800"},
        {"summary": "nul \x00"},
        {"tags": [f"t{n}" for n in range(21)]},
        {"tags": ["x" * 41]},
        {"datacenter": "elsewhere"},
    ],
)
async def test_bad_values(server: Box, more: dict[str, object]) -> None:
    alice = await server.person("alice")
    with pytest.raises(Invalid):
        await server.domain.projects.create(alice, NewProject(name="genome", **more))


async def test_system_accounts_own_nothing(server: Box) -> None:
    for name in ("root", "aen"):
        with pytest.raises(Denied):
            await server.domain.projects.create(await server.person(name), NewProject(name="x"))
    with pytest.raises(Denied):
        await server.domain.projects.create(Actor(local=True), NewProject(name="x"))


async def test_update_changes_what_is_given(server: Box) -> None:
    alice, project = await genome(server, summary="first")
    heard = server.domain.events.subscribe([f"project:{project.id}"])
    changed = await server.domain.projects.update(
        alice, "alice", "genome", ProjectPatch(tags=["X"], description="# Hi")
    )
    assert (changed.summary, changed.tags, changed.description) == ("first", ["x"], "# Hi")
    event = await anext(heard)
    assert (event.kind, event.data["tags"]) == ("project", ["x"])
    heard.close()
    same = await server.domain.projects.update(alice, "alice", "genome", ProjectPatch(summary="first"))
    assert same.rev == changed.rev


async def test_who_may_change_what(server: Box) -> None:
    alice, _ = await genome(server)
    bob, carol, admin = [await server.person(n, admin=n == "adam") for n in ("bob", "carol", "adam")]
    await server.domain.team.set(alice, "alice", "genome", "bob", "maintainer")
    await server.domain.projects.update(bob, "alice", "genome", ProjectPatch(summary="by bob"))
    with pytest.raises(Denied):
        await server.domain.projects.update(bob, "alice", "genome", ProjectPatch(visibility=Visibility.PUBLIC))
    with pytest.raises(NotFound):
        await server.domain.projects.update(carol, "alice", "genome", ProjectPatch(summary="by carol"))
    await server.domain.projects.update(admin, "alice", "genome", ProjectPatch(visibility=Visibility.PUBLIC))
    with pytest.raises(Denied):
        await server.domain.projects.update(carol, "alice", "genome", ProjectPatch(summary="by carol"))


# ── finding ─────────────────────────────────────────────────────────────────────────────────────────


async def names_of(server: Box, actor: Actor, scope: str, **more: object) -> list[str]:
    found, _ = await server.domain.projects.list(actor, scope, **more)  # type: ignore[arg-type]
    return sorted(project.slug for project in found)


async def test_who_finds_what(server: Box) -> None:
    alice, _ = await genome(server, summary="secret sequences", tags=["dna"])
    await genome(server, "open", visibility=Visibility.PUBLIC, tags=["dna"], summary="open sequences")
    bob, stranger, admin = [await server.person(n, admin=n == "adam") for n in ("bob", "carol", "adam")]
    await server.domain.team.set(alice, "alice", "genome", "bob")
    both, public = ["alice/genome", "alice/open"], ["alice/open"]
    assert await names_of(server, alice, "mine") == both
    assert await names_of(server, alice, "team") == []
    assert await names_of(server, bob, "team") == ["alice/genome"]
    assert await names_of(server, bob, "all") == both
    assert await names_of(server, stranger, "all") == public
    assert await names_of(server, stranger, "public") == public
    assert await names_of(server, stranger, "all", tag="dna") == public
    assert await names_of(server, stranger, "all", search="sequences") == public
    assert await names_of(server, stranger, "all", search="secret") == []
    assert await names_of(server, bob, "all", search="secr") == ["alice/genome"]
    assert await names_of(server, admin, "all") == both
    assert await names_of(server, admin, "all", search="secret") == ["alice/genome"]
    assert await server.domain.projects.tags(stranger) == (("dna", 1),)
    with pytest.raises(NotFound):
        await server.domain.projects.get(stranger, "alice", "genome")
    with pytest.raises(Invalid):
        await server.domain.projects.list(alice, "everything")


async def test_pages_hold_each_once(server: Box) -> None:
    alice, bob = await server.person("alice"), await server.person("bob")
    for n in range(25):
        made = NewProject(name=f"p{n}", visibility=Visibility.PUBLIC if n % 2 else Visibility.PRIVATE)
        await server.domain.projects.create(alice, made)
        await server.domain.team.set(alice, "alice", f"p{n}", "bob") if n % 3 else None
    for actor, count in ((alice, 25), (bob, 20)):
        seen: list[Project] = []
        cursor = ""
        while True:
            page, cursor = await server.domain.projects.list(actor, "all", limit=7, cursor=cursor)
            seen += page
            if not cursor:
                break
        assert len({project.id for project in seen}) == len(seen) == count
        assert [p.updated for p in seen] == sorted((p.updated for p in seen), reverse=True)
    with pytest.raises(Invalid):
        await server.domain.projects.list(alice, "all", cursor="; drop")


async def test_stars_are_counted_right_when_many_star_at_once(server: Box) -> None:
    _, project = await genome(server, visibility=Visibility.PUBLIC)
    people = [await server.person(f"p{n}") for n in range(12)]
    verbs = server.domain.projects
    await asyncio.gather(*(verbs.star(one, "alice", "genome", True) for one in people for _ in range(2)))
    assert (await verbs.by_id(project.id)).stars == 12  # type: ignore[union-attr]
    await asyncio.gather(*(verbs.star(one, "alice", "genome", False) for one in people[:5]))
    assert (await verbs.by_id(project.id)).stars == 7  # type: ignore[union-attr]
    starred = await server.person("p9")
    assert await names_of(server, starred, "starred") == ["alice/genome"]


# ── life ────────────────────────────────────────────────────────────────────────────────────────────


async def test_start_stop(server: Box) -> None:
    alice, project = await genome(server)
    started = await server.domain.projects.start(alice, "alice", "genome")
    assert started.state is S.STARTING
    running = await state(server, project, S.RUNNING)
    assert (running.node, running.placed) == ("n1", True)
    assert server.node.of(PrepareProject)[0].project.owner == "alice"
    await server.domain.projects.stop(alice, "alice", "genome")
    await state(server, project, S.STOPPED)
    assert (await server.domain.projects.stop(alice, "alice", "genome")).state is S.STOPPED


async def test_stop_ends_all_sessions_first(server: Box) -> None:
    alice, project = await genome(server)
    await server.person("bob")
    await server.domain.team.set(alice, "alice", "genome", "bob")
    for who in ("alice", "bob"):
        await server.domain.sessions.open(await server.person(who), "alice", "genome", "jupyterlab")
    await state(server, project, S.RUNNING)
    await server.domain.projects.stop(alice, "alice", "genome")
    await state(server, project, S.STOPPED)
    assert server.node.sessions == {}
    sessions = await server.domain.sessions.of_project(alice, "alice", "genome")
    assert [session.phase for session in sessions] == [Phase.STOPPED, Phase.STOPPED]


@pytest.mark.parametrize("step", ["account", "directory", "environment", "permissions"])
async def test_a_start_that_fails_says_where_and_can_be_reset(server: Box, step: str) -> None:
    alice, project = await genome(server)
    server.node.fail_at = step
    await server.domain.projects.start(alice, "alice", "genome")
    problem = await state(server, project, S.PROBLEM)
    assert problem.reason == f"{step}: disk full"
    assert problem.placed is (step in ("environment", "permissions"))
    assert (await server.domain.projects.reset(alice, "alice", "genome")).state is S.STOPPED
    server.node.fail_at = ""
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)


async def test_reset_clears_away_sessions_that_failed(server: Box) -> None:
    alice, _project = await genome(server)
    server.node.fail_at = "environment"
    session = await server.domain.sessions.open(alice, "alice", "genome", "jupyterlab")

    async def failed() -> bool:
        return (await server.domain.sessions.get(alice, session.id)).phase is Phase.PROBLEM

    await until(failed, 10, "the session failed")
    await server.domain.projects.reset(alice, "alice", "genome")
    after = await server.domain.sessions.get(alice, session.id)
    assert (after.phase, after.reason) == (Phase.STOPPED, "project reset by alice")


async def test_reset_asks_the_node_to_make_room(server: Box) -> None:
    """What a member laid in the place of `envs` kept the project from starting: see the launcher's tests."""
    alice, project = await genome(server)
    await server.domain.projects.reset(alice, "alice", "genome")
    assert server.node.of(ApplyPermissions) == []  # it was never started: there is no directory
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)
    await server.domain.projects.reset(alice, "alice", "genome")
    assert [(asked.clear, asked.repair) for asked in server.node.of(ApplyPermissions)] == [(True, False)]


async def test_a_node_that_refuses_leaves_a_problem(server: Box) -> None:
    alice, _project = await genome(server)
    server.node.refuse = Conflict("There is an account alice that AEN did not make.")
    started = await server.domain.projects.start(alice, "alice", "genome")
    assert (started.state, started.reason) == (S.PROBLEM, "There is an account alice that AEN did not make.")


async def test_no_node_is_said_and_changes_nothing(server: Box) -> None:
    alice, project = await genome(server)

    async def silent() -> bool:
        return not server.domain.nodes.up(server.node.name)

    async with server.node.away():
        await until(silent, 30, "the node counts as silent")
        with pytest.raises(Unavailable, match="compute node"):
            await server.domain.projects.start(alice, "alice", "genome")
    found = await server.domain.projects.by_id(project.id)
    assert found is not None
    assert (found.state, found.node) == (S.STOPPED, "")


async def test_a_project_stays_where_its_directory_is(server: Box) -> None:
    alice, project = await genome(server)
    _, other = await genome(server, "other")
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)
    await server.domain.projects.stop(alice, "alice", "genome")
    await state(server, project, S.STOPPED)
    async with FakeNode(server.bus, "n2") as second, server.node.away():

        async def known() -> bool:
            return server.domain.nodes.up("n2")

        await until(known, 5, "n2 is heard of")
        server.domain.nodes.heard["n1"] -= 60
        with pytest.raises(Unavailable, match="n1, which has not been heard of for 60 s"):
            await server.domain.projects.start(alice, "alice", "genome")
        await server.domain.projects.start(alice, "alice", "other")
        assert (await state(server, other, S.RUNNING)).node == "n2"
        assert [command.project.name for command in second.of(PrepareProject)] == ["other"]
    found = await server.domain.projects.by_id(project.id)
    assert found is not None
    assert (found.state, found.node) == (S.STOPPED, "n1")


async def test_lost_word_of_a_start_is_asked_again(server: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aen.roles.server.project.life._SILENT_SECONDS", 1.0)
    alice, project = await genome(server)
    server.node.mute = True
    await server.domain.projects.start(alice, "alice", "genome")
    assert len(server.node.of(PrepareProject)) == 1
    server.node.mute = False
    await state(server, project, S.RUNNING)
    assert len(server.node.of(PrepareProject)) == 2


async def test_reset_works_with_the_node_away(server: Box) -> None:
    alice, project = await genome(server)
    session = await server.domain.sessions.open(alice, "alice", "genome", "jupyterlab")
    await state(server, project, S.RUNNING)
    async with server.node.away():
        assert (await server.domain.projects.reset(alice, "alice", "genome")).state is S.STOPPED
        assert (await server.domain.sessions.get(alice, session.id)).phase is Phase.STOPPED

    async def ended() -> bool:
        return server.node.sessions == {}

    await until(ended, 10, "the node that is back was told to end what nobody wants")


# ── rename and delete ───────────────────────────────────────────────────────────────────────────────


async def test_rename_moves_the_directory_first(server: Box) -> None:
    alice, project = await genome(server)
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)
    with pytest.raises(Conflict, match="Stop it"):
        await server.domain.projects.rename(alice, "alice", "genome", "dna")
    await server.domain.projects.stop(alice, "alice", "genome")
    await state(server, project, S.STOPPED)
    renamed = await server.domain.projects.rename(alice, "alice", "genome", "dna")
    assert (renamed.slug, renamed.pending, renamed.renaming) == ("alice/dna", [], "")
    assert server.node.directories == {"alice/dna"}
    assert (await server.domain.projects.list(alice, "mine", search="dna"))[0][0].id == project.id
    with pytest.raises(NotFound):
        await server.domain.projects.get(alice, "alice", "genome")


async def test_rename_to_a_name_that_is_taken(server: Box) -> None:
    alice, _ = await genome(server)
    await genome(server, "dna")
    with pytest.raises(Conflict):
        await server.domain.projects.rename(alice, "alice", "genome", "dna")
    assert (await server.domain.projects.get(alice, "alice", "genome")).pending == []


async def test_rename_that_the_node_refuses_keeps_the_name(server: Box) -> None:
    alice, project = await genome(server)
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)
    await server.domain.projects.stop(alice, "alice", "genome")
    await state(server, project, S.STOPPED)
    async with server.node.away():
        with pytest.raises(Unavailable):
            await server.domain.projects.rename(alice, "alice", "genome", "dna")
    found = await server.domain.projects.get(alice, "alice", "genome")
    assert (found.slug, found.renaming, found.pending) == ("alice/genome", "", [])


async def test_rename_cut_off_after_the_node_goes_on_after_a_restart(server: Box) -> None:
    alice, project = await genome(server)
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)
    await server.domain.projects.stop(alice, "alice", "genome")
    await state(server, project, S.STOPPED)

    def as_if_cut_off(project: Project) -> None:
        project.renaming, project.pending = "dna", ["rename"]

    await server.domain.projects.edit(project.id, as_if_cut_off)
    server.node.directories = {"alice/dna"}
    domain = await server.restart()

    async def renamed() -> bool:
        found = await domain.projects.by_id(project.id)
        return found is not None and found.slug == "alice/dna" and not found.pending

    await until(renamed, 15, "the rename went on")
    assert server.node.of(RenameProject)


async def gone(server: Box, project: Project) -> None:
    async def look() -> bool:
        return await server.domain.projects.by_id(project.id) is None

    await until(look, 15, f"{project.slug} is deleted")


async def test_delete_needs_the_name_and_leaves_nothing(server: Box) -> None:
    alice, project = await genome(server, visibility=Visibility.PUBLIC)
    bob = await server.person("bob")
    await server.domain.projects.star(bob, "alice", "genome", True)
    session = await server.domain.sessions.open(alice, "alice", "genome", "jupyterlab")
    await state(server, project, S.RUNNING)
    with pytest.raises(Invalid):
        await server.domain.projects.delete(alice, "alice", "genome", "genom")
    with pytest.raises(Denied):
        await server.domain.projects.delete(bob, "alice", "genome", "genome")
    await server.domain.projects.delete(alice, "alice", "genome", "genome")
    await gone(server, project)
    assert server.node.directories == set()
    assert server.node.sessions == {}
    assert await server.store.get("sessions", session.id) is None
    assert (await server.store.get("users", "bob"))["starred"] == []  # type: ignore[index]
    assert server.domain.sessions.routes.get(session.id) is None
    await genome(server)  # the name is free again


async def test_delete_goes_on_after_the_server_ended_in_the_middle(server: Box) -> None:
    alice, project = await genome(server)
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)
    server.node.deaf_to = {DeleteProject}
    await server.domain.projects.delete(alice, "alice", "genome", "alice/genome")

    async def asked() -> bool:
        return bool(server.node.of(DeleteProject))

    await until(asked, 10, "the node was asked")
    server.node.deaf_to = set()
    await server.restart()
    await gone(server, project)
    assert server.node.directories == set()


async def test_delete_whose_job_was_never_added_is_found(server: Box) -> None:
    _alice, project = await genome(server)

    def as_if_cut_off(project: Project) -> None:
        project.move(S.DELETING)
        project.pending = ["delete"]

    await server.domain.projects.edit(project.id, as_if_cut_off)
    await server.restart()
    await gone(server, project)


async def test_delete_that_fails_for_good_is_a_problem_that_can_be_reset(server: Box) -> None:
    alice, project = await genome(server)
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)
    server.node.refuse = Invalid("The directory is on another file system.")
    job = await server.domain.projects.delete(alice, "alice", "genome", "genome")
    problem = await state(server, project, S.PROBLEM, 15)
    assert "another file system" in problem.reason
    assert (await server.domain.jobs.get(alice, job.id)).state is JobState.FAILED
    server.node.refuse = None
    await server.domain.projects.delete(alice, "alice", "genome", "genome")
    await gone(server, project)


# ── team ────────────────────────────────────────────────────────────────────────────────────────────


async def test_team_of_a_project_that_never_started_asks_no_node(server: Box) -> None:
    alice, _project = await genome(server)
    await server.person("bob")
    changed = await server.domain.team.set(alice, "alice", "genome", "bob")
    assert (changed.role_of("bob"), changed.members, changed.pending) == (Role.MEMBER, ["alice", "bob"], [])
    changed = await server.domain.team.remove(alice, "alice", "genome", "bob")
    assert (changed.members, changed.former) == (["alice"], [])
    assert server.node.asked == []


async def test_team_rules(server: Box) -> None:
    alice, _ = await genome(server)
    bob, carol = await server.person("bob"), await server.person("carol")
    team = server.domain.team
    with pytest.raises(NotFound):
        await team.set(alice, "alice", "genome", "nobody-here")
    for role in ("owner", "king"):
        with pytest.raises(Invalid):
            await team.set(alice, "alice", "genome", "bob", role)
    with pytest.raises(Conflict):
        await team.set(alice, "alice", "genome", "alice", "viewer")
    with pytest.raises(Conflict):
        await team.set(alice, "alice", "genome", "alice", "maintainer")
    with pytest.raises(Conflict):
        await team.remove(alice, "alice", "genome", "alice")
    with pytest.raises(NotFound):
        await team.set(carol, "alice", "genome", "carol")
    await team.set(alice, "alice", "genome", "bob", "member")
    with pytest.raises(Denied):
        await team.set(bob, "alice", "genome", "carol")
    with pytest.raises(NotFound):
        await team.remove(alice, "alice", "genome", "carol")
    left = await team.remove(bob, "alice", "genome", "bob")
    assert left.members == ["alice"]


async def test_many_added_at_once_are_all_there(server: Box) -> None:
    alice, project = await genome(server)
    people = [f"p{n}" for n in range(16)]
    for name in people:
        await server.person(name)
    await asyncio.gather(*(server.domain.team.set(alice, "alice", "genome", name) for name in people))
    found = await server.domain.projects.by_id(project.id)
    assert found is not None
    assert sorted(found.members) == sorted(["alice", *people])
    assert [member.user for member in found.team] == found.members


async def test_a_team_has_a_most(server: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aen.roles.server.project.team.MOST", 2)
    alice, _ = await genome(server)
    await server.person("bob")
    await server.person("carol")
    await server.domain.team.set(alice, "alice", "genome", "bob")
    with pytest.raises(Conflict, match=r"has 2 people in its team.*set acl.subject to group"):
        await server.domain.team.set(alice, "alice", "genome", "carol")
    await server.domain.team.set(alice, "alice", "genome", "bob", "viewer")
    monkeypatch.setattr(server.domain.config.acl, "subject", "group")
    await server.domain.team.set(alice, "alice", "genome", "carol")


async def applied(server: Box, project: Project) -> Project:
    async def look() -> Project | None:
        found = await server.domain.projects.by_id(project.id)
        return found if found is not None and not found.pending else None

    return await until(look, 10, "the node has applied the team")


async def test_the_node_hears_of_every_change_of_the_team(server: Box) -> None:
    alice, project = await genome(server)
    await server.person("bob")
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)
    await server.domain.team.set(alice, "alice", "genome", "bob")
    await applied(server, project)
    assert [member.user for member in server.node.of(ApplyPermissions)[-1].project.team] == ["alice", "bob"]
    await server.domain.team.remove(alice, "alice", "genome", "bob")
    found = await applied(server, project)
    last = server.node.of(ApplyPermissions)[-1].project
    assert ([member.user for member in last.team], last.former, found.former) == (["alice"], ["bob"], [])


async def test_permissions_wait_for_a_node_that_is_away(server: Box) -> None:
    alice, project = await genome(server)
    await server.person("bob")
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)
    async with server.node.away():
        changed = await server.domain.team.set(alice, "alice", "genome", "bob")
        assert changed.pending == ["permissions"]
    await applied(server, project)
    assert [member.user for member in server.node.of(ApplyPermissions)[-1].project.team] == ["alice", "bob"]


async def test_transfer_before_the_first_start(server: Box) -> None:
    alice, project = await genome(server)
    bob = await server.person("bob")
    with pytest.raises(Conflict):
        await server.domain.team.transfer(alice, "alice", "genome", "bob")
    await server.domain.team.set(alice, "alice", "genome", "bob")
    given = await server.domain.team.transfer(alice, "alice", "genome", "bob")
    assert (given.slug, given.role_of("bob"), given.role_of("alice")) == ("bob/genome", Role.OWNER, Role.MAINTAINER)
    assert await names_of(server, bob, "mine") == ["bob/genome"]
    await server.domain.projects.start(bob, "bob", "genome")
    await state(server, project, S.RUNNING)
    with pytest.raises(Conflict, match="Stop it before you give it"):
        await server.domain.team.transfer(bob, "bob", "genome", "alice")


async def test_transfer_of_what_was_started_moves_its_directory(server: Box) -> None:
    alice, project = await genome(server)
    bob = await server.person("bob")
    await server.domain.team.set(alice, "alice", "genome", "bob")
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)
    await server.domain.projects.stop(alice, "alice", "genome")
    await state(server, project, S.STOPPED)
    await server.domain.projects.create(bob, NewProject(name="genome"))
    with pytest.raises(Conflict, match="already has a project named genome"):
        await server.domain.team.transfer(alice, "alice", "genome", "bob")
    await server.domain.projects.rename(bob, "bob", "genome", "mine")
    given = await server.domain.team.transfer(alice, "alice", "genome", "bob")
    assert (given.slug, given.role_of("bob"), given.role_of("alice")) == ("bob/genome", Role.OWNER, Role.MAINTAINER)
    assert (given.renaming, given.passing) == ("", "")
    assert server.node.directories == {"bob/genome"}
    assert server.node.of(RenameProject)[-1].new_owner == "bob"
    await applied(server, project)  # the old owner has another role now
    assert server.node.of(ApplyPermissions)[-1].project.owner == "bob"


async def test_transfer_cut_off_goes_on_after_a_restart(server: Box) -> None:
    alice, project = await genome(server)
    await server.person("bob")
    await server.domain.team.set(alice, "alice", "genome", "bob")
    await server.domain.projects.start(alice, "alice", "genome")
    await state(server, project, S.RUNNING)
    await server.domain.projects.stop(alice, "alice", "genome")
    await state(server, project, S.STOPPED)

    def as_if_cut_off(project: Project) -> None:
        project.renaming, project.passing, project.pending = "genome", "bob", ["rename"]

    await server.domain.projects.edit(project.id, as_if_cut_off)
    with pytest.raises(Conflict, match="being given to bob"):
        await server.domain.team.remove(alice, "alice", "genome", "bob")
    domain = await server.restart()

    async def moved() -> bool:
        found = await domain.projects.by_id(project.id)
        return found is not None and found.slug == "bob/genome" and not found.renaming

    await until(moved, 15, "the transfer went on")
    assert server.node.directories == {"bob/genome"}


async def test_forget_takes_a_person_off_every_team(server: Box) -> None:
    alice, project = await genome(server)
    await server.person("bob")
    await server.domain.team.set(alice, "alice", "genome", "bob")
    await server.domain.team.forget("bob")
    found = await server.domain.projects.by_id(project.id)
    assert found is not None
    assert found.members == ["alice"]
    with pytest.raises(Conflict):
        await server.domain.team.forget("alice")
