"""Two servers over one MongoDB (a stand-in) and one bus: whoever asks either of them gets the same answer."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aen.bus import Subscription
from aen.bus.local import LocalBus
from aen.errors import AenError, Conflict, Invalid
from aen.model.job import Job, JobState
from aen.model.route import RevocationKind
from aen.roles.server.accounts import NewUser, UserPatch
from aen.roles.server.leases import Progress
from aen.roles.server.permissions import Actor
from tests import standin
from tests.served import PASSWORD, ROOT, Served, served
from tests.waiting import until

KEYS = ("secret-key", "signing-key.pem")
Two = tuple[Served, Served]


class Group(LocalBus):
    """A bus on which several may answer at one address, as NATS has it with a queue group: here the first who came does."""

    def respond(self, address: str, kind: Any, handler: Any) -> Subscription:
        try:
            return super().respond(address, kind, handler)
        except Conflict:
            return super().respond(f"{address}.{secrets.token_hex(4)}", kind, handler)


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    url = standin.url_for(tmp_path)
    async with contextlib.AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Group())
        first = await stack.enter_async_context(served(tmp_path / "a", store=url, bus=bus))
        data = tmp_path / "b" / "data"
        data.mkdir(parents=True, mode=0o700)
        for name in KEYS:
            shutil.copy(tmp_path / "a" / "data" / name, data / name)
        second = await stack.enter_async_context(served(tmp_path / "b", store=url, bus=bus, set_up=False))
        yield first, second


async def test_a_login_of_one_is_a_login_of_the_other_and_so_is_its_end(two: Two) -> None:
    first, second = two
    browser = await first.browser("alice")
    browser.url = browser.origin = second.url
    assert (await browser.get("/api/v1/me")).status == 200
    script = await first.script("bob")
    elsewhere = await second.nobody(token=script.token)
    assert (await elsewhere.get("/api/v1/me")).status == 200
    await first.domain.accounts.update(ROOT, "bob", UserPatch(locked=True))

    async def refused() -> bool:
        return (await elsewhere.get("/api/v1/me")).status == 401

    await until(refused, 10, "the other server refuses a locked person")


async def test_of_two_who_take_a_name_on_two_servers_one_gets_it(two: Two) -> None:
    first, second = two
    name = "carol"

    async def create(server: Served) -> bool:
        try:
            await server.domain.accounts.create(ROOT, _new(name))
        except AenError:
            return False
        return True

    assert sorted(await asyncio.gather(create(first), create(second))) == [False, True]


async def test_two_administrators_on_two_servers_do_not_both_go(two: Two) -> None:
    first, second = two
    await first.person("root2", admin=True)
    assert await second.domain.accounts.find("root2") is not None
    outcomes = await asyncio.gather(
        first.domain.accounts.update(ROOT, "root1", UserPatch(admin=False)),
        second.domain.accounts.update(ROOT, "root2", UserPatch(admin=False)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, AenError) for outcome in outcomes) == 1, outcomes


async def test_a_job_is_done_once_whichever_server_it_was_given_to(two: Two) -> None:
    done: list[tuple[str, str]] = []

    def working(server: str) -> None:
        async def work(job: Job, progress: Progress) -> None:
            await progress(0.5, "half")
            done.append((job.id, server))

        two[0 if server == "first" else 1].domain.jobs.handle("test.once", work)

    for server in ("first", "second"):
        working(server)
    added = [await two[number % 2].domain.jobs.add("test.once") for number in range(12)]

    async def all_done() -> bool:
        jobs, _ = await two[0].domain.jobs.list(Actor(local=True), state=JobState.DONE)
        return {job.id for job in jobs} >= {job.id for job in added}

    await until(all_done, 60, "all jobs are done")
    assert sorted(id for id, _ in done) == sorted(job.id for job in added)


async def test_revocations_of_two_servers_have_one_numbering_without_gaps(two: Two) -> None:
    first, second = two
    before = await first.domain.revocations.latest()
    adding = [two[number % 2].domain.revocations.add(RevocationKind.LOGIN, f"l{number}") for number in range(20)]
    numbers = sorted(entry.number for entry in await asyncio.gather(*adding))
    assert numbers == list(range(before + 1, before + 21))
    _, seen = await second.domain.revocations.after(before)
    assert [entry.number for entry in seen] == numbers


async def test_a_server_with_other_keys_is_refused_with_what_to_copy(two: Two, tmp_path: Path) -> None:
    bus = two[0].role.context.bus
    with pytest.raises(Invalid, match=r"signing-key\.pem"):
        async with served(tmp_path / "c", store=standin.url_for(tmp_path), bus=bus, set_up=False):
            pass


def _new(name: str) -> NewUser:
    return NewUser(name=name, password=PASSWORD)
