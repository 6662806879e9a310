"""What tests of the launcher and of the Workbench share: a place with real accounts, and the programs that run there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from aen.launchers import Account
from aen.launchers.process import ProcessLauncher
from tests.launching import Place, place
from tests.workbench import ALICE, BOB, Bench, Stand, stand


@pytest.fixture(scope="module")
def spot() -> Iterator[Place]:
    """Directories and a policy for launchers, shared by the tests of one file."""
    with place() as made:
        yield made


@pytest.fixture
async def launcher(spot: Place) -> AsyncIterator[ProcessLauncher]:
    """A launcher of that place."""
    async with spot.launcher() as made:
        yield made


@pytest.fixture
async def ann(launcher: ProcessLauncher) -> Account:
    """An account that the launcher made."""
    return await launcher.ensure_account("aentann")


@pytest.fixture(scope="module")
def here() -> Iterator[Stand]:
    """A project with its people, for the Workbench's program alone; shared by the tests of one file."""
    with stand() as made:
        yield made


@pytest.fixture
async def alice(here: Stand) -> AsyncIterator[Bench]:
    """Its owner's Workbench."""
    async with here.bench(ALICE) as made:
        yield made


@pytest.fixture
async def bob(here: Stand) -> AsyncIterator[Bench]:
    """A member's Workbench."""
    async with here.bench(BOB) as made:
        yield made
