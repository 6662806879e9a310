"""Gateways that follow the server's routes, in one process: what the real ones do, without anybody to lead. `python -m … URL PATHS`.

Arguments: the broker's address, a folder, and `datacenter=routes` for each. Says a line when a gateway has that many routes.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import structlog

from aen.roles.gateway.admission import Doorman, Revoked
from aen.roles.gateway.following import Following
from tests.brokers import node_bus
from tests.led import Table
from tests.waiting import until


async def follow(url: str, folder: Path, datacenter: str, count: int) -> None:
    """Until it is ended."""
    async with node_bus(url, "gateway", node=f"g-{datacenter}", datacenter=datacenter) as bus:
        doorman = Doorman(bus, Revoked())
        table = Table(doorman)
        following = Following(bus, datacenter, table, doorman, folder / f"{datacenter}.json")
        await following.start()
        await until(lambda: _knows(table, count), 300, "every route is known")
        print(f"{datacenter} {time.monotonic()}", flush=True)
        await asyncio.Event().wait()


async def _knows(table: Table, count: int) -> bool:
    return len(table.routes) >= count


async def main(url: str, folder: Path, counts: dict[str, int]) -> None:
    """All of them."""
    await asyncio.gather(*(follow(url, folder, name, count) for name, count in counts.items()))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asked = (argument.split("=") for argument in sys.argv[3:])
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), {name: int(count) for name, count in asked}))
