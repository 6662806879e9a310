"""The main job by script: share a project, compute in a real Jupyter through the gateway, outlive a kill -9."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.kernels import Kernel
from tests.served import Client
from tests.waiting import until
from tests.world import World

START_SECONDS = 240  # the first start on a machine builds the root environments


async def opened(client: Client, slug: str, app: str = "jupyterlab") -> dict[str, Any]:
    """Start `app` and return its session once it runs; a start that fails says why."""

    # Taken at once, also while the node still builds its environments: the start waits in its step.
    answer = await client.post(f"/api/v1/projects/{slug}/sessions", {"app": app})
    assert answer.status == 202, answer.text
    session: dict[str, Any] = answer.json

    async def runs() -> dict[str, Any] | None:
        seen: dict[str, Any] = (await client.get(f"/api/v1/sessions/{session['id']}")).json
        assert seen["phase"] in ("QUEUED", "STARTING", "RUNNING"), f"{seen['reason']}\n{seen.get('log_tail')}"
        return seen if seen["phase"] == "RUNNING" else None

    return await until(runs, START_SECONDS, "the session runs")


async def project_of(client: Client, owner: str, name: str, **more: Any) -> str:
    """Create a project and return its slug."""
    answer = await client.post("/api/v1/projects", {"name": name, **more})
    assert answer.status == 201, answer.text
    return f"{owner}/{name}"


def bearer(world: World, name: str) -> dict[str, str]:
    """What a script sends to the gateway."""
    return {"Authorization": f"Bearer {world.token(name)}"}


async def texts(http: aiohttp.ClientSession, url: str, accepted: str) -> dict[str, Any]:
    """What JupyterLab's pages say, by package, for who reads `accepted`; nothing: as it is, in English."""
    async with http.get(url, headers={"Accept-Language": accepted} if accepted else {}) as answer:
        assert answer.status == 200
        found: dict[str, Any] = (await answer.json())["data"]
        return found


@pytest.fixture(params=["world", "evaluation", "apart"])
def box(request: pytest.FixtureRequest) -> World:
    """AEN as root with accounts of its own for people, as an ordinary user, and with each role in a process of its own."""
    made: World = request.getfixturevalue(request.param)
    return made


async def test_a_team_computes_in_jupyter(box: World) -> None:
    """Two people, one project, two sessions of their own, kernels in the project's environment."""
    alice, bob = box.add("alice"), box.add("bob")
    async with box.client(alice) as client, box.client(bob) as other, aiohttp.ClientSession() as http:
        slug = await project_of(client, alice, "genome", summary="the main job")
        assert (await other.get(f"/api/v1/projects/{slug}")).status == 404
        assert (await client.ask("PUT", f"/api/v1/projects/{slug}/team/{bob}", {})).status in (200, 201)
        mine, theirs = await opened(client, slug), await opened(other, slug, "notebook")
        assert mine["id"] != theirs["id"]
        assert [step["state"] for step in mine["steps"]] == ["done"] * 5 or {
            step["state"] for step in mine["steps"]
        } <= {"done", "skipped"}
        assert mine["url"].endswith("/")
        kernel = await Kernel.start(http, mine["url"], bearer(box, alice))
        assert await kernel.run("print(6 * 7)") == "42\n"
        assert f"/{alice}/genome/envs/default" in await kernel.run("import sys; print(sys.prefix)")
        user = await kernel.run("import getpass; print(getpass.getuser())")
        assert user.strip() == (alice if box.managed else box.runner.name)
        await kernel.run("open('shared.txt', 'w').write('from alice')")
        second = await Kernel.start(http, theirs["url"], bearer(box, bob))
        assert await second.run("print(open('shared.txt').read())") == "from alice\n"
        await second.run("open('shared.txt', 'a').write(', and bob')")


async def test_the_same_session_for_the_second_app(box: World) -> None:
    """JupyterLab, Notebook and Terminal are entries of one app server, which speaks the reader's language."""
    carol = box.add("carol")
    async with box.client(carol) as client, aiohttp.ClientSession(headers=bearer(box, carol)) as http:
        slug = await project_of(client, carol, "one")
        lab = await opened(client, slug, "jupyterlab")
        terminal = await opened(client, slug, "terminal")
        assert lab["id"] == terminal["id"]
        assert lab["open_url"] != terminal["open_url"]
        for app in ("lab", "tree"):
            german = await texts(http, f"{lab['url']}{app}/api/translations/default", "de-AT,en;q=0.5")
            assert german["jupyterlab"]["File Browser"] == ["Dateibrowser"]
            assert await texts(http, f"{lab['url']}{app}/api/translations/default", "") == {}
        chosen = await texts(http, f"{lab['url']}lab/api/translations/de_DE", "en")  # in JupyterLab's own settings
        assert chosen["jupyterlab"] == german["jupyterlab"]
        assert (await client.ask("DELETE", f"/api/v1/sessions/{lab['id']}")).status in (200, 202, 204)

        async def stopped() -> bool:
            return bool((await client.get(f"/api/v1/sessions/{lab['id']}")).json["phase"] == "STOPPED")

        await until(stopped, 30, "the session is stopped")


async def test_kill_9_ends_nobodys_kernel(box: World) -> None:
    """AEN killed and started again: the kernel still has its variables, through the same address."""
    dora = box.add("dora")
    async with box.client(dora) as client, aiohttp.ClientSession() as http:
        slug = await project_of(client, dora, "survivor")
        session = await opened(client, slug)
        kernel = await Kernel.start(http, session["url"], bearer(box, dora))
        await kernel.run("treasure = 4711")
        box.kill()
        box.start()

        async def again() -> str | None:
            try:
                return await kernel.run("print(treasure)")
            except aiohttp.ClientError:
                return None

        assert await until(again, 30, "the kernel answers again") == "4711\n"
        seen = (await client.get(f"/api/v1/sessions/{session['id']}")).json
        assert seen["phase"] == "RUNNING"


async def test_strangers_and_leavers_stay_outside(box: World) -> None:
    """Who is not in the team gets no answer from an app; who leaves it loses what they had."""
    erin, frank = box.add("erin"), box.add("frank")
    async with box.client(erin) as client, box.client(frank) as other, aiohttp.ClientSession() as http:
        slug = await project_of(client, erin, "private")
        session = await opened(client, slug)
        url = f"{session['url']}api/status"
        async with http.get(url) as answer:
            assert answer.status == 401
        async with http.get(url, headers=bearer(box, frank)) as answer:
            assert answer.status in (403, 404, 503)
        await client.ask("PUT", f"/api/v1/projects/{slug}/team/{frank}", {"role": "member"})
        theirs = await opened(other, slug)
        kernel = await Kernel.start(http, theirs["url"], bearer(box, frank))
        assert await kernel.run("print(1)") == "1\n"
        assert (await client.ask("DELETE", f"/api/v1/projects/{slug}/team/{frank}")).status in (200, 204)

        async def out() -> bool:
            async with http.get(f"{theirs['url']}api/status", headers=bearer(box, frank)) as answer:
                return answer.status in (403, 404, 503)

        await until(out, 5, "the former member is out")
