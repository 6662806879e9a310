"""Two servers behind one name and two gateways of one data center, all real programs: what one knows, the other does."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from aen.errors import AenError
from tests.integration.test_main_job import bearer, opened, project_of
from tests.kernels import Kernel
from tests.served import PASSWORD, Client
from tests.several import Several
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def several() -> Iterator[Several]:
    with Several() as made:
        yield made


@contextlib.asynccontextmanager
async def at(several: Several, number: int, name: str) -> Any:
    """A script's client of one of the servers, with that person's API token."""
    async with aiohttp.ClientSession() as http:
        yield Client(several.direct(number), http, token=several.token(name))


async def test_what_is_begun_at_one_is_seen_and_used_at_the_other(several: Several) -> None:
    """A project made and a session started at one; the page of the other hears of it; the kernel answers through both gateways."""
    alice = several.add("alice")
    async with at(several, 0, alice) as first, at(several, 1, alice) as second, aiohttp.ClientSession() as http:
        slug = await project_of(first, alice, "genome")
        project = (await second.get(f"/api/v1/projects/{slug}")).json
        heard: list[str] = []

        async def listen() -> None:
            url = f"{several.direct(1)}/api/v1/projects/{slug}/events"
            async with http.get(url, headers=bearer(several, alice)) as answer:
                assert answer.status == 200, await answer.text()
                async for line in answer.content:
                    heard.append(line.decode().strip())

        listening = asyncio.create_task(listen())
        try:
            session = await opened(first, slug)

            async def told() -> bool:
                return any(line.startswith("data:") and "RUNNING" in line for line in heard)

            await until(told, 20, "the page of the other server hears that the session runs")
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        assert project["slug"] == slug
        kernel = await Kernel.start(http, session["url"], bearer(several, alice))
        await kernel.run("treasure = 4711")
        path = session["url"].removeprefix(several.gateway)
        for number in (0, 1):
            host = {"Host": several.gateway.removeprefix("http://"), **bearer(several, alice)}
            through = Kernel(http, several.gateway_direct(number) + path, host, kernel.id)
            assert await through.run("print(treasure)") == "4711\n"


async def test_a_login_of_one_is_one_of_the_other_and_its_end_holds_at_both_gateways(several: Several) -> None:
    bob = several.add("bob")
    async with at(several, 0, bob) as first, at(several, 1, bob) as second, aiohttp.ClientSession() as http:
        slug = await project_of(first, bob, "secret")
        session = await opened(second, slug)
        path = session["url"].removeprefix(several.gateway)
        host = {"Host": several.gateway.removeprefix("http://"), **bearer(several, bob)}

        async def statuses() -> list[int]:
            found = []
            for number in (0, 1):
                async with http.get(f"{several.gateway_direct(number)}{path}api/status", headers=host) as answer:
                    found.append(answer.status)
            return found

        assert await statuses() == [200, 200]
        several.api2.patch("users", bob, body={"locked": True})

        async def refused() -> bool:
            return await statuses() == [401, 401]

        await until(refused, 5, "both gateways refuse a locked person")

        async def locked_out() -> bool:
            return (await first.get("/api/v1/me")).status in (401, 403)

        await until(locked_out, 5, "the first server refuses them too")


async def test_a_data_center_is_known_to_both_and_so_is_its_end(several: Several) -> None:
    several.api.post("datacenters", body={"name": "lyon", "title": "Lyon"})

    async def known() -> bool:
        return any(center["name"] == "lyon" for center in several.api2.get("datacenters")["items"])

    await until(known, 30, "the second server knows the data center")
    several.api2.delete("datacenters", "lyon")

    async def gone() -> bool:
        return all(center["name"] != "lyon" for center in several.api.get("datacenters")["items"])

    await until(gone, 30, "the first knows that it is gone")


async def test_one_server_killed_the_other_goes_on(several: Several) -> None:
    carol = several.add("carol")
    several.token(carol)
    several.programs["server"].kill()
    try:
        async with several.client(carol) as client:  # by the name that both stand behind

            async def made() -> str | None:
                with contextlib.suppress(aiohttp.ClientError, AssertionError, AenError):
                    return await project_of(client, carol, "still")
                return None

            slug = await until(made, 60, "the other server takes it")
            assert (await opened(client, slug))["phase"] == "RUNNING"
    finally:
        several.programs["server"].start()


async def test_one_gateway_killed_the_other_leads_on(several: Several) -> None:
    dora = several.add("dora")
    async with several.client(dora) as client, aiohttp.ClientSession() as http:
        session = await opened(client, await project_of(client, dora, "led"))
        kernel = await Kernel.start(http, session["url"], bearer(several, dora))
        await kernel.run("treasure = 4711")
        several.programs["gateway"].kill()
        try:

            async def led() -> bool:
                with contextlib.suppress(aiohttp.ClientError, AssertionError):
                    return await kernel.run("print(treasure)") == "4711\n"
                return False

            await until(led, 60, "the other gateway leads there")
        finally:
            several.programs["gateway"].start()


def test_words(several: Several) -> None:
    """Both servers say the same of the nodes."""
    names = [
        sorted(node["name"] for node in api.get("nodes")["items"] if node["up"]) for api in (several.api, several.api2)
    ]
    assert names[0] == names[1], json.dumps(names)
    assert {"edge", "edge2", "n7"} <= set(names[0])
    assert PASSWORD
