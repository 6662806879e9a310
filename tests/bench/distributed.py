"""What belongs to an installation on many machines: the reference topology, 500 simulated nodes, a login storm."""

from __future__ import annotations

from collections.abc import AsyncIterator

from tests.bench import scale, storm, topology
from tests.bench.row import Row

PARTS = (topology, scale, storm)  # each is a benchmark of its own, too


async def measure() -> AsyncIterator[Row]:
    """All of them, one after the other."""
    for part in PARTS:
        print(f"   {(part.__doc__ or '').splitlines()[0]}", flush=True)
        async for row in part.measure():
            yield row
