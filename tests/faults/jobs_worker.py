"""Works at jobs until it is killed; says on stdout what began. Started by test_jobs_kill.py."""

from __future__ import annotations

import asyncio
import os
import sys
from types import SimpleNamespace
from typing import Any, cast

from aen import log
from aen.model.job import Job
from aen.roles.server.events import Events
from aen.roles.server.job.jobs import Jobs
from aen.roles.server.job.leases import Progress
from aen.roles.server.seen import Seen
from aen.store import Store
from aen.store.open import open_store

LEASE = 1.0  # seconds


class Alone:
    """No other server."""

    alone = True

    def tell(self, *told: Any) -> None: ...

    def hear(self, *told: Any) -> None: ...


def jobs_on(store: Store) -> Jobs:
    """Jobs with what they need of the domain."""
    domain = cast(Any, SimpleNamespace(store=store, company=Alone(), seen=Seen()))
    domain.events = Events(domain)
    return Jobs(domain, lease=LEASE)


async def main(url: str) -> None:
    async def work(job: Job, progress: Progress) -> None:
        await progress(0.5, "half of it")
        os.write(1, f"{job.id} {job.attempts}\n".encode())
        await asyncio.Event().wait()

    async with open_store(url) as store:
        jobs = jobs_on(store)
        jobs.handle("k", work)
        await jobs.run()


if __name__ == "__main__":
    log.configure("error", "text")  # stdout is for what began
    asyncio.run(main(sys.argv[1]))
