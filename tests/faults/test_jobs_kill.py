"""A server is killed with -9 in the midst of its jobs: the next one takes them over, all of them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from aen.model import now
from aen.model.job import Job, JobState
from aen.roles.server.job.leases import Progress
from aen.roles.server.permissions import Actor
from aen.store.open import open_store
from tests import standin
from tests.faults.jobs_worker import jobs_on
from tests.waiting import until

ROOT = Path(__file__).parents[2]
ADMIN = Actor(local=True)


@pytest.mark.parametrize("name", standin.SERVER_STORES)
async def test_jobs_of_a_killed_server_are_done_by_the_next(tmp_path: Path, name: str) -> None:
    url = standin.store_url(name, tmp_path) or f"sqlite://{tmp_path}/aen.db"
    async with open_store(url) as store:
        added = {(await jobs_on(store).add("k")).id for _ in range(5)}
    killed_at = _killed(url, added)

    started: dict[str, int] = {}

    async def work(job: Job, progress: Progress) -> None:
        assert job.attempts == 2
        assert job.id not in started
        started[job.id] = now()

    async with open_store(url) as store:
        held = [Job.model_validate(doc) for doc in await store.get_many("jobs", sorted(added))]
        assert {job.state for job in held} == {JobState.RUNNING}
        jobs = jobs_on(store)
        jobs.handle("k", work)
        working = asyncio.create_task(jobs.run())

        async def done() -> bool:
            return len((await jobs.list(ADMIN, state=JobState.DONE))[0]) == len(added)

        await until(done, 30, "all jobs are done")
        working.cancel()
        await asyncio.wait([working])
    assert set(started) == added
    assert all(started[job.id] >= job.leased_until for job in held), f"taken before the lease ran out ({killed_at})"


def _killed(url: str, jobs: set[str]) -> int:
    """Let a server begin all jobs, kill it, and return when (ms)."""
    command = [sys.executable, "-m", "tests.faults.jobs_worker", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        begun = {child.stdout.readline().split()[0] for _ in jobs}
        child.kill()
        assert child.wait(20) == -9
    assert begun == jobs
    return now()
