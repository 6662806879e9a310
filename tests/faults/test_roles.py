"""Each role, each broker and the store is killed, and held up, while somebody computes: sessions go on, all repairs itself.

Nothing is restarted but what was ended. The table of seconds until all is well again is printed (`-s`), kept in docs/faults.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.apart import EDGE, NODE, Apart
from tests.faults.use import Diary, Table, Use, copies, in_use
from tests.standin import Standin
from tests.waiting import until

pytestmark = pytest.mark.slow

TABLE = Table(("what", "how", "the session meanwhile", "all well again after"))


@pytest.fixture(scope="module")
def store() -> Iterator[Standin]:
    """A MongoDB stand-in of its own, which can be killed."""
    made = Standin().start()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def site(store: Standin) -> Iterator[Apart]:
    """Server, gateway and compute node apart, over that store."""
    with Apart(options={"store": {"url": f"{store.url}/faults"}}) as made:
        yield made
    TABLE.show()


@pytest.fixture(scope="module")
def diary() -> Diary:
    """What is written all the time, by all tests."""
    return Diary()


@pytest.fixture
async def use(site: Apart, diary: Diary) -> AsyncIterator[Use]:
    async with in_use(site, diary) as made:
        yield made


def broker_of(site: Apart, role: str) -> int:
    found = json.loads((site.folder / role / "broker/running.json").read_text())
    return int(found["pid"])


def pid_of(site: Apart, role: str) -> int:
    process = site.programs[role].process
    assert process is not None
    return process.pid


async def measured(use: Use, what: str, how: str, meanwhile: str) -> None:
    """From the moment in which what was ended is there again, until everything works."""
    seconds = await use.until_well(f"{what} was {how}")
    TABLE.add(what, how, meanwhile, f"{seconds:.1f} s")


@pytest.mark.parametrize("role", ["server", "gateway", "compute"])
async def test_a_role_is_killed(use: Use, role: str) -> None:
    program = use.site.programs[role]
    program.kill()
    meanwhile = await use.computes()
    assert meanwhile == (role == "server")  # the others stand between: their kernels live, and are reached again
    program.spawn()
    await measured(use, role, "kill -9, started", "computes" if meanwhile else "lives, not reached")
    assert use.site.programs[role].process is not None


@pytest.mark.parametrize("role", ["server", "gateway", "compute"])
async def test_a_role_is_held_up(use: Use, role: str) -> None:
    """As when its machine hangs: long enough that the server gives it up (10 s without a word)."""
    pid = pid_of(use.site, role)
    os.kill(pid, signal.SIGSTOP)
    try:
        if role == "server":
            assert await use.computes()
        else:
            name = {"gateway": EDGE, "compute": NODE}[role]

            async def silent() -> bool:
                nodes = (await use.client.get("/api/v1/nodes")).json["items"]
                return not any(node["up"] for node in nodes if node["name"] == name)

            await until(silent, 30, f"the server says that {name} is not heard")
    finally:
        os.kill(pid, signal.SIGCONT)
    await measured(use, role, "held up, goes on", "computes" if role == "server" else "lives, not reached")


@pytest.mark.parametrize("role", ["server", "gateway"])
async def test_a_broker_is_killed(use: Use, role: str) -> None:
    """AEN starts it again by itself."""
    before = broker_of(use.site, role)
    os.kill(before, signal.SIGKILL)
    assert await use.computes()
    await measured(use, f"{role}'s broker", "kill -9", "computes")

    async def another() -> bool:
        return broker_of(use.site, role) != before

    await until(another, 10, "another broker runs")


@pytest.mark.parametrize("role", ["server", "gateway"])
async def test_a_broker_is_held_up(use: Use, role: str) -> None:
    pid = broker_of(use.site, role)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert await use.computes()

        async def cut_off() -> bool:
            nodes = (await use.client.get("/api/v1/nodes")).json["items"]
            return not any(node["up"] for node in nodes if node["name"] == NODE)

        await until(cut_off, 30, "the server does not hear the node")
        assert await use.computes()
    finally:
        os.kill(pid, signal.SIGCONT)
    await measured(use, f"{role}'s broker", "held up, goes on", "computes")


@pytest.mark.parametrize(("how", "seconds"), [("kill", 0.0), ("pause", 0.0), ("kill", 60.0)])
async def test_the_store_is_away(use: Use, store: Standin, how: str, seconds: float) -> None:
    """People are told within a moment; who computes notices nothing, however long it takes."""
    gone = time.monotonic()
    if how == "kill":
        store.kill()
    else:
        store.pause()
    try:
        change = {"summary": "while the store is away"}

        async def told() -> bool:
            answer = await use.client.ask("PATCH", f"/api/v1/projects/{use.session['project']}", change)
            return answer.status in (503, 504) and "store" in answer.text.lower()

        await until(told, 60, "the page says that the store is away")
        assert await use.computes()
        while time.monotonic() < gone + seconds:
            assert await use.computes()
            assert await told()
            await asyncio.sleep(1)  # between two looks
        assert use.site.programs["server"].process is not None
        assert use.site.programs["server"].process.poll() is None, "a server without a store goes on"
    finally:
        if how == "kill":
            store.start()
        else:
            store.go_on()
    what = f"store, away for {seconds:g} s" if seconds else "store"
    await measured(use, what, "kill -9, started" if how == "kill" else "held up, goes on", "computes")


async def test_all_of_it_at_once(use: Use, store: Standin) -> None:
    """A power cut of everything but the compute node's apps: each is started, in no good order."""
    for program in use.site.programs.values():
        program.kill()
    store.kill()
    for role in ("server", "gateway"):
        os.kill(broker_of(use.site, role), signal.SIGKILL)
    for role in ("compute", "gateway", "server"):
        use.site.programs[role].spawn()
    await asyncio.to_thread(store.start)
    await measured(use, "all at once", "kill -9, started", "lives, not reached")


async def test_nothing_was_lost(use: Use, diary: Diary) -> None:
    """What was acknowledged is there; what runs, runs once."""
    assert len(diary.acknowledged) > 20
    assert await diary.lost(use.client, use.session["project"].partition("/")[0]) == []
    assert len(copies(use.site, use.session["id"])) == 1
