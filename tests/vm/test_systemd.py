"""AEN as a unit of a real systemd, on real control groups: started, restarted, killed, rebooted, cut off from its power.

The tests share one machine and are run in this order.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from tests.integration import test_main_job
from tests.integration.test_main_job import opened, project_of
from tests.kernels import Kernel
from tests.vm.box import Box
from tests.waiting import until

SECONDS = 300.0  # without KVM all takes ten times as long


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_main_job, "START_SECONDS", 900)


def test_it_is_up_when_systemd_says_so(box: Box) -> None:
    """`systemctl enable --now` came back: people can sign in, and systemd finds nothing wrong."""
    machine = box.machine
    shown = box.show("aen-all", "ActiveState", "SubState", "Type")
    assert shown == {"ActiveState": "active", "SubState": "running", "Type": "notify"}
    ready = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8088/-/ready').status)"
    assert machine.run(f'python3 -c "{ready}"') == "200\n"
    assert "AEN is ready" in machine.run("journalctl -b -u aen-all -o cat")
    assert machine.run("systemd-analyze verify --man=no /etc/systemd/system/aen-all.service 2>&1") == ""
    assert "kept by systemd" in machine.run("aen doctor")


async def test_nothing_that_is_done_to_the_unit_ends_a_kernel(box: Box) -> None:
    """Restarted, stopped and started, killed; its launcher killed; systemd itself executed anew."""
    async with box.client("ann") as client, aiohttp.ClientSession() as http:
        await project_of(client, "ann", "genome")
        session = await opened(client, "ann/genome")
        assert any(session["id"] in scope for scope in box.scopes())
        kernel = await Kernel.start(http, f"{box.gateway}/ann/genome/jupyter/", box.bearer("ann"))
        assert await kernel.run("kept = 41\nprint(open('/proc/self/cgroup').read())", SECONDS) != ""
        launcher = "$(pgrep -f '^[^ ]*python3 -I -m aen.launchers.privileged')"
        for done in (
            "systemctl restart aen-all",
            "systemctl stop aen-all && systemctl start aen-all",
            "systemctl kill --signal=KILL --kill-whom=main aen-all",
            f"kill -9 {launcher}",
            "systemctl daemon-reexec",
        ):
            box.machine.run(done, timeout=SECONDS)
            assert await until(lambda: answers(kernel), SECONDS, f"the kernel answers after: {done}")
        await ended(box, client, session)


async def answers(kernel: Kernel) -> bool:
    with contextlib.suppress(aiohttp.ClientError, AssertionError, TimeoutError):
        return (await kernel.run("print(kept + 1)")).strip() == "42"
    return False


async def ended(box: Box, client: Any, session: dict[str, Any]) -> dict[str, Any]:
    """Told to stop, if it runs; how it is once it has ended."""
    await client.ask("DELETE", f"/api/v1/sessions/{session['id']}")
    return await over(client, session)


async def over(client: Any, session: dict[str, Any]) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        seen: dict[str, Any] = (await client.get(f"/api/v1/sessions/{session['id']}")).json
        return seen if seen["phase"] in ("STOPPED", "PROBLEM") else None

    return await until(look, SECONDS, "the session has ended")


async def test_what_takes_too_much_memory_says_so(box: Box) -> None:
    """Each time: systemd may take its scope away before AEN looks."""
    async with box.client("ann") as client:
        for _ in range(4):
            box.machine.run("rm -f /projects/ann/genome/eat")
            session = await opened(client, "ann/genome", "trouble")
            (scope,) = [name for name in box.scopes() if session["id"] in name]
            shown = box.show(scope, "MemoryMax", "MemorySwapMax", "TasksMax", "CPUQuotaPerSecUSec", "Slice")
            assert shown == {
                "MemoryMax": str(100 << 20),
                "MemorySwapMax": "0",
                "TasksMax": "60",
                "CPUQuotaPerSecUSec": "500ms",
                "Slice": "aen-apps.slice",
            }
            box.machine.run("touch /projects/ann/genome/eat")
            seen = await over(client, session)
            assert (seen["phase"], "more than 100 MB of memory" in seen["reason"]) == ("PROBLEM", True), seen
            assert "about to eat" in seen["log_tail"]
        box.machine.run("rm -f /projects/ann/genome/eat")


async def test_a_fork_bomb_hurts_its_own_session_only(box: Box) -> None:
    async with box.client("ann") as client:
        session = await opened(client, "ann/genome", "trouble")
        box.machine.run("touch /projects/ann/genome/fork")
        group = f"/sys/fs/cgroup/aen.slice/aen-apps.slice/*{session['id']}*"

        async def full() -> bool:
            return not box.machine.run(f"cat {group}/pids.events").startswith("max 0")

        await until(full, SECONDS, "it has all it may have")
        box.machine.run("rm /projects/ann/genome/fork")
        assert int(box.machine.run(f"cat {group}/pids.current")) <= 60
        assert (await client.get("/api/v1/me")).status == 200
        assert (await ended(box, client, session))["phase"] == "STOPPED"
        assert box.machine.run("ps -u ann -o comm= | grep -c '^sh$' || true") == "0\n"


async def test_after_a_reboot_it_is_back_and_what_ran_is_told(box: Box) -> None:
    async with box.client("ann") as client:
        session = await opened(client, "ann/genome", "trouble")
        box.machine.reboot()
        await until(lambda: up(client), SECONDS, "AEN is up by itself")
        async with asyncio.timeout(60):
            assert (await over(client, session))["phase"] == "STOPPED"
        assert box.machine.run("systemctl --failed --no-legend") == ""


async def up(client: Any) -> bool:
    with contextlib.suppress(aiohttp.ClientError):
        return bool((await client.get("/api/v1/me")).status == 200)
    return False


async def test_no_acknowledged_write_is_lost_when_the_power_fails(box: Box) -> None:
    """Four write; the machine is switched off in the midst of it."""
    told: list[str] = []
    async with box.client("ann") as client:

        async def write(writer: int) -> None:
            with contextlib.suppress(aiohttp.ClientError):
                while True:
                    name = f"w{writer}x{len(told)}"
                    if (await client.post("/api/v1/projects", {"name": name})).status == 201:
                        told.append(name)

        writers = [asyncio.create_task(write(number)) for number in range(4)]

        async def many() -> bool:
            return len(told) >= 60

        await until(many, SECONDS, "there are many")
        box.machine.cut()
        await asyncio.gather(*writers)
    await asyncio.to_thread(box.boot)
    async with box.client("ann") as client:
        await until(lambda: up(client), SECONDS, "AEN is up by itself")
        lost = [name for name in told if (await client.get(f"/api/v1/projects/ann/{name}")).status != 200]
        assert lost == [], f"{len(lost)} of {len(told)} are lost"
    assert box.machine.run("systemctl stop aen-all && aen store check", timeout=SECONDS) == "The store is whole.\n"
