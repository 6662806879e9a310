"""The managed broker as a process: it outlives AEN, is found again, started again, never twice, and never somebody else's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from aen.bus.broker import Broker, folder_of, stop
from aen.bus.nats import NatsBus
from aen.bus.running import reap
from aen.config.ground import BusOptions
from aen.config.model import Config
from aen.errors import Conflict, Denied, Invalid, Unavailable
from aen.messages import Done, StopSession
from aen.model import Word
from tests.brokers import Site, plain_broker, reachable, site
from tests.ports import free_ports
from tests.waiting import until
from tests.world import PROGRAM


@pytest.fixture
async def made() -> AsyncIterator[Site]:
    async with site("paris") as found:
        yield found


async def test_it_outlives_aen_and_is_adopted(made: Site) -> None:
    async with made.broker("s1") as first:
        await first.set_nodes(made.known)
        pid = first.health()["pid"]
    async with made.broker("s1") as second:
        assert (second.health()["pid"], second.health()["adopted"], second.health()["starts"]) == (pid, 1, 0)
        assert second.health()["nodes"] == len(made.known), "the nodes are known before anybody tells them again"
        assert second.url == first.url
        async with made.bus("s1", second) as bus:
            assert bus.health()["status"] == "ok"


async def test_it_is_started_again_when_it_dies_at_the_same_place(made: Site) -> None:
    async with made.broker("s1") as broker, made.bus("s1", broker) as bus:
        pid, url = broker.health()["pid"], broker.url
        os.kill(pid, signal.SIGKILL)
        await until(lambda: _back(broker, pid), 40, "another one runs")
        assert broker.url == url
        await until(lambda: _fine(bus.health()["status"]), 40, "the bus is back")
    assert not _alive(pid)


async def test_stop_ends_it_and_leaves_nothing(made: Site) -> None:
    async with made.broker("s1") as broker:
        pid = broker.health()["pid"]
    assert await stop(made.folder / "s1")
    assert not _alive(pid)
    assert not await stop(made.folder / "s1")
    async with made.broker("s1") as again:
        assert again.health()["starts"] == 1


@pytest.mark.parametrize("change", [{"pid": 1}, {"pid": os.getpid()}, {"started": 1}, {"boot": "another"}])
async def test_a_stale_record_names_nobody(made: Site, change: dict[str, object]) -> None:
    """The number belongs to another process by now: it is neither adopted nor ended."""
    async with made.broker("s1"):
        pass
    place = folder_of(made.folder / "s1") / "running.json"
    record = json.loads(place.read_text())
    await stop(made.folder / "s1")
    place.write_text(json.dumps(record | change))
    assert not await stop(made.folder / "s1")
    async with made.broker("s1") as broker:
        assert (broker.health()["starts"], broker.health()["adopted"]) == (1, 0)


async def test_half_written_records_are_no_records(made: Site) -> None:
    folder = folder_of(made.folder / "s1")
    folder.mkdir(parents=True)
    for name in ("running.json", "nodes.json", "port"):
        (folder / name).write_text("{")
    async with made.broker("s1") as broker:
        assert broker.health()["status"] == "ok"


async def test_a_port_of_somebody_else_is_named(made: Site) -> None:
    async with made.broker("s1"):
        other = Broker(
            made.config("s1").model_copy(update={"data_dir": made.folder / "other"}),
            ("server",),
            made.credentials["s1"],
            holder=lambda port: f"nats-server on {port}",
        )
        with pytest.raises(Conflict, match=rf"bus.listen: port {made.hub} is taken by nats-server on {made.hub}"):
            await other.__aenter__()
    assert not (made.folder / "other/broker/running.json").exists()


async def test_a_changed_layout_starts_it_again(made: Site) -> None:
    async with made.broker("g-paris") as broker:
        pid = broker.health()["pid"]
    config = made.config("g-paris")
    [port] = free_ports(1)
    config.bus.leaf_listen = f"127.0.0.1:{port}"
    async with Broker(config, ("gateway",), made.credentials["g-paris"]) as moved:
        assert moved.health()["pid"] != pid
        assert moved.url == f"tls://127.0.0.1:{port}"
    assert not _alive(pid)


async def test_a_renewed_certificate_is_taken_up(made: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aen.bus.broker.LOOK_SECONDS", 0.05)
    async with made.broker("s1") as broker:
        before = broker.health()["reloads"]
        file = made.credentials["s1"].certificate
        file.write_bytes(file.read_bytes())
        await until(lambda: _is(broker.health()["reloads"] == before + 1), 40, "it was told")
        async with made.bus("s1", broker) as bus:
            assert bus.health()["status"] == "ok"


async def test_what_is_secret_is_ours_alone(made: Site) -> None:
    async with made.broker("g-paris") as broker:
        pid = broker.health()["pid"]
    folder = folder_of(made.folder / "g-paris")
    assert folder.stat().st_mode & 0o077 == 0
    seed = made.credentials["g-paris"].nkey.read_text().strip()
    holding = [path.name for path in folder.iterdir() if seed in path.read_text(errors="replace")]
    assert holding == ["nats.conf"]
    assert (folder / "nats.conf").stat().st_mode & 0o077 == 0
    assert seed not in Path(f"/proc/{pid}/cmdline").read_text()


async def test_a_wrong_key_changes_nothing(made: Site) -> None:
    async with (
        made.brokers() as brokers,
        made.bus("s1", brokers["s1"]) as server,
        made.bus("g-paris", brokers["g-paris"]) as gate,
    ):
        await reachable(server, gate)
        conf = (folder_of(made.folder / "s1") / "nats.conf").read_text()
        with pytest.raises(Invalid):
            await brokers["s1"].set_nodes([*made.known, made.known[1]._replace(node="x", nkey="UX")])
        assert (folder_of(made.folder / "s1") / "nats.conf").read_text() == conf


async def test_a_node_that_joins_is_reached(made: Site) -> None:
    """What a leaf may hear is fixed when it connects to the hub: it connects anew, and those behind it come back."""
    async with made.brokers() as brokers, made.bus("s1", brokers["s1"]) as server, made.bus("n-paris") as first:
        await reachable(server, first)
        made.node("n2", "compute", datacenter="paris")
        for broker in brokers.values():
            await broker.set_nodes(made.known)
        async with made.bus("n2") as second:
            second.respond("compute.n2", StopSession, _done)
            await until(lambda: _asked(server, "compute.n2"), 40, "the new one can be asked")
            await reachable(server, first)
        assert server.health()["connections"] == 1, "the server's broker goes on"


async def test_a_nats_of_the_sites_own_takes_the_rights_that_aen_prints(made: Site) -> None:
    """`aen broker rights`: what it prints is a configuration, and a node works with it."""
    users = []
    for known in made.known:
        command = [str(PROGRAM), "broker", "rights", known.node, "--role", *known.roles, "--nkey", known.nkey]
        done = subprocess.run([*command, "--datacenter", known.datacenter or "main"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        users.append(done.stdout)
    async with plain_broker(f"authorization {{ users: [\n{''.join(users)}] }}\n") as broker:

        def bus(name: str) -> NatsBus:
            config = Config(bus=BusOptions(mode="external", url=broker.url))
            return NatsBus(config, made.credentials[name].joined.roles, made.credentials[name])

        async with bus("s1") as server, bus("n-paris") as node:
            await reachable(server, node)
            node.respond("compute.n-paris", StopSession, _done)
            await node.settled()
            assert await server.request("compute.n-paris", StopSession(session="s")) == Done()
            with pytest.raises(Denied):
                await node.request("compute.n-paris", StopSession(session="s"))


async def test_aen_broker_stop(made: Site) -> None:
    async with made.broker("s1") as broker:
        pid = broker.health()["pid"]
    file = made.folder / "aen.yaml"
    file.write_text(f"data_dir: {made.folder / 's1'}\n")
    said = [subprocess.run([PROGRAM, "broker", "stop", "-c", file], capture_output=True, text=True) for _ in range(2)]
    assert [done.stdout for done in said] == ["The broker has ended.\n", "No broker of this node runs.\n"], said
    reap(pid)
    assert not _alive(pid)


async def test_one_that_cannot_start_says_why(made: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    made.credentials["s1"].certificate.write_text("no certificate")
    with pytest.raises(Unavailable, match=r"doesn't start: .*certificate"):
        await made.broker("s1").__aenter__()
    assert not (folder_of(made.folder / "s1") / "running.json").exists()


async def _done(command: StopSession) -> Word:
    return Done()


async def _asked(bus: NatsBus, address: str) -> bool:
    with suppress(Unavailable):
        await bus.request(address, StopSession(session="s"), 5)
        return True
    return False


async def _back(broker: Broker, pid: int) -> bool:
    return broker.health()["pid"] not in (0, pid)


async def _fine(status: str) -> bool:
    return status == "ok"


async def _is(fact: bool) -> bool:
    return fact


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
