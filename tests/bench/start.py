"""Starting JupyterLab: from the request to the first 200, through AEN and by hand."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from tests.bench.row import Row, percentile
from tests.bench.server import AS_SHIPPED
from tests.ports import free_ports
from tests.served import Client
from tests.waiting import until
from tests.world import World

STARTS = 7
_BUILD_SECONDS = 600.0  # the root environments, where they have never been built


async def measure() -> AsyncIterator[Row]:
    """The same Jupyter of the same environment; in turns, so that both meet the same machine."""
    with World(options=AS_SHIPPED) as world:
        name = world.add("ann")
        async with world.client(name) as client:
            await until(lambda: _ready(client), _BUILD_SECONDS, "a node that is ready for sessions")
            made = await client.post("/api/v1/projects", {"name": "bench"})
            assert made.status == 201, made.text
            begun = time.monotonic()
            await _through_aen(client, name)
            yield Row(
                "first start in a new project (account, directory, environment, app)", time.monotonic() - begun, "s"
            )
            # Of a directory that is kept, the version made last is the one in use.
            versions = Path(world.config["envs_dir"]).glob("apps-*")
            python = max(versions, key=lambda path: path.stat().st_ctime) / "bin" / "python"
            ours, theirs = [], []
            for _ in range(STARTS):
                ours.append(await _through_aen(client, name))
                theirs.append(await _by_hand(python))
    aim = "<= 1.15"
    yield Row("JupyterLab, request to first 200, median", percentile(ours, 0.5), "s", percentile(theirs, 0.5), aim)


async def _ready(client: Client) -> bool:
    nodes = (await client.get("/api/v1/nodes")).json["items"]
    return any(node["ready"] for node in nodes)


async def _through_aen(client: Client, owner: str) -> float:
    """Seconds from the wish to the first 200 of the app; it is stopped again."""
    begun = time.monotonic()
    answer = await client.post(f"/api/v1/projects/{owner}/bench/sessions", {"app": "jupyterlab"})
    assert answer.status == 202, answer.text
    session = answer.json
    headers = {"Authorization": f"Bearer {client.token}"}
    await until(lambda: _answers(client.http, session["url"] + "api/status", headers), 120, "JupyterLab's answer")
    seconds = time.monotonic() - begun
    stopped = await client.ask("DELETE", f"/api/v1/sessions/{session['id']}")
    assert stopped.status < 300, stopped.text
    await until(lambda: _is_stopped(client, session["id"]), 60, "the session's end")
    return seconds


async def _is_stopped(client: Client, session: str) -> bool:
    return (await client.get(f"/api/v1/sessions/{session}")).json["phase"] in ("STOPPED", "PROBLEM", "LOST")


async def _by_hand(python: Path) -> float:
    """Seconds from exec to the first 200 of the same JupyterLab, started as people do."""
    (port,) = free_ports(1)
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as home:
        options = [f"--port={port}", "--ip=127.0.0.1", "--no-browser", f"--IdentityProvider.token={token}"]
        options += [f"--ServerApp.root_dir={home}", *(["--allow-root"] if os.geteuid() == 0 else [])]
        begun = time.monotonic()
        process = subprocess.Popen(
            [str(python), "-P", "-m", "jupyterlab", *options],
            env={"HOME": home, "PATH": os.defpath, "LANG": "C.UTF-8"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=home,
        )
        try:
            async with aiohttp.ClientSession(headers={"Authorization": f"token {token}"}) as http:
                await until(lambda: _answers(http, f"http://127.0.0.1:{port}/api/status", {}), 120, "Jupyter's answer")
            return time.monotonic() - begun
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


async def _answers(http: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> bool:
    try:
        async with http.get(url, headers=headers, allow_redirects=False) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
