"""The real program, every role in one process, on MongoDB (a stand-in); its installation is moved to SQLite by the command."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests import standin
from tests.integration.test_main_job import bearer, opened, project_of
from tests.kernels import Kernel
from tests.world import World


@pytest.fixture
def on_mongo(tmp_path: Path) -> Iterator[World]:
    with World(options={"store": {"url": standin.url_for(tmp_path)}}) as made:
        yield made


async def test_a_kernel_lives_through_a_restart_and_a_move_to_sqlite(on_mongo: World) -> None:
    world = on_mongo
    name = await asyncio.to_thread(world.add, "rita")
    async with world.client(name) as client, aiohttp.ClientSession() as http:
        session = await opened(client, await project_of(client, name, "genome"))
        kernel = await Kernel.start(http, session["url"], bearer(world, name))
        assert await kernel.run("kept = 42") == ""
        await asyncio.to_thread(world.restart)
        assert await kernel.run("print(kept)") == "42\n"

        running = await asyncio.to_thread(world.aen, "store", "check")
        assert running.returncode == 1
        assert "is in use by another `aen`" in running.stderr
        await asyncio.to_thread(world.stop)
        checked = await asyncio.to_thread(world.aen, "store", "check")
        assert (checked.returncode, checked.stdout) == (0, "The store is whole.\n"), checked.stderr
        target = f"sqlite://{world.folder}/data/moved.db"
        moved = await asyncio.to_thread(world.aen, "store", "copy", "current", target)
        assert moved.returncode == 0, moved.stderr
        assert "the same on both sides" in moved.stderr
        again = await asyncio.to_thread(world.aen, "store", "copy", "current", target)
        assert again.returncode == 1
        assert "not empty" in again.stderr

        world.file.write_text(yaml.safe_dump(world.config | {"store": {"url": target}}))
        await asyncio.to_thread(world.start)
        assert "'engine': 'sqlite'" in str(world.health())
        assert await kernel.run("print(kept)") == "42\n"
