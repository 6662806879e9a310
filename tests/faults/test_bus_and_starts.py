"""A start that is asked while the bus between the nodes is being started again: it is tried again for a moment, and is done once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aen.errors import Unavailable
from aen.messages import StartSession
from aen.model.project import ProjectState
from aen.model.session import Phase, Session
from aen.roles.server.project.wording import NewProject
from tests.box import Box, box
from tests.brokers import PlainBroker, node_bus, plain_broker
from tests.waiting import until


@pytest.fixture
async def broker() -> AsyncIterator[PlainBroker]:
    async with plain_broker() as made:
        yield made


@pytest.fixture
async def server(broker: PlainBroker, tmp_path: Path) -> AsyncIterator[Box]:
    async with node_bus(broker.url, "server", "gateway", "compute") as bus, box(tmp_path, bus) as made:
        await until(lambda: _is_up(made), 20, "the node is heard of")
        yield made


async def _is_up(server: Box) -> bool:
    return "n1" in server.domain.nodes.heard


async def _has_bus(server: Box, there: bool) -> bool:
    return (server.bus.health()["status"] == "ok") is there


async def test_while_the_broker_is_down(server: Box, broker: PlainBroker) -> None:
    alice = await server.person("alice")
    await server.domain.projects.create(alice, NewProject(name="genome"))
    await broker.kill()
    await until(lambda: _has_bus(server, False), 20, "the bus is gone")
    first = await server.domain.sessions.open(alice, "alice", "genome", "jupyterlab")
    again = await server.domain.sessions.open(alice, "alice", "genome", "jupyterlab")
    assert (first.id, first.generation, first.phase) == (again.id, again.generation, Phase.QUEUED)
    assert again.steps[0].detail == "waiting for the compute node n1"
    await broker.start()

    async def runs() -> bool:
        return Session.model_validate(await server.store.get("sessions", first.id)).phase is Phase.RUNNING

    await until(runs, 30, "it runs")
    assert {(one.session, one.generation) for one in server.node.of(StartSession)} == {(first.id, first.generation)}
    project = await server.domain.projects.by_id(first.project)
    assert project is not None
    assert project.state is ProjectState.RUNNING


async def test_nodes_are_not_silent_because_nobody_could_be_heard(server: Box, broker: PlainBroker) -> None:
    """Heard of last when the bus still was there: it is back, and they have not spoken yet."""
    server.node.beating = False
    nodes = server.domain.nodes
    nodes.need("n1")
    nodes.heard["n1"] -= 15
    with pytest.raises(Unavailable, match="has not been heard of"):
        nodes.need("n1")
    await broker.kill()
    await until(lambda: _has_bus(server, False), 20, "the bus is gone")
    await broker.start()
    await until(lambda: _has_bus(server, True), 20, "the bus is back")
    nodes.need("n1")
    nodes.heard["n1"] -= 15  # but it does not speak now either
    with pytest.raises(Unavailable, match="has not been heard of"):
        nodes.need("n1")
