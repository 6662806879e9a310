"""Server, gateway and compute node apart: what an administrator does with nodes, and that nobody can do more."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
import yaml

from tests.apart import CENTER, NODE, Apart
from tests.integration.test_main_job import bearer, opened, project_of
from tests.integration.test_nginx import sign_in
from tests.kernels import Kernel
from tests.nginx import browser
from tests.ports import free_ports
from tests.program import Program
from tests.served import Client
from tests.waiting import until
from tests.world import merged


def second(apart: Apart, name: str, **compute: Any) -> Program:
    """The configuration of one more compute node, which has not joined."""
    node, ops = free_ports(2)
    own = {
        "data_dir": str(apart.folder / name),
        "run_dir": str(apart.folder / f"run-{name}"),
        "ops": {"listen": f"127.0.0.1:{ops}"},
        "compute": {"listen": f"127.0.0.1:{node}", "project_root": str(apart.folder / f"projects-{name}"), **compute},
    }
    config = merged(apart.config, own)
    del config["server"]
    file = apart.folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(config))
    return apart.program_of("compute", file, config)


async def session_of(client: Client, id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/api/v1/sessions/{id}")).json
    return found


def test_nodes_and_data_centers_are_listed(apart: Apart) -> None:
    nodes = json.loads(apart.aen("node", "list", "--json").stdout)
    assert [(node["name"], node["roles"], node["up"]) for node in nodes] == [
        ("edge", ["gateway"], True),
        (NODE, ["compute"], True),
    ]
    assert all(node["joined_by"] == "(local)" and node["certificate_until"] for node in nodes)
    (center,) = json.loads(apart.aen("datacenter", "list", "--json").stdout)
    assert (center["name"], center["nodes_up"], center["gateway_url"]) == (CENTER, 2, apart.gateway)


def test_who_has_joined_is_not_joined_again_unasked(apart: Apart) -> None:
    again = apart.run(apart.programs["compute"].file, "node", "join", apart.gateway, "--token", "a.b")
    assert again.returncode == 1
    assert f"joined already, as {NODE}" in again.stderr


def test_configuration_that_disagrees_is_refused(apart: Apart) -> None:
    file = apart.folder / "other.yaml"
    config = yaml.safe_load(apart.programs["compute"].file.read_text())
    file.write_text(yaml.safe_dump(merged(config, {"gateway": {"datacenter": "lyon"}})))
    refused = apart.run(file, "serve", "--role", "compute")
    assert refused.returncode == 2
    assert "gateway.datacenter is 'lyon'" in refused.stderr
    other_role = apart.run(apart.programs["compute"].file, "serve", "--role", "gateway")
    assert other_role.returncode == 2
    assert "joined as compute" in other_role.stderr


def test_a_token_that_is_none_gives_one_sentence(apart: Apart) -> None:
    program = second(apart, "stranger")
    refused = apart.run(program.file, "node", "join", apart.gateway, "--token", "a.b", "--name", "n9")
    assert refused.returncode == 1
    assert "not (or no longer) good" in refused.stderr
    assert not (apart.folder / "stranger" / "node").exists()


async def test_a_node_more_and_gone_again(apart: Apart) -> None:
    """Joined while others work; used; removed: its session LOST, its keys worth nothing, its neighbour untouched."""
    grace = apart.add("grace")
    program = second(apart, "n8")
    apart.programs["n8"] = program
    apart.join("compute", "n8", program="n8")
    program.start()
    apart.wait_known("n8")
    async with apart.client(grace) as client, aiohttp.ClientSession() as http:
        drained = apart.aen("node", "drain", NODE)
        assert drained.returncode == 0, drained.stderr
        slug = await project_of(client, grace, "moving")
        session = await opened(client, slug)
        assert session["node"] == "n8"
        assert apart.aen("node", "drain", NODE, "--off").returncode == 0
        kernel = await Kernel.start(http, session["url"], bearer(apart, grace))
        assert await kernel.run("print(6 * 7)") == "42\n"
        removed = apart.aen("node", "remove", "n8", "--yes")
        assert removed.returncode == 0, removed.stderr
        seen = await session_of(client, session["id"])
        assert (seen["phase"], seen["reason"]) == ("LOST", "the compute node n8 was removed by (local)")

        async def closed() -> bool:
            async with http.get(f"{session['url']}api/status", headers=bearer(apart, grace)) as answer:
                return answer.status == 503

        await until(closed, 30, "the gateway leads nobody there")
    nodes = [node["name"] for node in json.loads(apart.aen("node", "list", "--json").stdout)]
    assert "n8" not in nodes

    async def alone() -> bool:
        return "Authorization Violation" in program.log.read_text() or "refused" in program.log.read_text()

    await until(alone, 60, "the broker refuses it")
    program.stop()
    del apart.programs["n8"]


async def test_server_down_sessions_go_on(apart: Apart) -> None:
    """The server ended: who is in stays in; started again, it knows everything without anybody's help."""
    henry = apart.add("henry")
    async with apart.client(henry) as client, aiohttp.ClientSession() as http:
        session = await opened(client, await project_of(client, henry, "steady"))
        kernel = await Kernel.start(http, session["url"], bearer(apart, henry))
        await kernel.run("treasure = 4711")
        apart.programs["server"].stop()
        assert await kernel.run("print(treasure)") == "4711\n"
        apart.programs["server"].start()

        async def running() -> bool:
            return bool((await session_of(client, session["id"]))["phase"] == "RUNNING")

        await until(running, 60, "the server knows the session again")
        assert await kernel.run("print(treasure + 1)") == "4712\n"


