"""Other people's clients at the gateway with an API token: Jupyter's own gateway client, and the ways in which tokens are sent."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.integration.test_main_job import opened, project_of
from tests.kernels import Kernel
from tests.ports import free_ports
from tests.served import Client
from tests.waiting import until
from tests.world import World


@pytest.fixture
async def running(world: World) -> tuple[str, str]:
    """A running session: its address and its person's token."""
    name = world.person("vera")
    if name not in {user["name"] for user in world.api.all("users")}:
        world.add("vera")
    async with world.client(name) as client:
        slug = await _project(client, name)
        session = await opened(client, slug)
    return session["url"], world.token(name)


async def _project(client: Client, owner: str) -> str:
    if (await client.get(f"/api/v1/projects/{owner}/remote")).status == 200:
        return f"{owner}/remote"
    return await project_of(client, owner, "remote")


def _jupyter_server(world: World) -> Path:
    """The newest Jupyter that AEN has built: here it plays the person's own machine."""
    found = sorted(
        Path(world.config["envs_dir"]).glob("apps-*/bin/jupyter-server"), key=lambda path: path.stat().st_mtime
    )
    return found[-1]


@contextlib.asynccontextmanager
async def laptop(world: World, url: str, token: str, folder: Path) -> AsyncIterator[str]:
    """`jupyter server --gateway-url` as somebody runs it on their laptop; its address."""
    (port,) = free_ports(1)
    home = {"HOME": str(folder), "JUPYTER_GATEWAY_AUTH_TOKEN": token, "PATH": os.environ["PATH"]}
    command = [str(_jupyter_server(world)), f"--gateway-url={url}", f"--port={port}", "--no-browser", "--allow-root"]
    command += ["--IdentityProvider.token=here", f"--ServerApp.root_dir={folder}"]
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, env=home, cwd=folder, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.root
async def test_a_jupyter_elsewhere_computes_here(world: World, running: tuple[str, str], tmp_path: Path) -> None:
    url, token = running
    async with laptop(world, url, token, tmp_path) as local, aiohttp.ClientSession() as http:
        mine = {"Authorization": "token here"}

        async def up() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{local}api/kernelspecs", headers=mine) as answer:
                    return answer.status == 200
            return False

        await until(up, 60, "the Jupyter elsewhere reaches AEN")
        kernel = await Kernel.start(http, local, mine)
        assert "/envs/default" in await kernel.run("import sys; print(sys.prefix)")
        async with http.delete(f"{local}api/kernels/{kernel.id}", headers=mine) as answer:
            assert answer.status == 204


@pytest.mark.parametrize("scheme", ["Bearer", "token", "bearer", "Token"])
async def test_a_token_in_a_header(running: tuple[str, str], scheme: str) -> None:
    url, token = running
    async with aiohttp.ClientSession() as http:
        kernel = await Kernel.start(http, url, {"Authorization": f"{scheme} {token}"})
        assert await kernel.run("print(6 * 7)") == "42\n"


async def test_a_token_in_the_address_is_in_no_log(world: World, running: tuple[str, str]) -> None:
    """As VS Code's "existing Jupyter server" sends it; WebSockets of browsers' code can send no header at all."""
    url, token = running
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{url}api/kernelspecs?token={token}") as answer:
            assert answer.status == 200
        async with http.post(f"{url}api/kernels?token={token}", json={}) as answer:
            kernel = (await answer.json())["id"]
        async with http.ws_connect(f"{url}api/kernels/{kernel}/channels?session_id=x&token={token}") as socket:
            assert not socket.closed
        async with http.get(f"{url}api/kernelspecs?token={token}x") as answer:
            assert answer.status == 401
    assert all(token not in text for _, text in world.logs())
