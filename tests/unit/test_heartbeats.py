"""What a server makes of heartbeats: each node's newest is handled, what was said is not recorded again, measurements are bounded."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from aen.messages import NodeReported, ProjectSpec, SessionReport, StartSession
from aen.model.node import Load
from aen.model.session import Idle, Phase, Session, Step, StepState, Use
from aen.roles.compute.records import Record
from aen.roles.server.session.heartbeats import Heartbeats, Said
from aen.roles.server.session.uses import Uses

STEPS = [Step(name="app", state=StepState.DONE)]


def heartbeat(node: str, load: float) -> NodeReported:
    return NodeReported(
        node=node,
        datacenter="main",
        roles=["compute"],
        version="0",
        load=Load(load1=load),
        isolated=True,
        ready=True,
        sessions=[],
        started=1,
    )


def report(**more: object) -> SessionReport:
    return SessionReport.model_validate({"session": "s", "generation": 1, "phase": Phase.RUNNING, **more})


async def test_of_what_waits_the_newest_is_handled_and_a_fault_holds_nobody_up() -> None:
    handled: list[tuple[str, float]] = []
    done = asyncio.Event()

    async def handle(event: NodeReported) -> None:
        if event.node == "broken":
            raise RuntimeError("a fault")
        handled.append((event.node, event.load.load1))
        if len(handled) == 2:
            done.set()

    heartbeats = Heartbeats(handle)
    for node, load in (("broken", 0), ("n1", 1), ("n2", 1), ("n1", 2)):
        heartbeats.put(heartbeat(node, load))
    with capture_logs() as logs:
        task = asyncio.create_task(heartbeats.handle_for_life())
        await asyncio.wait_for(done.wait(), 20)
        task.cancel()
        await asyncio.wait([task])
    assert handled == [("n1", 2), ("n2", 1)]
    assert [line["node"] for line in logs] == ["broken"]


def test_what_was_said_before_is_not_recorded_again() -> None:
    first = Said.of("n1", report(steps=STEPS, activity=1, use=Use(cpu=1, at=1)))
    assert not first.nothing_after(None)
    assert Said.of("n1", report(steps=STEPS, activity=2, use=Use(cpu=2, at=2))).nothing_after(first)
    assert Said.of("n1", report()).nothing_after(first), "steps that are left out were told before"
    for news in (
        Said.of("n2", report(steps=STEPS)),
        Said.of("n1", report(generation=2)),
        Said.of("n1", report(reason="other")),
        Said.of("n1", report(steps=[Step(name="app", state=StepState.FAILED)])),
        Said.of("n1", report(idle=Idle(warned=True, stops_at=5))),
    ):
        assert not news.nothing_after(first), news


def test_the_latest_measurements_are_kept_of_one_start() -> None:
    uses = Uses()
    session = Session.model_validate(
        dict.fromkeys(("id", "project", "slug", "owner", "name", "app_server", "app", "started_by", "datacenter"), "s")
        | {"user": "u", "node": "n1", "generation": 1}
    )
    for at in (1, 1, *range(2, 100)):
        uses.take(report(use=Use(cpu=at / 2, memory=2**40 + at, memory_limit=5, processes=3, out_of_memory=1, at=at)))
    kept = uses.of(session)
    assert [use.at for use in kept] == list(range(40, 100))
    assert kept[-1] == Use(cpu=49.5, memory=2**40 + 99, memory_limit=5, processes=3, out_of_memory=1, at=99)
    assert uses.of(session.model_copy(update={"generation": 2})) == ()
    uses.take(report(generation=2, use=Use(at=200)))
    assert uses.of(session) == ()
    uses.keep_only(set())
    assert uses.of(session.model_copy(update={"generation": 2})) == ()


def test_heartbeats_leave_out_the_steps_of_a_start_that_is_long_over() -> None:
    project = ProjectSpec(id="p", owner="o", name="n", team=[])
    command = StartSession(session="s", generation=1, project=project, user="u", app="a", app_server="jupyter")
    record = Record.of(command)
    record.phase, record.steps = Phase.STARTING, STEPS
    assert all(record.beat().steps for _ in range(50))
    record.phase = Phase.RUNNING
    told = [bool(record.beat().steps) for _ in range(50)]
    assert told == sorted(told, reverse=True)
    assert 5 <= sum(told) <= 20
    assert record.report().steps == STEPS
