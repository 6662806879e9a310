"""Jobs on the real SQLite store: done, retried, cancelled, given back, taken over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from aen.errors import Conflict, Denied, Invalid, NotFound, TooMany, Unavailable
from aen.model import now
from aen.model.job import Job, JobState
from aen.model.user import User
from aen.roles.server.domain import Domain
from aen.roles.server.events import Events
from aen.roles.server.job.jobs import Jobs
from aen.roles.server.job.leases import Held, Progress
from aen.roles.server.permissions import Actor
from aen.roles.server.seen import Seen
from aen.store import Store
from aen.store.sqlite import SqliteStore

ADMIN = Actor(local=True)
S = JobState


class Alone:
    """No other server."""

    alone = True

    def tell(self, *told: Any) -> None: ...

    def hear(self, *told: Any) -> None: ...


class SmallDomain:
    """What jobs need of the domain."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.company = Alone()
        self.events = Events(cast(Domain, self))
        self.seen = Seen()

    def jobs(self, **options: Any) -> Jobs:
        return Jobs(cast(Domain, self), first_wait=0.01, **options)


@pytest.fixture
async def domain(tmp_path: Path) -> AsyncIterator[SmallDomain]:
    async with SqliteStore(tmp_path / "aen.db") as store:
        yield SmallDomain(store)


@asynccontextmanager
async def running(jobs: Jobs) -> AsyncIterator[Jobs]:
    task = asyncio.create_task(jobs.run())
    try:
        yield jobs
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def reached(jobs: Jobs, id: str, fact: Callable[[Job], bool]) -> Job:
    """The job, once `fact` is so."""
    async with asyncio.timeout(20):
        while True:
            job = await jobs.get(ADMIN, id)
            if fact(job):
                return job
            await asyncio.sleep(0.01)


async def ended(jobs: Jobs, id: str) -> Job:
    return await reached(jobs, id, lambda job: not job.active)


def user(name: str) -> Actor:
    return Actor(user=User(id=name, incarnation="1", created=1))


async def test_a_job_is_done_and_its_life_is_told(domain: SmallDomain) -> None:
    heard = domain.events.subscribe(["jobs"])
    of_project = domain.events.subscribe(["project:p1"])
    seen: list[Job] = []

    async def work(job: Job, progress: Progress) -> None:
        seen.append(job)
        await progress(0.25, "a quarter")
        await progress(7, "over")

    async with running(domain.jobs()) as jobs:
        jobs.handle("k", work)
        added = await jobs.add("k", "ana/genome", {"project": "p1", "n": 1}, "ana")
        job = await ended(jobs, added.id)
    assert (job.state, job.progress, job.attempts, job.leased_by, job.cancel) == (S.DONE, 1.0, 1, "", False)
    assert (job.subject, job.payload, job.created_by) == ("ana/genome", {"project": "p1", "n": 1}, "ana")
    assert [one.state for one in seen] == [S.RUNNING]
    for subscription in (heard, of_project):
        told = [await anext(subscription) for _ in range(5)]
        assert [(event.kind, event.data["state"], event.data["progress"]) for event in told] == [
            ("job", "QUEUED", 0),
            ("job", "RUNNING", 0),
            ("job", "RUNNING", 0.25),
            ("job", "RUNNING", 1.0),
            ("job", "DONE", 1.0),
        ]
        assert told[2].data["message"] == "a quarter"
        subscription.close()


async def test_a_job_added_before_is_done_after_reopening(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "aen.db") as store:
        added = await SmallDomain(store).jobs().add("k")
    done: list[str] = []

    async def work(job: Job, progress: Progress) -> None:
        done.append(job.id)

    async with SqliteStore(tmp_path / "aen.db") as store, running(SmallDomain(store).jobs()) as jobs:
        jobs.handle("k", work)  # after the worker looked, as parts that begin later do
        assert (await ended(jobs, added.id)).state is S.DONE
    assert done == [added.id]


