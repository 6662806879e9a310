"""Shared storage: a lost node's projects start on another node, and never run on two: whatever is left of the lost one ends first."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.test_main_job import bearer, opened, project_of
from tests.kernels import Kernel
from tests.topology import Topology
from tests.waiting import until

pytestmark = pytest.mark.slow

LEASE = {"compute": {"storage": "nfs", "lease_seconds": 6}}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Topology]:
    """Two compute nodes with one project root."""
    made = Topology({"paris": 2}, LEASE, shared=True)
    with made:
        made.wait_all()
        try:
            yield made
        finally:
            for program in made.programs.values():  # also one that a failed test left paused
                if program.process is not None:
                    program.process.send_signal(signal.SIGCONT)


def apps(nodes: Topology, node: str) -> list[int]:
    """Living leaders of apps that this node's launcher has written down."""
    found = []
    for path in (nodes.folder / node / "launcher" / "apps").glob("*.json"):
        with suppress(OSError, ValueError, KeyError):
            pid = int(json.loads(path.read_text())["process"]["pid"])
            if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX":
                found.append(pid)
    return found


@pytest.mark.parametrize("how", ["paused", "killed"])
async def test_a_lost_nodes_projects_run_elsewhere_and_never_twice(nodes: Topology, how: str) -> None:
    """Paused: AEN's process stands still, its apps go on. Killed: likewise, and it does not come back by itself."""
    anna = await asyncio.to_thread(nodes.add, f"anna-{how}")
    before = {*apps(nodes, "paris-0"), *apps(nodes, "paris-1")}
    async with nodes.client(anna) as client, aiohttp.ClientSession() as http:
        session = await opened(client, await project_of(client, anna, "shared", datacenter="paris"))
        lost = session["node"]
        (other,) = {"paris-0", "paris-1"} - {lost}
        (leader,) = {*apps(nodes, lost)} - before
        kernel = await Kernel.start(http, session["url"], bearer(nodes, anna))
        await kernel.run("open('kept', 'w').write('from the first node')")
        program = nodes.programs[lost]
        if how == "paused":
            assert program.process is not None
            os.kill(program.process.pid, signal.SIGSTOP)
        else:
            program.kill()

        async def given_up() -> bool:
            phase = (await client.get(f"/api/v1/sessions/{session['id']}")).json["phase"]
            alive = leader in apps(nodes, lost)
            assert not (phase == "LOST" and alive), "the server gave the project free while it ran"
            return bool(phase == "LOST")

        await until(given_up, 60, "the server sees that the lease has ended")
        again = await opened(client, f"{anna}/shared")
        assert again["node"] == other
        kernel = await Kernel.start(http, again["url"], bearer(nodes, anna))
        assert await kernel.run("print(open('kept').read())") == "from the first node\n"
        if how == "paused":
            assert program.process is not None
            os.kill(program.process.pid, signal.SIGCONT)
        else:
            await asyncio.to_thread(program.start)
        await until(lambda: _takes(nodes, client, anna, lost, other), 60, f"{lost} works again")
        assert await kernel.run("print(6 * 7)") == "42\n"
        assert (await client.get(f"/api/v1/sessions/{session['id']}")).json["node"] == other


async def _takes(nodes: Topology, client: Any, anna: str, lost: str, other: str) -> bool:
    """Whether something new is started at the node that was lost, and nothing else runs there."""
    if lost in await asyncio.to_thread(nodes.missing):
        return False
    assert not apps(nodes, lost), "what ran there was ended"
    await asyncio.to_thread(nodes.api.put, "nodes", other, "drain", body={"draining": True})
    try:
        session = await opened(client, await project_of(client, anna, "next", datacenter="paris"))
    finally:
        await asyncio.to_thread(nodes.api.put, "nodes", other, "drain", body={"draining": False})
    assert session["node"] == lost
    return True
