"""The server's sessions: opening, races, lost events, restarts, removal, silent nodes; store and bus are real."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from aen.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from aen.messages import ApplyPermissions, ReadRoutes, RouteAdded, RouteRemoved, StartSession, StopSession
from aen.model import now
from aen.model.project import Project, ProjectState, Role, Visibility
from aen.model.session import Idle, Phase, Session, Use
from aen.roles.server.permissions import Actor
from aen.roles.server.project.wording import NewProject
from tests.box import GATEWAY, Box, box
from tests.waiting import until

P = Phase


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


@pytest.fixture
async def alice(server: Box) -> Actor:
    """Owner of alice/genome."""
    actor = await server.person("alice")
    await server.domain.projects.create(actor, NewProject(name="genome"))
    return actor


async def opened(server: Box, actor: Actor, app: str = "jupyterlab") -> Session:
    return await server.domain.sessions.open(actor, "alice", "genome", app)


async def phase(server: Box, id: str, wanted: Phase, seconds: float = 10) -> Session:
    async def look() -> Session | None:
        doc = await server.store.get("sessions", id)
        return Session.model_validate(doc) if doc and doc["phase"] == wanted else None

    return await until(look, seconds, f"the session is {wanted}")


async def project(server: Box, wanted: Callable[[Project], bool], what: str) -> Project:
    async def look() -> Project | None:
        found = await server.domain.projects.get(Actor(local=True), "alice", "genome")
        return found if wanted(found) else None

    return await until(look, 10, what)


async def routes(server: Box) -> list[str]:
    """Session ids that gateways are told of."""
    answer = await server.bus.request("server", ReadRoutes(datacenter="main"))
    return [route.session for route in answer.routes]


async def routed(server: Box, id: str, there: bool = True) -> None:
    async def look() -> bool:
        try:
            return (id in await routes(server)) is there
        except Unavailable:
            return False

    await until(look, 10, "the route is " + ("there" if there else "gone"))


# ── opening ─────────────────────────────────────────────────────────────────────────────────────────


async def test_open_runs_and_is_reached(server: Box, alice: Actor) -> None:
    added: list[RouteAdded] = []

    async def hear(event: RouteAdded) -> None:
        added.append(event)

    subscription = server.bus.subscribe(RouteAdded, hear)
    session = await opened(server, alice)
    session = await phase(server, session.id, P.RUNNING)
    await routed(server, session.id)
    view = server.domain.sessions.view(session)
    assert (view["app"], view["app_server"], view["project"], view["user"]) == (
        "jupyterlab",
        "jupyter",
        "alice/genome",
        "alice",
    )
    assert view["url"] == f"{GATEWAY}/alice/genome/jupyter/"
    assert view["open_url"] == f"{GATEWAY}/alice/genome/jupyter/lab"
    assert [step["state"] for step in view["steps"]] == ["done"] * 5
    running = await project(server, lambda p: p.state is ProjectState.RUNNING, "the project runs")
    assert (running.node, running.placed) == ("n1", True)
    route = server.domain.sessions.routes.get(session.id)
    assert route is not None
    assert (route.users, route.user, route.generation) == (["alice"], "alice", session.generation)
    assert [event.route for event in added] == [route]
    (command,) = server.node.of(StartSession)
    assert command.told == {"name": "alice", "email": "alice@localhost"}  # as whom git commits
    subscription.cancel()


async def test_secrets_stay_with_the_gateways(server: Box, alice: Actor) -> None:
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    await routed(server, session.id)
    route = server.domain.sessions.routes.get(session.id)
    assert route is not None
    assert route.secret.startswith("secret-")
    assert "secret-" not in json.dumps(server.domain.sessions.view(await server.domain.sessions.get(alice, session.id)))
    assert "secret-" not in json.dumps(await server.store.get("sessions", session.id))


async def test_another_app_of_the_server_is_the_same_session(server: Box, alice: Actor) -> None:
    first = await opened(server, alice)
    await phase(server, first.id, P.RUNNING)
    second = await opened(server, alice, "terminal")
    assert (second.id, second.generation, second.app) == (first.id, first.generation, "terminal")
    assert server.domain.sessions.view(second)["open_url"].endswith("/jupyter/terminals/1")
    assert len(server.node.of(StartSession)) == 1


async def test_many_opens_at_once_are_one_session(server: Box, alice: Actor) -> None:
    found = await asyncio.gather(*(opened(server, alice) for _ in range(10)))
    assert len({(session.id, session.generation) for session in found}) == 1
    assert len({command.generation for command in server.node.of(StartSession)}) == 1


async def test_opened_again_it_is_a_newer_generation(server: Box, alice: Actor) -> None:
    first = await opened(server, alice)
    await phase(server, first.id, P.RUNNING)
    await server.domain.sessions.stop(alice, first.id)
    await phase(server, first.id, P.STOPPED)
    await routed(server, first.id, False)
    second = await opened(server, alice)
    assert second.id == first.id
    assert second.generation > first.generation
    await phase(server, first.id, P.RUNNING)
    await routed(server, first.id)


async def test_a_shared_app_is_one_for_all_and_runs_as_the_owner(server: Box, alice: Actor) -> None:
    bob = await server.person("bob")
    await server.domain.team.set(alice, "alice", "genome", "bob")
    first, second = await opened(server, bob, "board"), await opened(server, alice, "board")
    assert (first.id, first.user) == (second.id, "*")
    command = server.node.of(StartSession)[0]
    assert (command.user, command.shared, command.told) == ("alice", True, {})
    await routed(server, first.id)
    route = server.domain.sessions.routes.get(first.id)
    assert route is not None
    assert route.users == ["alice", "bob"]
    await server.domain.team.remove(alice, "alice", "genome", "bob")
    route = server.domain.sessions.routes.get(first.id)
    assert route is not None
    assert route.users == ["alice"]
    assert (await server.domain.sessions.get(alice, first.id)).phase is P.RUNNING


async def test_who_may_open(server: Box, alice: Actor) -> None:
    viewer, stranger, admin = [await server.person(n, admin=n == "adam") for n in ("vera", "carol", "adam")]
    await server.domain.team.set(alice, "alice", "genome", "vera", "viewer")
    with pytest.raises(NotFound):
        await opened(server, stranger)
    for actor in (viewer, admin):
        with pytest.raises(Denied):
            await opened(server, actor)
    with pytest.raises(NotFound, match="no app"):
        await opened(server, alice, "emacs")
    assert server.node.asked == []
    assert (await project(server, lambda p: True, "it is there")).state is ProjectState.STOPPED


async def test_who_sees_and_ends_a_session(server: Box, alice: Actor) -> None:
    people = {name: await server.person(name, admin=name == "adam") for name in ("bob", "mia", "carol", "adam")}
    await server.domain.team.set(alice, "alice", "genome", "bob")
    await server.domain.team.set(alice, "alice", "genome", "mia", "maintainer")
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    server.node.sessions[session.id].log_tail = "private words"
    await server.node.beat()

    async def written() -> bool:
        return (await server.domain.sessions.get(alice, session.id)).log_tail == "private words"

    await until(written, 10, "the log's tail is there")
    sessions = server.domain.sessions
    assert (await sessions.get(people["bob"], session.id)).log_tail == ""
    assert (await sessions.get(people["mia"], session.id)).log_tail == "private words"
    assert await sessions.log(people["adam"], session.id) == f"log of {session.id}"
    with pytest.raises(Denied):
        await sessions.log(people["bob"], session.id)
    with pytest.raises(Denied):
        await sessions.stop(people["bob"], session.id)
    for verb in (sessions.get, sessions.stop, sessions.log):
        with pytest.raises(NotFound):
            await verb(people["carol"], session.id)
    assert [one.id for one in await sessions.of_project(people["bob"], "alice", "genome")] == [session.id]
    assert [one.id for one in await sessions.of_user(alice, "alice")] == [session.id]
    with pytest.raises(Denied):
        await sessions.of_user(people["mia"], "alice")
    assert [one.id for one in (await sessions.all(people["adam"]))[0]] == [session.id]
    assert (await sessions.stop(people["mia"], session.id)).phase is P.STOPPING
    await phase(server, session.id, P.STOPPED)


async def test_a_stranger_sees_no_sessions_of_a_public_project(server: Box) -> None:
    alice, carol = await server.person("alice"), await server.person("carol")
    await server.domain.projects.create(alice, NewProject(name="genome", visibility=Visibility.PUBLIC))
    session = await opened(server, alice)
    assert await server.domain.sessions.of_project(carol, "alice", "genome") == []
    with pytest.raises(NotFound):
        await server.domain.sessions.get(carol, session.id)


# ── failing ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("step", ["account", "directory", "environment", "permissions", "app"])
async def test_a_start_that_fails_says_where_and_works_afterwards(server: Box, alice: Actor, step: str) -> None:
    server.node.fail_at = step
    session = await opened(server, alice)
    session = await phase(server, session.id, P.PROBLEM)
    assert (session.reason, session.log_tail) == (f"{step}: disk full", "ENOSPC")
    problem = await project(server, lambda p: p.state is ProjectState.PROBLEM, "the project has a problem")
    assert "disk full" in problem.reason
    assert problem.log_tail == "ENOSPC"
    assert [one.state for one in session.steps if one.name == step] == ["failed"]
    assert (await server.domain.projects.reset(alice, "alice", "genome")).state is ProjectState.STOPPED
    server.node.fail_at = ""
    await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    await project(server, lambda p: p.state is ProjectState.RUNNING, "it runs")


async def test_a_failed_start_beside_a_running_session_leaves_the_project_running(server: Box, alice: Actor) -> None:
    first = await opened(server, alice)
    await phase(server, first.id, P.RUNNING)
    await project(server, lambda p: p.state is ProjectState.RUNNING, "it runs")
    server.node.fail_at = "app"
    second = await opened(server, alice, "board")
    await phase(server, second.id, P.PROBLEM)
    assert (await project(server, lambda p: True, "there")).state is ProjectState.RUNNING


async def test_a_process_that_ends_by_itself(server: Box, alice: Actor) -> None:
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    await routed(server, session.id)
    await server.node.die(session.id)
    ended = await phase(server, session.id, P.PROBLEM)
    assert "137" in ended.reason
    await routed(server, session.id, False)


async def test_a_node_that_is_away_for_a_moment_is_waited_for(server: Box, alice: Actor) -> None:
    """As after a restart of the bus: the start goes on by itself, once, and the page says what it waits for."""
    server.node.leave()
    session = await opened(server, alice)
    assert (session.phase, session.steps[0].detail) == (P.QUEUED, "waiting for the compute node n1")
    again = await opened(server, alice)  # who presses twice gets the same start
    assert (again.id, again.generation) == (session.id, session.generation)
    server.node.listen()
    running = await phase(server, session.id, P.RUNNING)
    assert running.steps[0].detail == ""
    assert {(one.session, one.generation) for one in server.node.of(StartSession)} == {(session.id, session.generation)}
    assert list(server.node.sessions) == [session.id]


async def test_who_stops_waiting_starts_nothing(server: Box, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aen.roles.server.session.reports._MISSING_SECONDS", 0.1)
    server.node.leave()
    session = await opened(server, alice)
    await server.domain.sessions.stop(alice, session.id)
    server.node.listen()
    await phase(server, session.id, P.STOPPED)
    await server.domain.projects.background.idle()
    assert server.node.of(StartSession) == []


async def test_starts_asked_all_at_once_while_nobody_answers_are_one(server: Box, alice: Actor) -> None:
    """And are asked again by the sweep as well: the node starts one session of one generation."""
    server.node.leave()
    many = await asyncio.gather(*(opened(server, alice) for _ in range(10)))
    assert len({(one.id, one.generation) for one in many}) == 1
    server.domain.sessions.dispatch.launch_soon(many[0])
    server.node.listen()
    await phase(server, many[0].id, P.RUNNING)
    assert {one.generation for one in server.node.of(StartSession)} == {many[0].generation}


async def test_a_start_that_the_node_refuses_is_not_tried_again(server: Box, alice: Actor) -> None:
    server.node.refuse = Unavailable("The disk of the projects on n1 is full.")  # waiting does not help
    session = await opened(server, alice)
    assert (session.phase, session.reason) == (P.PROBLEM, "The disk of the projects on n1 is full.")
    assert len(server.node.of(StartSession)) == 1


async def test_nobody_at_the_node(server: Box, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aen.roles.server.patience.SECONDS", 1.0)
    server.node.leave()  # it was heard of a moment ago, and is gone
    session = await opened(server, alice)
    assert session.phase is P.QUEUED
    failed = await phase(server, session.id, P.PROBLEM)
    assert "The compute node n1 does not answer right now" in failed.reason
    found = await project(server, lambda p: p.state is ProjectState.PROBLEM, "the project has a problem")
    assert (found.placed, found.node) == (False, "")


async def test_a_project_is_prepared_when_its_node_is_back(server: Box, alice: Actor) -> None:
    server.node.leave()
    begun = await server.domain.projects.start(alice, "alice", "genome")
    assert begun.state is ProjectState.STARTING
    assert [step.detail for step in server.domain.projects.life.steps(begun.id)] == ["waiting for the compute node n1"]
    server.node.listen()
    await project(server, lambda p: p.state is ProjectState.RUNNING, "the project runs")


async def test_stopped_before_it_ran(server: Box, alice: Actor) -> None:
    server.node.hold = True
    session = await opened(server, alice)
    assert session.phase is P.STARTING
    await server.domain.sessions.stop(alice, session.id)
    await phase(server, session.id, P.STOPPED)
    await project(server, lambda p: p.state is ProjectState.STOPPED, "the project is stopped, too")
    assert server.node.sessions == {}


async def test_a_project_stopped_while_an_app_is_opened_stays_stopped(server: Box, alice: Actor) -> None:
    """The stop comes after the start was recorded and before the node is asked: the node is not asked."""
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    await server.domain.projects.stop(alice, "alice", "genome")
    await phase(server, session.id, P.STOPPED)
    await project(server, lambda p: p.state is ProjectState.STOPPED, "stopped")
    doc = await server.store.get("sessions", session.id)
    assert doc is not None
    asked = len(server.node.of(StartSession))
    queued = Session.model_validate(await server.store.replace("sessions", {**doc, "phase": "QUEUED"}))
    refused = await server.domain.sessions.dispatch.launch(queued)
    assert (refused.phase, refused.reason) == (P.STOPPED, "the project was stopped")
    assert len(server.node.of(StartSession)) == asked


# ── repair ──────────────────────────────────────────────────────────────────────────────────────────


async def test_lost_events_are_repaired_by_heartbeats(server: Box, alice: Actor) -> None:
    server.node.mute = server.node.hold = True
    session = await opened(server, alice)
    await server.node.run(session.id)
    await phase(server, session.id, P.RUNNING)
    await routed(server, session.id)
    await project(server, lambda p: p.state is ProjectState.RUNNING, "the project runs")


async def test_a_late_report_changes_nothing(server: Box, alice: Actor) -> None:
    server.node.hold = True
    session = await opened(server, alice)
    early = server.node.sessions[session.id]
    await server.node.run(session.id)
    await phase(server, session.id, P.RUNNING)
    reports = server.domain.sessions.reports
    assert (await reports.apply("n1", early)).phase is P.RUNNING  # type: ignore[union-attr]
    older = early.model_copy(update={"generation": early.generation - 1, "phase": P.PROBLEM})
    assert await reports.apply("n1", older) is None
    assert await reports.apply("n2", early.model_copy(update={"phase": P.PROBLEM})) is None
    assert (await server.domain.sessions.get(alice, session.id)).phase is P.RUNNING


@pytest.mark.parametrize("late", [P.QUEUED, P.STARTING, P.RUNNING, P.STOPPING, P.STOPPED, P.PROBLEM])
async def test_what_is_over_stays_over(server: Box, alice: Actor, late: Phase) -> None:
    session = await opened(server, alice)
    running = await phase(server, session.id, P.RUNNING)
    report = server.node.sessions[session.id].model_copy(update={"phase": late, "reason": "late"})
    await server.domain.sessions.stop(alice, session.id)
    stopped = await phase(server, session.id, P.STOPPED)
    assert stopped.generation == running.generation
    after = await server.domain.sessions.reports.apply("n1", report)
    assert after is not None
    assert (after.phase, after.reason) == (P.STOPPED, "stopped by alice")
    assert await routes(server) == []


async def test_a_stop_is_a_stop_however_the_process_ends(server: Box, alice: Actor) -> None:
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    killed = server.node.sessions[session.id].model_copy(update={"phase": P.PROBLEM, "reason": "exit code 137"})
    server.node.deaf_to = {StopSession}
    await server.domain.sessions.stop(alice, session.id)
    after = await server.domain.sessions.reports.apply("n1", killed)
    assert after is not None
    assert (after.phase, after.reason) == (P.STOPPED, "stopped by alice")


async def test_a_session_that_vanished_is_lost_and_can_be_opened_again(
    server: Box, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aen.roles.server.session.reports._MISSING_SECONDS", 0.5)
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    kept = server.node.sessions.pop(session.id)
    lost = await phase(server, session.id, P.LOST)
    assert "no longer there at n1" in lost.reason
    await routed(server, session.id, False)
    await project(server, lambda p: p.state is ProjectState.PROBLEM, "the project says so")
    server.node.sessions[session.id] = kept  # it was there all the time: the node had restarted
    await phase(server, session.id, P.RUNNING)
    await routed(server, session.id)


async def test_a_start_that_its_node_did_not_hear_is_asked_again(
    server: Box, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aen.roles.server.session.reports._AGAIN_SECONDS", 0.2)
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    server.node.sessions.clear()
    doc = await server.store.get("sessions", session.id)
    assert doc is not None
    newer = {**doc, "phase": "QUEUED", "generation": doc["generation"] + 1}
    await server.store.replace("sessions", newer)  # as if the server had ended before it asked
    again = await phase(server, session.id, P.RUNNING)
    assert again.generation == doc["generation"] + 1


async def test_what_nobody_wants_is_stopped(server: Box, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aen.roles.server.session.reports._UNWANTED_SECONDS", 0.3)
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    stray = server.node.sessions[session.id].model_copy(update={"session": "stray", "generation": 7})
    server.node.sessions["stray"] = stray

    async def stopped() -> bool:
        return "stray" not in server.node.sessions

    await until(stopped, 10, "the stray session is stopped")
    assert [(command.session, command.generation) for command in server.node.of(StopSession)] == [("stray", 7)]
    assert session.id in server.node.sessions


async def test_a_stop_that_its_node_did_not_hear_is_said_again(server: Box, alice: Actor) -> None:
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    await routed(server, session.id)
    server.node.leave()
    stopping = await server.domain.sessions.stop(alice, session.id)
    assert stopping.phase is P.STOPPING
    await routed(server, session.id, False)
    with pytest.raises(Conflict):
        await opened(server, alice)
    server.node.listen()
    await phase(server, session.id, P.STOPPED)
    assert server.node.sessions == {}


async def test_a_silent_node_keeps_its_sessions_and_they_are_flagged(
    server: Box, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    await routed(server, session.id)
    assert server.domain.sessions.view(session)["in_sight"] is True
    for name in ("views", "reports"):
        monkeypatch.setattr(f"aen.roles.server.session.{name}.SILENT_SECONDS", 0.5)
    monkeypatch.setattr("aen.roles.server.session.reports._MISSING_SECONDS", 0.1)
    async with server.node.away():

        async def flagged() -> bool:
            return server.domain.sessions.view(session)["in_sight"] is False

        await until(flagged, 10, "the session is out of sight")
        await server.domain.sessions.reports.sweep()
        assert (await server.domain.sessions.get(alice, session.id)).phase is P.RUNNING
        assert session.id in await routes(server)


async def test_a_restarted_server_keeps_sessions_running(server: Box, alice: Actor) -> None:
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    await routed(server, session.id)
    before = server.domain.sessions.routes.get(session.id)
    server.node.beating = False
    await server.restart()
    with pytest.raises(Unavailable):  # rather than "there are none": the gateway keeps what it has
        await routes(server)
    server.node.beating = True
    await routed(server, session.id)
    assert server.domain.sessions.routes.get(session.id) == before
    found = await phase(server, session.id, P.RUNNING)
    assert found.generation == session.generation
    assert len(server.node.of(StartSession)) == 1
    assert server.node.of(StopSession) == []


# ── removal ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["remove", "viewer", "leave"])
async def test_who_may_no_longer_run_is_out(server: Box, alice: Actor, how: str) -> None:
    bob = await server.person("bob")
    await server.domain.team.set(alice, "alice", "genome", "bob")
    mine, theirs = await opened(server, alice), await opened(server, bob)
    for session in (mine, theirs):
        await phase(server, session.id, P.RUNNING)
        await routed(server, session.id)
    removed: list[RouteRemoved] = []

    async def hear(event: RouteRemoved) -> None:
        removed.append(event)

    subscription = server.bus.subscribe(RouteRemoved, hear)
    if how == "viewer":
        await server.domain.team.set(alice, "alice", "genome", "bob", "viewer")
    else:
        await server.domain.team.remove(bob if how == "leave" else alice, "alice", "genome", "bob")
    assert await routes(server) == [mine.id]  # at once, whatever the node does
    latest, entries = await server.domain.revocations.after(0)
    assert {(one.kind, one.subject) for one in entries} == {("member", f"{mine.project} bob")}
    assert [one.number for one in entries] == list(range(1, latest + 1))
    await phase(server, theirs.id, P.STOPPED)
    assert set(server.node.sessions) == {mine.id}
    found = await project(server, lambda p: not p.pending, "the node has applied the team")
    assert found.former == []
    last = server.node.of(ApplyPermissions)[-1].project
    assert last.former == ([] if how == "viewer" else ["bob"])
    assert [event.session for event in removed] == [theirs.id]
    subscription.cancel()


async def test_removal_does_not_wait_for_a_silent_node(server: Box, alice: Actor) -> None:
    bob = await server.person("bob")
    await server.domain.team.set(alice, "alice", "genome", "bob")
    session = await opened(server, bob)
    await phase(server, session.id, P.RUNNING)
    await routed(server, session.id)
    async with server.node.away():
        await server.domain.team.remove(alice, "alice", "genome", "bob")
        assert await routes(server) == []
        with pytest.raises(NotFound):
            await opened(server, bob)
    await phase(server, session.id, P.STOPPED, 20)
    await project(server, lambda p: not p.pending, "the node has applied the team")


async def test_a_report_of_somebody_who_left_makes_no_route(server: Box, alice: Actor) -> None:
    """As after a server that ended between taking somebody off the team and closing their session."""
    bob = await server.person("bob")
    await server.domain.team.set(alice, "alice", "genome", "bob")
    session = await opened(server, bob)
    await phase(server, session.id, P.RUNNING)

    def as_if_cut_off(project: Project) -> None:
        project.team = project.team[:1]
        project.members, project.former, project.pending = ["alice"], ["bob"], ["permissions"]

    await server.domain.projects.edit(session.project, as_if_cut_off)
    await server.restart()
    await phase(server, session.id, P.STOPPED)
    assert await routes(server) == []
    await project(server, lambda p: not p.pending, "the node has applied the team")
    _, entries = await server.domain.revocations.after(0)
    assert f"{session.project} bob" in [entry.subject for entry in entries]


async def test_end_user_ends_all_of_a_persons_sessions(server: Box, alice: Actor) -> None:
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    assert await server.domain.sessions.end_user("alice", "alice was locked") == 1
    assert await routes(server) == []
    ended = await phase(server, session.id, P.STOPPED)
    assert ended.reason == "alice was locked"


# ── why it lives on, and what it takes ──────────────────────────────────────────────────────────────


async def idle_now(server: Box, id: str, **known: Any) -> None:
    """The node tells of a session's idleness with its next heartbeat."""
    report = server.node.sessions[id]
    idle = Idle(**{"hours": 2, "most_keep_hours": 72, **known})
    server.node.sessions[id] = report.model_copy(update={"idle": idle, "use": Use(cpu=12, memory=1 << 28, at=now())})