async def test_a_failing_job_is_retried_with_growing_delay_and_gives_up(domain: SmallDomain) -> None:
    starts: list[int] = []
    delays: list[int] = []

    async def work(job: Job, progress: Progress) -> None:
        starts.append(now())
        raise Unavailable(f"not now {len(starts)}")

    heard = domain.events.subscribe(["jobs"])
    async with running(domain.jobs()) as jobs:
        jobs.handle("k", work)
        added = await jobs.add("k", max_attempts=4)
        async for _ in heard:
            job = await jobs.get(ADMIN, added.id)
            if not job.active:
                break
            if job.not_before and job.not_before not in delays:
                delays.append(job.not_before)
        job = await ended(jobs, added.id)
    assert (job.state, job.attempts, job.message) == (S.FAILED, 4, "not now 4")
    assert len(starts) == 4
    assert all(start >= due for start, due in zip(starts[1:], delays, strict=False))


@pytest.mark.parametrize("attempts", [1, 2, 3, 30])
def test_the_delay_doubles_up_to_a_bound(domain: SmallDomain, attempts: int) -> None:
    job = Job(id="j", kind="k", attempts=attempts)
    _, wait = domain.jobs()._worker._reason(job, Unavailable("x"))
    assert wait == {1: 0.01, 2: 0.02, 3: 0.04, 30: 300.0}[attempts]
    assert domain.jobs()._worker._reason(job, TooMany("x", retry_after=1000))[1] == 1000


@pytest.mark.parametrize("error", [Invalid("bad"), NotFound("gone"), Denied("no")])
async def test_what_is_hopeless_is_not_retried(domain: SmallDomain, error: Exception) -> None:
    async def work(job: Job, progress: Progress) -> None:
        raise error

    async with running(domain.jobs()) as jobs:
        jobs.handle("k", work)
        job = await ended(jobs, (await jobs.add("k")).id)
    assert (job.state, job.attempts, job.message) == (S.FAILED, 1, str(error))


async def test_an_unknown_fault_is_told_by_an_id_that_is_in_the_log(domain: SmallDomain) -> None:
    async def work(job: Job, progress: Progress) -> None:
        raise ZeroDivisionError("hunter2")

    with capture_logs() as logs:
        async with running(domain.jobs()) as jobs:
            jobs.handle("k", work)
            job = await ended(jobs, (await jobs.add("k", max_attempts=1)).id)
    assert "hunter2" not in job.message
    assert any(entry.get("id", "-") in job.message for entry in logs)


async def test_a_waiting_job_is_cancelled_at_once(domain: SmallDomain) -> None:
    jobs = domain.jobs()
    added = await jobs.add("k", created_by="ana")
    job = await jobs.cancel(user("ana"), added.id)
    assert (job.state, job.active) == (S.CANCELLED, False)
    assert (await jobs.cancel(user("ana"), added.id)).state is S.CANCELLED


async def test_a_running_job_is_cancelled(domain: SmallDomain) -> None:
    cleaned = False

    async def work(job: Job, progress: Progress) -> None:
        nonlocal cleaned
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned = True

    async with running(domain.jobs()) as jobs:
        jobs.handle("k", work)
        added = await jobs.add("k")
        await reached(jobs, added.id, lambda job: job.state is S.RUNNING)
        assert (await jobs.cancel(ADMIN, added.id)).cancel
        job = await ended(jobs, added.id)
    assert (job.state, job.attempts) == (S.CANCELLED, 1)
    assert cleaned


async def test_a_job_that_runs_elsewhere_is_cancelled_too(domain: SmallDomain) -> None:
    async def work(job: Job, progress: Progress) -> None:
        await asyncio.Event().wait()

    here, there = domain.jobs(), domain.jobs(lease=0.3)
    async with running(there):
        there.handle("k", work)
        added = await there.add("k")
        await reached(here, added.id, lambda job: job.state is S.RUNNING)
        await here.cancel(ADMIN, added.id)
        assert (await ended(here, added.id)).state is S.CANCELLED


async def test_what_is_over_cannot_be_cancelled(domain: SmallDomain) -> None:
    async with running(domain.jobs()) as jobs:
        jobs.handle("k", _nothing)
        added = await jobs.add("k")
        await ended(jobs, added.id)
        with pytest.raises(Conflict, match="done"):
            await jobs.cancel(ADMIN, added.id)


