"""Somebody at work while things break: a session with a kernel that remembers, and what "all is well again" means."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from aen.errors import AenError
from tests.apart import EDGE, NODE, Apart
from tests.integration.test_main_job import bearer, opened, project_of
from tests.kernels import Kernel
from tests.served import Client
from tests.waiting import until

REPAIR_SECONDS = 60.0  # a bound for the test to end; what is measured is told in the table


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
async def in_use(site: Apart) -> AsyncIterator[Use]:
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
        yield made
