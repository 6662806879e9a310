"""The state machines of projects and sessions: what may follow what, and that a wrong move changes nothing."""

from __future__ import annotations

import itertools

import pytest

from aen.errors import Conflict
from aen.model.project import PROJECT_MOVES, Member, Project, ProjectState, Role
from aen.model.session import LIVE, PHASE_MOVES, STEP_NAMES, Phase, Session, StepState


def project(state: ProjectState = ProjectState.STOPPED) -> Project:
    return Project(id="p", slug="a/b", owner="a", name="b", datacenter="main", state=state, since=1)


def session(phase: Phase = Phase.QUEUED) -> Session:
    words = {"project": "p", "slug": "a/b", "owner": "a", "name": "b", "app_server": "jupyter", "app": "jupyterlab"}
    people = {"user": "a", "started_by": "a", "datacenter": "main", "node": "n1"}
    return Session(id="s", phase=phase, since=1, **words, **people)


@pytest.mark.parametrize(("before", "after"), [*itertools.product(ProjectState, repeat=2)])
def test_project_moves(before: ProjectState, after: ProjectState) -> None:
    one = project(before)
    if after is before or after in PROJECT_MOVES[before]:
        one.move(after, "why", "tail")
        assert (one.state, one.reason, one.log_tail) == (after, "why", "tail")
        assert (one.since > 1) is (after is not before)
    else:
        with pytest.raises(Conflict):
            one.move(after, "why")
        assert (one.state, one.reason, one.since) == (before, "", 1)


@pytest.mark.parametrize(("before", "after"), [*itertools.product(Phase, repeat=2)])
def test_session_moves(before: Phase, after: Phase) -> None:
    one = session(before)
    if after is before or after in PHASE_MOVES[before]:
        one.move(after, "why")
        assert (one.phase, one.reason) == (after, "why")
        assert (one.since > 1) is (after is not before)
    else:
        with pytest.raises(Conflict):
            one.move(after, "why")
        assert (one.phase, one.reason, one.since) == (before, "", 1)


def test_every_state_has_its_row_and_a_way_out() -> None:
    assert set(PROJECT_MOVES) == set(ProjectState)
    assert set(PHASE_MOVES) == set(Phase)
    assert all(PROJECT_MOVES[state] for state in ProjectState)
    assert all(PHASE_MOVES[phase] for phase in Phase)


def test_reset_is_possible_from_everywhere_but_deleting() -> None:
    for state in set(ProjectState) - {ProjectState.DELETING, ProjectState.STOPPED}:
        assert ProjectState.STOPPED in PROJECT_MOVES[state]


def test_deleting_is_possible_from_everywhere() -> None:
    for state in set(ProjectState) - {ProjectState.DELETING}:
        assert ProjectState.DELETING in PROJECT_MOVES[state]


def test_what_lives_can_be_stopped_and_what_is_over_can_be_opened_again() -> None:
    for phase in LIVE:
        assert Phase.STOPPED in PHASE_MOVES[phase]
    for phase in set(Phase) - LIVE:
        assert Phase.QUEUED in PHASE_MOVES[phase]


def test_a_new_session_waits_at_every_step() -> None:
    assert [(step.name, step.state) for step in session().steps] == [(name, StepState.WAITING) for name in STEP_NAMES]


def test_role_of() -> None:
    one = project()
    one.team = [Member(user="a", role=Role.OWNER), Member(user="b")]
    assert (one.role_of("a"), one.role_of("b"), one.role_of("c")) == (Role.OWNER, Role.MEMBER, None)