async def test_who_sees_and_cancels_jobs(domain: SmallDomain) -> None:
    jobs = domain.jobs()
    first = await jobs.add("k", created_by="ana")
    await jobs.add("k", created_by="bob")
    assert [job.id for job in (await jobs.list(user("ana")))[0]] == [first.id]
    assert len((await jobs.list(ADMIN))[0]) == 2
    assert (await jobs.get(user("ana"), first.id)).id == first.id
    for act in (jobs.get(user("bob"), first.id), jobs.cancel(user("bob"), first.id), jobs.get(user("ana"), "no")):
        with pytest.raises(NotFound):
            await act
    with pytest.raises(NotFound):
        await jobs.list(user("ana"), subject="nothing")


async def test_lists_are_paged_newest_first(domain: SmallDomain) -> None:
    jobs = domain.jobs()
    added = [(await jobs.add("k", subject="ana/x" if number % 2 else "")).id for number in range(7)]
    await jobs.cancel(ADMIN, added[0])
    found: list[str] = []
    cursor, first = "", True
    while cursor or first:
        page, cursor = await jobs.list(ADMIN, limit=3, cursor=cursor)
        found += [job.id for job in page]
        first = False
    assert found == sorted(added, reverse=True)
    assert {job.id for job in (await jobs.list(ADMIN, subject="ana/x"))[0]} == set(added[1::2])
    assert [job.id for job in (await jobs.list(ADMIN, state=S.CANCELLED))[0]] == [added[0]]
    assert len((await jobs.list(ADMIN, state=S.QUEUED))[0]) == 6


async def test_higher_priority_first_then_the_older(domain: SmallDomain) -> None:
    order: list[str] = []

    async def work(job: Job, progress: Progress) -> None:
        order.append(job.subject)

    jobs = domain.jobs(slots=1)
    for subject, priority in (("b", 0), ("c", 0), ("a", 5), ("d", -1)):
        added = await jobs.add("k", subject, priority=priority)
    jobs.handle("k", work)
    async with running(jobs):
        await ended(jobs, added.id)
    assert order == ["a", "b", "c", "d"]


async def test_slots_bound_what_runs_at_once(domain: SmallDomain) -> None:
    at_once = most = 0
    go = asyncio.Event()

    async def work(job: Job, progress: Progress) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if at_once == 3:
            go.set()
        await go.wait()
        await progress(0.5)
        at_once -= 1

    jobs = domain.jobs(slots=3)
    jobs.handle("k", work)
    added = [await jobs.add("k") for _ in range(12)]
    async with running(jobs):
        for job in added:
            await ended(jobs, job.id)
    assert most == 3


async def test_a_delayed_job_waits(domain: SmallDomain) -> None:
    started: list[int] = []

    async def work(job: Job, progress: Progress) -> None:
        started.append(now())

    async with running(domain.jobs()) as jobs:
        jobs.handle("k", work)
        added = await jobs.add("k", delay=0.2)
        assert added.not_before > added.created
        await ended(jobs, added.id)
    assert started[0] >= added.not_before


async def test_a_lease_is_renewed_and_nobody_else_takes_the_job(domain: SmallDomain) -> None:
    go = asyncio.Event()
    calls = 0

    async def work(job: Job, progress: Progress) -> None:
        nonlocal calls
        calls += 1
        await go.wait()

    first, second = domain.jobs(lease=0.3), domain.jobs(lease=0.3)
    for jobs in (first, second):
        jobs.handle("k", work)
    async with running(first), running(second):
        added = await first.add("k")
        begun = await reached(first, added.id, lambda job: job.state is S.RUNNING)
        # three leases later it is still the same attempt of the same worker
        held = await reached(first, added.id, lambda job: job.leased_until > begun.leased_until + 900)
        go.set()
        job = await ended(first, added.id)
    assert (held.leased_by, held.attempts) == (begun.leased_by, 1)
    assert (job.state, calls) == (S.DONE, 1)


HOUR = 3_600_000


@pytest.mark.parametrize("apart", [0, -HOUR, HOUR])
async def test_a_dead_workers_job_is_taken_when_its_lease_runs_out(domain: SmallDomain, apart: int) -> None:
    """`apart`: by so much the dead one's clock was ahead. A whole lease is waited, and no longer."""
    jobs = domain.jobs(lease=0.3)
    added = await jobs.add("k")
    dead = {"state": "RUNNING", "leased_by": "dead", "leased_until": now() + 300 + apart, "attempts": 1}
    await domain.store.replace("jobs", {**added.model_dump(mode="json"), **dead})
    started: list[float] = []

    async def work(job: Job, progress: Progress) -> None:
        started.append(time.monotonic())
        assert job.attempts == 2

    jobs.handle("k", work)
    begun = time.monotonic()
    async with running(jobs):
        assert (await ended(jobs, added.id)).state is S.DONE
    assert started[0] - begun >= 0.3


