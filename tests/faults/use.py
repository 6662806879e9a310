"""Somebody at work while things break: a session with a kernel that remembers, and what "all is well again" means."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from aen.errors import AenError
from tests.apart import EDGE, NODE, Apart
from tests.integration.test_main_job import bearer, opened, project_of
from tests.kernels import Kernel
from tests.served import Client
from tests.waiting import until

_WRITE_SECONDS = 0.5  # between two entries of a diary
REPAIR_SECONDS = 120.0  # a bound for the test to end; what is measured is told in the table


@dataclass
class Table:
    """The rows that are printed at the end, and kept in docs/faults.md."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """One row."""
        assert len(cells) == len(self.columns)
        self.rows.append(cells)

    def show(self) -> None:
        """Print it (`-s`)."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        print("\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))


class Diary:
    """Somebody who goes on writing while things break: what was acknowledged must be there in the end."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def kept(self, client: Client) -> AsyncIterator[None]:
        """A project every half second, whatever becomes of it."""
        task = asyncio.create_task(self._write(client))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _write(self, client: Client) -> None:
        while True:
            name = f"entry-{next(self._numbers)}"
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                if (await client.post("/api/v1/projects", {"name": name})).status == 201:
                    self.acknowledged.append(name)
            await asyncio.sleep(_WRITE_SECONDS)

    async def lost(self, client: Client, owner: str) -> list[str]:
        """What was acknowledged, and is not there."""
        found = [(await client.get(f"/api/v1/projects/{owner}/{name}")).status for name in self.acknowledged]
        return [name for name, status in zip(self.acknowledged, found, strict=True) if status != 200]


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
        except (aiohttp.ClientError, TimeoutError, OSError, KeyError, ValueError, AenError):
            return False
        self.seen = f"{answer.status} {answer.text[:100]} {phase} {[(node['name'], node['up']) for node in nodes]}"
        up = {node["name"] for node in nodes if node["up"]}
        return answer.status == 200 and up >= {EDGE, NODE} and phase == "RUNNING" and await self.computes()

    async def until_well(self, after: str) -> float:
        """Seconds from now until everything works."""
        began = time.monotonic()
        try:
            await until(self.well, REPAIR_SECONDS, f"all is well after {after}")
        except AssertionError as error:
            raise AssertionError(
                f"{error}; last seen: {self.seen}; health: {self.site.health()['parts'].get('bus')}"
            ) from None
        return time.monotonic() - began


@asynccontextmanager
async def in_use(site: Apart, diary: Diary | None = None) -> AsyncIterator[Use]:
    """Hedy at work; the same project and session for every test of a site, a kernel of its own for each."""
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
        async with (diary or Diary()).kept(client):
            yield made


def copies(site: Apart, session: str) -> set[bytes]:
    """The starts of a session of which something runs: each has a directory of its own, named in what it is told."""
    pattern = re.compile(rf"{re.escape(str(site.folder))}/run-compute/({session[:12]}-\w+)/".encode())
    found: set[bytes] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            found.update(pattern.findall(said))
    return found
