"""A restart in order, as an upgrade does it: open notebooks hear 1012 and come back to their kernels, which have lived on."""

from __future__ import annotations

import asyncio

import aiohttp

from tests.integration.test_main_job import bearer, opened, project_of
from tests.kernels import Kernel
from tests.world import World


async def test_notebooks_come_back_to_their_kernels(world: World) -> None:
    name = world.add("rita")
    async with world.client(name) as client, aiohttp.ClientSession() as http:
        session = await opened(client, await project_of(client, name, "genome"))
        kernel = await Kernel.start(http, session["url"], bearer(world, name))
        assert await kernel.run("kept = 42") == ""
        address = f"{session['url']}api/kernels/{kernel.id}/channels"
        tabs = [await http.ws_connect(f"{address}?session_id=t{number}", headers=kernel.headers) for number in range(5)]
        ending = asyncio.create_task(asyncio.to_thread(world.stop))
        assert await asyncio.gather(*map(_closed, tabs)) == [1012] * 5
        assert await ending == 0
        await asyncio.to_thread(world.start)
        assert await kernel.run("print(kept)") == "42\n"


async def _closed(tab: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code with which the gateway closes."""
    async with asyncio.timeout(30):
        async for _ in tab:
            pass
    return tab.close_code
