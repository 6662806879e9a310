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
from aen.errors import AenError, Conflict, Invalid, TooMany
from aen.messages import NodeReported
from aen.model.job import Job, JobState
from aen.model.node import Load
from aen.model.route import RevocationKind
from aen.roles.server.account.accounts import NewUser, UserPatch
from aen.roles.server.account.limits import Attempts
from aen.roles.server.job.leases import Progress
from aen.roles.server.permissions import Actor
from aen.roles.server.several import one_server
from aen.store.open import open_store
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
def external(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bus on which there may be other servers."""
    from tests import served as module

    plain = module.configured

    def among_several(*given: Any, **more: Any) -> Any:
        config = plain(*given, **more)
        return config.model_copy(update={"bus": config.bus.model_copy(update={"mode": "external"})})

    monkeypatch.setattr(module, "configured", among_several)


@pytest.fixture
async def two(tmp_path: Path, external: None) -> AsyncIterator[Two]:
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

    await until(refused, 40, "the other server refuses a locked person")


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


async def test_a_page_of_one_hears_what_is_done_through_the_other(two: Two) -> None:
    first, second = two
    heard = second.domain.events.subscribe(["project:p1"])
    first.domain.events.publish("project:p1", "project", {"state": "RUNNING"})
    event = await asyncio.wait_for(anext(heard), 10)
    assert (event.topic, event.kind, event.data) == ("project:p1", "project", {"state": "RUNNING"})
    second.domain.events.publish("project:p1", "project", {"state": "STOPPED"})
    event = await asyncio.wait_for(anext(heard), 10)
    assert event.data == {"state": "STOPPED"}  # once: what one tells comes back to nobody
    heard.close()


async def test_a_data_center_added_through_one_is_known_to_the_other(two: Two) -> None:
    first, second = two
    await first.domain.nodes.add_datacenter(ROOT, "lyon", "Lyon")

    async def known() -> bool:
        found = second.domain.nodes.datacenter("lyon")
        return found is not None and found.title == "Lyon"

    await until(known, 40, "the other server knows it")
    await second.domain.nodes.remove_datacenter(ROOT, "lyon")

    async def gone() -> bool:
        return first.domain.nodes.datacenter("lyon") is None

    await until(gone, 40, "the first knows that it is gone")


async def test_failed_sign_ins_count_together(two: Two) -> None:
    first, second = two
    for _ in range(6):  # more than are allowed, half of them at each
        for server in two:
            with contextlib.suppress(AenError):
                await server.domain.accounts.sign_in("mallory", "wrong", "192.0.2.9", "")

    async def both_wait() -> bool:
        for server in (first, second):
            try:
                server.domain.accounts.attempts.check("mallory", "")
            except TooMany:
                continue
            return False
        return True

    await until(both_wait, 40, "both let mallory wait")
    alone = Attempts(first.domain.config.server.login.attempts)
    for _ in range(3):
        alone.failed("mallory", "")
    alone.check("mallory", "")  # so few of its own would not have done


async def test_a_job_of_a_server_that_died_goes_on_at_the_other_within_seconds(two: Two) -> None:
    first, second = two
    done: asyncio.Queue[str] = asyncio.Queue()

    async def work(job: Job, progress: Progress) -> None:
        await done.put(job.id)

    job = await first.domain.jobs.add("test.orphan")  # the first has no function for it, as if it had died
    second.domain.jobs.handle("test.orphan", work)
    assert await asyncio.wait_for(done.get(), 10) == job.id  # the queue in memory is looked through each 60 s otherwise


async def test_a_node_that_is_emptied_through_one_gets_nothing_from_the_other(two: Two) -> None:
    first, second = two
    for server in two:
        await server.role.context.bus.publish(_breath())

    async def both_know() -> bool:
        return all(server.domain.nodes.get("n1") is not None for server in two)

    await until(both_know, 40, "both know the node")
    await first.domain.nodes.drain(ROOT, "n1", True)

    async def empties() -> bool:
        found = second.domain.nodes.get("n1")
        return found is not None and found.draining

    await until(empties, 40, "the other knows")


async def test_with_the_managed_broker_a_second_server_is_refused(tmp_path: Path) -> None:
    async with open_store(standin.url_for(tmp_path)) as store, open_store(standin.url_for(tmp_path)):
        await one_server(store, "a:/var/lib/aen")
        await one_server(store, "a:/var/lib/aen")  # started again
        with pytest.raises(Invalid, match="managed lets in one only"):
            await one_server(store, "b:/var/lib/aen")
    async with open_store(standin.url_for(tmp_path)) as store:
        await one_server(store, "b:/var/lib/aen")  # moved to another host


def _breath() -> NodeReported:
    return NodeReported(
        node="n1",
        datacenter="main",
        roles=["compute"],
        version="0",
        load=Load(),
        isolated=True,
        ready=True,
        sessions=[],
        started=1,
    )


def _new(name: str) -> NewUser:
    return NewUser(name=name, password=PASSWORD)
