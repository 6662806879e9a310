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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aen.errors import AenError
from tests.apart import EDGE, NODE, Apart
from tests.integration.test_main_job import bearer, opened, project_of
from tests.kernels import Kernel
from tests.served import Client
from tests.standin import Standin
from tests.waiting import until

pytestmark = pytest.mark.slow

REPAIR_SECONDS = 60.0  # a bound for the test to end; what is measured is told in the table
_ROWS: list[tuple[str, str, str, float]] = []


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
    print("\n| what | how | the session meanwhile | all well again after |\n|---|---|---|---|")
    for what, how, meanwhile, seconds in _ROWS:
        print(f"| {what} | {how} | {meanwhile} | {seconds:.1f} s |")


@dataclass
class Use:
    """Somebody at work: a session with a kernel that remembers."""

    site: Apart
    client: Client
    session: dict[str, Any]
    kernel: Kernel
    count: int = field(default=0)
    seen: str = ""

    async def computes(self) -> bool:
        """Whether the very kernel answers, and has forgotten nothing."""
        try:
            return await self.kernel.run("print(treasure)", 5) == "4711\n"
        except (aiohttp.ClientError, AssertionError, TimeoutError, OSError):
            return False

    async def well(self) -> bool:
        """Whether everything works: the store takes a change, all nodes are heard, the session runs, the kernel answers."""
        try:
            self.count += 1
            change = {"summary": f"change {self.count}"}
            answer = await self.client.ask("PATCH", f"/api/v1/projects/{self.session['project']}", change)
            nodes = (await self.client.get("/api/v1/nodes")).json["items"]
            phase = (await self.client.get(f"/api/v1/sessions/{self.session['id']}")).json["phase"]
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError, AenError):
            return False
        self.seen = f"{answer.status} {answer.text[:100]} {phase} {[(node['name'], node['up']) for node in nodes]}"
        up = {node["name"] for node in nodes if node["up"]}
        return answer.status == 200 and up >= {EDGE, NODE} and phase == "RUNNING" and await self.computes()


@pytest.fixture
async def use(site: Apart) -> AsyncIterator[Use]:
    name = site.person("hedy")
    if not any(user["name"] == name for user in site.api.get("users")["items"]):
        site.add("hedy")
    async with site.client(name) as client, aiohttp.ClientSession() as http:
        slug = f"{name}/faults"
        if (await client.get(f"/api/v1/projects/{slug}")).status == 404:
            await project_of(client, name, "faults")
        session = await opened(client, slug)
        session["project"] = slug
        kernel = await Kernel.start(http, session["url"], bearer(site, name))
        await kernel.run("treasure = 4711")
        made = Use(site, client, session, kernel)
        assert await made.well()
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
    began = time.monotonic()
    try:
        await until(use.well, REPAIR_SECONDS, f"all is well after {what} was {how}")
    except AssertionError as error:
        raise AssertionError(
            f"{error}; last seen: {use.seen}; health: {use.site.health()['parts'].get('bus')}"
        ) from None
    _ROWS.append((what, how, meanwhile, time.monotonic() - began))


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


@pytest.mark.parametrize("how", ["kill", "pause"])
async def test_the_store_is_away(use: Use, store: Standin, how: str) -> None:
    """People are told within a moment; who computes notices nothing."""
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
    finally:
        if how == "kill":
            store.start()
        else:
            store.go_on()
    await measured(use, "store", "kill -9, started" if how == "kill" else "held up, goes on", "computes")


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


def test_nothing_was_lost(site: Apart) -> None:
    """What was acknowledged is there; nothing was started twice."""
    marker = str(site.folder).encode()
    servers = [
        path
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"aen_jupyter" in (said := _read(path)) and marker in said + _read(path.with_name("environ"))
    ]
    assert len(servers) <= 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