async def measured(server: Box, alice: Actor, id: str, cpu: float) -> bool:
    use = server.domain.sessions.view(await server.domain.sessions.get(alice, id))["use"]
    return use is not None and use["cpu"] == cpu


async def test_a_warning_reaches_the_page_and_is_called_off(server: Box, alice: Actor) -> None:
    session = await opened(server, alice)
    await phase(server, session.id, P.RUNNING)
    told: list[dict[str, Any]] = []

    async def listen() -> None:
        async for happened in server.domain.events.subscribe({f"project:{session.project}"}):
            if happened.kind == "session":
                told.append(happened.data)

    listening = asyncio.create_task(listen())
    at = now() + 600_000
    await idle_now(server, session.id, stops_at=at, warned=True)

    async def recorded(soon: int) -> bool:
        return (await server.domain.sessions.get(alice, session.id)).stops_soon == soon

    await until(lambda: recorded(at), 10, "the warning is recorded")
    view = server.domain.sessions.view(await server.domain.sessions.get(alice, session.id))
    assert view["idle"]["stops_at"] == at
    assert view["use"]["memory"] == 1 << 28

    async def heard() -> bool:
        return bool(told)

    await until(heard, 10, "those who look at the project are told")
    rev = (await server.domain.sessions.get(alice, session.id)).rev
    for cpu in (1.0, 2.0, 3.0):  # what is different each time is not written down
        report = server.node.sessions[session.id]
        server.node.sessions[session.id] = report.model_copy(update={"use": Use(cpu=cpu, at=now())})

        await until(functools.partial(measured, server, alice, session.id, cpu), 10, "the heartbeat is there")
    assert (await server.domain.sessions.get(alice, session.id)).rev == rev
    assert [use.cpu for use in server.domain.sessions.reports.uses.of(session)][-3:] == [1.0, 2.0, 3.0]
    await idle_now(server, session.id, stops_at=at + 7_200_000)
    await until(lambda: recorded(0), 10, "the warning is called off")
    listening.cancel()
    await asyncio.wait([listening])


async def test_keep_is_for_those_who_may_stop_it(server: Box, alice: Actor) -> None:
    bob, eve = await server.person("bob"), await server.person("eve")
    await server.domain.team.set(alice, "alice", "genome", "bob", Role.MEMBER)
    session = await opened(server, alice)
    with pytest.raises(Denied):
        await server.domain.sessions.keep(bob, session.id, 1)
    with pytest.raises(NotFound):
        await server.domain.sessions.keep(eve, session.id, 1)
    await phase(server, session.id, P.RUNNING)
    kept = await server.domain.sessions.keep(alice, session.id, 4)
    assert abs(kept.keep_until - now() - 4 * 3_600_000) < 60_000
    assert server.domain.sessions.view(kept)["idle"]["keep_until"] == kept.keep_until
    with pytest.raises(Invalid, match="at most 72"):
        await server.domain.sessions.keep(alice, session.id, 73)
    assert (await server.domain.sessions.keep(alice, session.id, 0)).keep_until == 0
    await server.domain.sessions.stop(alice, session.id)
    await phase(server, session.id, P.STOPPED)
    with pytest.raises(Conflict, match="only one that runs"):
        await server.domain.sessions.keep(alice, session.id, 1)
