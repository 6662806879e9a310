"""Which stores the contract is held by. A new engine adds one entry to ENGINES."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from aen.store import Collection, Store
from aen.store.mongo import MongoStore
from aen.store.sqlite import SqliteStore
from tests import standin

Engine = Callable[[Path, Sequence[Collection]], Store]

#: Each makes a store (not yet open) that keeps its data below a folder; opened there again, it has it again.
#: The names stand in the report: what ran on a stand-in is no evidence of MongoDB itself.
ENGINES: dict[str, Engine] = {
    "sqlite": lambda folder, schema: SqliteStore(folder / "aen.db", schema),
    standin.STANDIN: lambda folder, schema: MongoStore(standin.url_for(folder), schema),
}
if standin.REAL:
    ENGINES["MongoDB"] = lambda folder, schema: MongoStore(standin.real_url(folder), schema)


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine:
    return ENGINES[request.param]


@pytest.fixture
async def store(engine: Engine, tmp_path: Path) -> AsyncIterator[Store]:
    """An open, empty store with SCHEMA of the contract suite."""
    from tests.contract.store_schema import SCHEMA

    async with engine(tmp_path, SCHEMA) as opened:
        yield opened
