"""Environments through the real server: made, changed, chosen, exported by script, by those who may."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.test_main_job import START_SECONDS, project_of
from tests.served import Client
from tests.waiting import until
from tests.world import World

pytestmark = pytest.mark.root


@pytest.fixture(params=["managed", "evaluation"])
def box(request: pytest.FixtureRequest) -> World:
    """AEN as root with accounts of its own for people, and as an ordinary user."""
    made: World = request.getfixturevalue("world" if request.param == "managed" else "evaluation")
    return made


async def started(client: Client, slug: str) -> None:
    """Start a project and wait until it runs."""
    answer = await client.post(f"/api/v1/projects/{slug}/start", {})
    assert answer.status == 202, answer.text

    async def runs() -> bool:
        seen = (await client.get(f"/api/v1/projects/{slug}")).json
        assert seen["state"] in ("STARTING", "RUNNING"), seen["reason"]
        return bool(seen["state"] == "RUNNING")

    await until(runs, START_SECONDS, "the project runs")


async def done(client: Client, slug: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """Begin a change and wait for its end."""
    answer = await client.ask(method, f"/api/v1/projects/{slug}/environments{path}", body)
    assert answer.status == 202, answer.text
    begun = answer.json

    async def ended() -> dict[str, Any] | None:
        seen = (await client.get(f"/api/v1/projects/{slug}/environments")).json
        change: dict[str, Any] = seen["change"]
        assert change["id"] == begun["id"]
        return change if change["state"] != "running" else None

    return await until(ended, 120, "the change ended")


async def test_made_changed_chosen_and_exported(box: World) -> None:
    alice, eve = box.add("alice"), box.add("eve")
    async with box.client(alice) as client, box.client(eve) as stranger:
        slug = await project_of(client, alice, "genome", visibility="public")
        base = f"/api/v1/projects/{slug}/environments"
        before = await client.get(base)
        assert (before.status, before.json["items"]) == (200, [])
        early = await client.post(base, {"name": "early"})
        assert (early.status, "never started" in early.text) == (409, True)
        await started(client, slug)

        change = await done(client, slug, "POST", "", {"name": "light", "packages": ["iniconfig==2.0.0"]})
        assert (change["state"], change["user"]) == ("done", alice), change
        refused = await client.post(base, {"name": "x", "packages": ["a"], "source": "light"})
        assert refused.status == 400
        change = await done(client, slug, "POST", "/light/packages", {"install": ["tomli-w==1.2.0"]})
        assert change["state"] == "done", change
        found = (await client.get(base)).json
        assert {item["name"]: item["active"] for item in found["items"]} == {"default": True, "light": False}

        exported = await client.get(f"{base}/light/export")
        assert "tomli-w==1.2.0\n" in exported.text
        assert "- python=3." in (await client.get(f"{base}/light/export", params={"format": "environment"})).text

        chosen = await client.ask("PUT", f"/api/v1/projects/{slug}/environment", {"name": "light"})
        assert chosen.json == {"name": "light"}
        assert (await client.get(f"/api/v1/projects/{slug}")).json["environment"] == "light"
        assert (await client.ask("PUT", f"/api/v1/projects/{slug}/environment", {"name": "gone"})).status == 404
        kept = await client.ask("DELETE", f"{base}/light", {})
        assert (kept.status, "choose another one first" in kept.text) == (409, True)

        # Whoever only sees the public project sees the environments, not who did what, and changes nothing.
        seen = (await stranger.get(base)).json
        assert [item["name"] for item in seen["items"]] == ["default", "light"]
        assert seen["change"] is None
        assert (await stranger.get(f"{base}/light")).json["history"] == []
        assert (await stranger.post(f"{base}/light/packages", {"install": ["x"]})).status == 403

        page = await client.get(f"/{slug}/environments/light", headers={"Accept": "text/html"})
        assert page.status == 200
        assert "tomli-w" in page.text
        acts = (await client.get(f"/api/v1/projects/{slug}/activity")).json["items"]
        assert {"environment.create", "environment.install", "environment.activated"} <= {act["act"] for act in acts}
