"""What every test has: a running world, the logs of a world beside a failure, skips that say why."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Generator, Iterator, Mapping

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from tests import looking
from tests.apart import Apart
from tests.world import World, remove_evaluation_account

# The same questions each time, however slow the machine: a failure is of what was changed. `--hypothesis-profile=search` asks others.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")
looking.watch()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run on the loop that the product runs on: uvloop's transports are not those of asyncio."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """AEN as root in managed mode (as an ordinary user: in evaluation mode), shared by the tests of one file.

    One process; files marked with `tests.apart.BOTH` run a second time with server, gateway and compute node apart.
    """
    kind = Apart if getattr(request, "param", "together") == "apart" else World
    with kind() as made:
        yield made


@pytest.fixture(scope="module")
def apart() -> Iterator[Apart]:
    """Server, gateway and compute node apart, shared by the tests of one file."""
    with Apart() as made:
        yield made


@pytest.fixture(scope="module")
def evaluation() -> Iterator[World]:
    """AEN in evaluation mode, run by an ordinary account; shared by the tests of one file."""
    with World(ordinary=True) as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need root are skipped, and say so, where there is none."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove the account of evaluation worlds, once all workers have ended."""
    if not hasattr(session.config, "workerinput") and os.geteuid() == 0:
        remove_evaluation_account()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show every log when something fails."""
    report = yield
    if report.failed:
        for world in World.running:
            report.sections += [(f"log {name}", text) for name, text in world.logs()]
    return report