@pytest.mark.parametrize("apart", [-HOUR, HOUR])
def test_a_living_workers_job_is_left_to_it_whatever_its_clock_says(
    monkeypatch: pytest.MonkeyPatch, apart: int
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("aen.roles.server.job.leases.time.monotonic", lambda: clock[0])
    held = Held(6.0)
    for rev in range(1, 10):  # it renews every 2 s
        job = Job(id="j", kind="k", rev=rev, state=S.RUNNING, leased_until=now() + 6000 + apart)
        assert held.left(job) == 6.0
        clock[0] += 1.9
        assert held.left(job) == pytest.approx(4.1)
    clock[0] += 4.2  # and then no more
    assert held.left(job) < 0


async def test_a_job_that_kills_its_worker_each_time_is_given_up(domain: SmallDomain) -> None:
    jobs = domain.jobs(lease=0.3)
    added = await jobs.add("k", max_attempts=2)
    dead = {"state": "RUNNING", "leased_by": "dead", "leased_until": 1, "attempts": 2}
    await domain.store.replace("jobs", {**added.model_dump(mode="json"), **dead})
    jobs.handle("k", _nothing)
    async with running(jobs):
        job = await ended(jobs, added.id)
    assert (job.state, job.attempts) == (S.FAILED, 2)
    assert job.message


async def test_a_worker_that_lost_its_lease_lets_go_and_writes_nothing(domain: SmallDomain) -> None:
    let_go = asyncio.Event()

    async def work(job: Job, progress: Progress) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            let_go.set()

    async with running(domain.jobs(lease=0.3)) as jobs:
        jobs.handle("k", work)
        added = await jobs.add("k")
        while True:  # somebody else takes it (our clock was wrong, say); we may have to try: it is renewed meanwhile
            held = await reached(jobs, added.id, lambda job: job.state is S.RUNNING)
            held.leased_by, held.leased_until, held.attempts = "thief", now() + 60_000, 2
            try:
                stolen = await domain.store.replace("jobs", held.model_dump(mode="json"))
            except Conflict:
                continue
            break
        await asyncio.wait_for(let_go.wait(), 10)
    assert await domain.store.get("jobs", added.id) == stolen


async def test_a_stopping_server_gives_its_jobs_back(domain: SmallDomain) -> None:
    async def work(job: Job, progress: Progress) -> None:
        await asyncio.Event().wait()

    jobs = domain.jobs()
    async with running(jobs):
        jobs.handle("k", work)
        added = await jobs.add("k")
        await reached(jobs, added.id, lambda job: job.state is S.RUNNING)
    job = await jobs.get(ADMIN, added.id)
    assert (job.state, job.active, job.attempts, job.leased_by) == (S.QUEUED, True, 0, "")


async def test_kinds_that_nobody_handles_and_damaged_jobs_hold_up_nothing(domain: SmallDomain) -> None:
    jobs = domain.jobs()
    await jobs.add("unknown", priority=9)
    await domain.store.insert("jobs", {"id": "damaged", "active": True, "created": 1})
    jobs.handle("k", _nothing)
    added = await jobs.add("k")
    async with running(jobs):
        assert (await ended(jobs, added.id)).state is S.DONE


async def test_what_ended_long_ago_is_forgotten(domain: SmallDomain) -> None:
    jobs = domain.jobs()
    jobs.handle("k", _nothing)
    old = Job(id="old", kind="k", state=S.DONE, active=False, created=1)
    waiting = Job(id="waiting", kind="k", created=1)
    for one in (old, waiting):
        await domain.store.insert("jobs", one.model_dump(mode="json"))
    async with running(jobs):
        assert (await ended(jobs, "waiting")).state is S.DONE
    assert await domain.store.get("jobs", "old") is None


async def _nothing(job: Job, progress: Progress) -> None:
    return None