async def test_a_gateway_starts_again_without_server_and_bus(apart: Apart) -> None:
    """Everything but the node and the session is gone: who is signed in at the gateway goes on, a stranger does not."""
    jane = apart.add("jane")
    gateway, server = apart.programs["gateway"], apart.programs["server"]
    async with apart.client(jane) as client, browser(headers={"Accept": "text/html"}) as http:
        session = await opened(client, await project_of(client, jane, "alone"))
        await sign_in(http, apart.server, jane)
        async with http.get(f"{session['url']}lab") as page:
            assert page.status == 200
        xsrf = next(cookie.value for cookie in http.cookie_jar if cookie.key == "_xsrf")
        kernel = await Kernel.start(http, session["url"], {"Origin": apart.gateway, "X-XSRFToken": xsrf})
        await kernel.run("treasure = 4711")
        kept = apart.folder / "gateway/gateway/state.json"

        async def written() -> bool:
            return session["id"] in kept.read_text()

        await until(written, 10, "the route is on the gateway's disk")
        server.stop()
        gateway.stop()
        apart.end_brokers()
        gateway.start()
        assert await kernel.run("print(treasure)") == "4711\n"
        async with browser() as other, other.get(f"{session['url']}api") as answer:
            assert answer.status == 401
        server.start()
        await asyncio.to_thread(apart.wait_known, "edge")

        async def hears() -> bool:
            return (await client.get(f"/api/v1/projects/{jane}/alone/environments")).status == 200

        await until(hears, 60, "the compute node hears the server again")
        assert await kernel.run("print(treasure + 1)") == "4712\n"


@pytest.mark.parametrize("role", ["gateway", "compute"])
async def test_each_role_restarts_alone(apart: Apart, role: str) -> None:
    ines = apart.add(f"ines-{role}")
    async with apart.client(ines) as client, aiohttp.ClientSession() as http:
        session = await opened(client, await project_of(client, ines, f"r-{role}"))
        kernel = await Kernel.start(http, session["url"], bearer(apart, ines))
        await kernel.run("treasure = 4711")
        apart.programs[role].kill()
        apart.programs[role].start()

        async def again() -> str | None:
            try:
                return await kernel.run("print(treasure)")
            except aiohttp.ClientError:
                return None

        assert await until(again, 60, "the kernel answers again") == "4711\n"


def test_credentials_are_for_their_owner_only(apart: Apart) -> None:
    for role in ("server", "gateway", "compute"):
        folder = apart.folder / role / "node"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
