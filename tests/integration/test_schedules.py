"""Scheduled runs through the real server, with a real kernel: on time, once, as the person, kept, ended, found again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_environments import started
from tests.integration.test_main_job import project_of
from tests.integration.test_revisions import folder_of, notebook, write
from tests.served import Client
from tests.waiting import until
from tests.world import World

pytestmark = pytest.mark.root


async def scheduled(client: Client, base: str, **more: Any) -> str:
    answer = await client.post(base, {"name": "daily", "notebook": "a.ipynb", **more})
    assert answer.status == 201, answer.text
    return str(answer.json["id"])


async def last(client: Client, base: str, id: str, *states: str) -> dict[str, Any]:
    """The newest run, once it is in one of these states."""

    async def look() -> dict[str, Any] | None:
        items = (await client.get(f"{base}/{id}/runs")).json["items"]
        found: dict[str, Any] | None = next((one for one in items if one["state"] in states), None)
        return found

    return await until(look, 120, f"a run is {' or '.join(states)}")


def kept(world: World, slug: str, run: dict[str, Any]) -> Any:
    return json.loads((folder_of(world, slug) / run["path"]).read_text())


def texts(document: Any) -> list[str]:
    outputs = [output for cell in document["cells"] for output in cell.get("outputs", ())]
    return ["".join(output.get("text", "")) for output in outputs if output["output_type"] == "stream"]


async def test_run_by_hand_with_parameters_succeeds_and_fails(world: World) -> None:
    alice, bob = world.add("alice"), world.add("bob")
    async with world.client(alice) as client, world.client(bob) as stranger:
        slug = await project_of(client, alice, "runs")
        await started(client, slug)
        base = f"/api/v1/projects/{slug}/schedules"
        write(
            folder_of(world, slug) / "a.ipynb", notebook("import getpass\nprint(getpass.getuser(), year)", "1 / zero")
        )
        id = await scheduled(client, base, parameters={"year": 2026, "zero": 1})
        assert (await client.post(f"{base}/{id}/runs", {})).status == 202
        run = await last(client, base, id, "DONE", "FAILED")
        assert run["state"] == "DONE", run
        assert texts(kept(world, slug, run)) == [f"{alice} 2026\n"]
        owner = (folder_of(world, slug) / run["path"]).stat().st_uid
        assert owner == (folder_of(world, slug) / "a.ipynb").stat().st_uid

        other = await scheduled(client, base, name="bad", parameters={"year": 1, "zero": 0})
        assert (await client.post(f"{base}/{other}/runs", {})).status == 202
        run = await last(client, base, other, "DONE", "FAILED")
        assert (run["state"], "ZeroDivisionError" in run["reason"]) == ("FAILED", True)
        assert texts(kept(world, slug, run)) == [f"{alice} 1\n"]
        page = await client.get(f"/{slug}/runs/{other}")
        assert (page.status, "ZeroDivisionError" in page.text) == (200, True)
        assert (await client.get(f"/{slug}/runs")).status == 200
        assert (await stranger.get(base)).status == 404
        assert (await client.ask("DELETE", f"{base}/{other}", {})).status == 204
        assert (folder_of(world, slug) / run["path"]).exists()


async def test_by_the_clock_found_again_after_a_restart_and_never_twice(world: World) -> None:
    alice = world.add("carol")
    async with world.client(alice) as client:
        slug = await project_of(client, alice, "clock")
        await started(client, slug)
        base, place = f"/api/v1/projects/{slug}/schedules", folder_of(world, slug)
        (place / "out").mkdir()
        (place / "out").chmod(0o777)
        source = "import pathlib, time, uuid\npathlib.Path('out', uuid.uuid4().hex).write_text('')"
        wait = "while not pathlib.Path('go').exists(): time.sleep(0.1)\nprint('gone')"
        write(place / "a.ipynb", notebook(source, wait))
        at = datetime.now(UTC) + timedelta(seconds=3)
        id = await scheduled(client, base, timing={"kind": "once", "at": at.strftime("%Y-%m-%dT%H:%M:%S")})
        await last(client, base, id, "RUNNING")
        await until(lambda: _some(place / "out"), 60, "it has begun")
        world.restart()
    async with world.client(alice) as client:
        write(place / "go", "")
        run = await last(client, base, id, "DONE", "FAILED", "LOST")
        assert run["state"] == "DONE", run
        assert texts(kept(world, slug, run)) == ["gone\n"]
        assert len(list((place / "out").iterdir())) == 1
        assert (await client.get(f"{base}/{id}")).json["next"] == 0


async def _some(folder: Path) -> bool:
    return any(folder.iterdir())


async def test_stopped_locked_and_left(world: World) -> None:
    owner, mate = world.add("dave"), world.add("mate")
    async with world.client(owner) as client, world.client(mate) as other:
        slug = await project_of(client, owner, "left")
        await client.ask("PUT", f"/api/v1/projects/{slug}/team/{mate}", {"role": "member"})
        await started(client, slug)
        base = f"/api/v1/projects/{slug}/schedules"
        write(folder_of(world, slug) / "a.ipynb", notebook("import time\nprint('on')", "time.sleep(3600)"))
        id = await scheduled(other, base)
        assert (await client.post(f"{base}/{id}/runs", {})).status == 403
        assert (await other.post(f"{base}/{id}/runs", {})).status == 202
        await last(other, base, id, "RUNNING")
        assert (await other.post(f"{base}/{id}/runs", {})).status == 409
        assert (await other.ask("DELETE", f"{base}/{id}/runs", {})).status == 204
        run = await last(other, base, id, "FAILED")
        assert f"{mate} stopped it" in run["reason"]

        assert (await other.post(f"{base}/{id}/runs", {})).status == 202
        await last(other, base, id, "RUNNING")
        assert (await client.ask("DELETE", f"/api/v1/projects/{slug}/team/{mate}", {})).status in (200, 204)

        async def ended() -> bool:
            items = (await client.get(f"{base}/{id}/runs")).json["items"]
            return not any(one["state"] in ("RUNNING", "WAITING") for one in items)

        await until(ended, 30, "the run of who left has ended")


async def test_what_can_not_be(world: World) -> None:
    alice = world.add("erin")
    async with world.client(alice) as client:
        slug = await project_of(client, alice, "refused")
        await started(client, slug)
        base = f"/api/v1/projects/{slug}/schedules"
        for wrong in (
            {"name": "../x"}, {"name": "a/b"}, {"notebook": "../../etc/passwd"}, {"notebook": "a.txt"},
            {"notebook": ".git/x.ipynb"}, {"parameters": {"import os;x": 1}}, {"parameters": {"class": 1}},
            {"timing": {"kind": "cron", "cron": "61 * * * *"}}, {"timing": {"kind": "every", "minutes": 1}},
            {"timing": {"kind": "daily", "time": "25:00"}}, {"timing": {"kind": "daily", "zone": "../../etc/passwd"}},
            {"timing": {"kind": "once", "at": "2001-01-01T00:00"}}, {"hours": 1e9}, {"environment": "../default"},
        ):  # fmt: skip
            answer = await client.post(base, {"name": "n", "notebook": "a.ipynb", **wrong})
            assert answer.status == 400, (wrong, answer.text)
