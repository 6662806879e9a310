"""Publications through the real server: rendered once, fixed, for whom they are, gone when withdrawn."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.test_environments import started
from tests.integration.test_main_job import project_of
from tests.integration.test_revisions import folder_of, notebook, write
from tests.served import Client
from tests.waiting import until
from tests.world import World

pytestmark = pytest.mark.root


async def made(client: Client, base: str, version: int, **about: Any) -> dict[str, Any]:
    """Publish and wait until that version is there."""
    if about:
        answer = await client.post(base, about)
        assert answer.status == 202, answer.text

    async def ready() -> dict[str, Any] | None:
        found: dict[str, Any] = (await client.get(base)).json["items"][0]
        return found if found["state"] != "publishing" and (found["version"] >= version or found["reason"]) else None

    return await until(ready, 120, "it is published")


async def test_published_renewed_narrowed_and_withdrawn(world: World) -> None:
    alice, bob = world.add("alice"), world.add("bob")
    async with world.client(alice) as client, world.client(bob) as other, world.client() as nobody:
        slug = await project_of(client, alice, "paper")
        await started(client, slug)
        base, place = f"/api/v1/projects/{slug}/publications", folder_of(world, slug)
        (place / "site").mkdir(mode=0o777)
        (place / "site").chmod(0o777)
        cell = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": "# Title <script>alert(1)</script>"}
        book = json.loads(notebook("x = 1"))
        book["cells"].append(cell)
        write(place / "site" / "a.ipynb", json.dumps(book))
        write(place / "site" / "README.md", "[on](a.ipynb) ![no](../../../../../etc/passwd.png)")
        write(place / "site" / ".hidden.md", "secret")
        (place / "site" / "link.md").symlink_to("/etc/passwd")
        first = await made(client, base, 1, path="site", title="Site", audience="signed_in")
        assert (first["state"], first["version"]) == ("ready", 1), first
        shown = f"/published/{first['id']}"
        page = await other.get(shown)
        assert (page.status, "README.md" in page.text, ".hidden" in page.text, "link.md" in page.text) == (
            200, True, False, False)  # fmt: skip
        content = await other.get(f"{shown}/v/1/content/a.ipynb")
        assert content.status == 200
        assert "<script" not in content.text
        policy = content.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox ")
        assert "allow-scripts" not in policy
        assert "allow-same-origin" not in policy
        assert (await nobody.get(shown)).status in (302, 303, 401)
        for path in ("..%2f..%2fetc%2fpasswd", ".hidden.md", "link.md", "a.ipynb%2f..", "none"):
            assert (await other.get(f"{shown}/v/1/content/{path}")).status in (400, 404)

        write(place / "site" / "a.ipynb", notebook("second = 2"))
        assert "second" not in (await other.get(f"{shown}/v/1/content/a.ipynb")).text
        assert (await client.post(f"{base}/{first['id']}/versions", {})).status == 202
        second = await made(client, base, 2)
        assert (second["url"], second["versions"]) == (first["url"], [1, 2])
        assert "second" in (await other.get(f"{shown}/v/2/content/a.ipynb")).text

        assert (await other.ask("PUT", f"{base}/{first['id']}", {"audience": "public"})).status == 404
        narrowed = await client.ask("PUT", f"{base}/{first['id']}", {"title": "Ours", "audience": "team"})
        assert narrowed.status == 200
        assert (await other.get(shown)).status == 404
        assert (await client.ask("DELETE", f"{base}/{first['id']}", {})).status == 204
        assert (await client.get(f"{shown}/v/2/content/a.ipynb")).status == 404


async def test_what_can_not_be_published_says_so(world: World) -> None:
    alice = world.add("carol")
    async with world.client(alice) as client:
        slug = await project_of(client, alice, "no")
        await started(client, slug)
        base = f"/api/v1/projects/{slug}/publications"
        assert (await client.post(base, {"path": "../x.md"})).status in (400, 404)
        assert (await client.post(base, {"path": ".ssh"})).status == 400
        failed = await made(client, base, 1, path="not/there.md")
        assert (failed["state"], "There is no folder" in failed["reason"]) == ("failed", True)
