"""What people without an account may look at: links to one file or folder, public projects. Through the whole program."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.integration.test_main_job import opened, project_of
from tests.served import Client
from tests.waiting import until
from tests.world import World

ACCOUNT = "aentpub"


@dataclass
class Project:
    """A project with files, and a browser that nobody has signed in with."""

    world: World
    slug: str
    owner: str
    client: Client
    http: aiohttp.ClientSession
    folder: Path

    def write(self, name: str, text: str) -> Path:
        """A file of the owner."""
        path = self.folder / name
        made = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        owner = self.folder.stat()
        for one in (path.parent, path) if made else (path,):
            os.chown(one, owner.st_uid, owner.st_gid)
        return path

    async def link(self, path: str, days: float = 7, status: int = 201) -> dict[str, Any]:
        """A new link."""
        answer = await self.client.post(f"/api/v1/projects/{self.slug}/links", {"path": path, "days": days})
        assert answer.status == status, answer.text
        made: dict[str, Any] = answer.json
        return made

    async def get(self, address: str, method: str = "GET", follow: bool = True, **headers: str) -> tuple[int, str, Any]:
        """Status, body and headers, as a browser without any login gets them."""
        given = {"Accept": "text/html", **headers}
        whole = address if address.startswith("http") else self.world.gateway + address
        async with self.http.request(method, URL(whole, encoded=True), headers=given, allow_redirects=follow) as answer:
            return answer.status, await answer.text(errors="replace"), answer.headers


@pytest.fixture(params=["managed", "evaluation"], scope="module")
def box(request: pytest.FixtureRequest) -> World:
    made: World = request.getfixturevalue("world" if request.param == "managed" else "evaluation")
    return made


@pytest.fixture
async def shelf(box: World, request: pytest.FixtureRequest) -> AsyncIterator[Project]:
    owner = box.add(f"own{abs(hash(request.node.name)) % 10_000}")
    async with box.client(owner) as client, aiohttp.ClientSession() as http:
        slug = await project_of(client, owner, "shelf")
        await opened(client, slug, "viewer")
        folder = Path(box.config["compute"]["project_root"]) / owner / "shelf"
        made = Project(box, slug, owner, client, http, folder)
        made.write("reports/summary.md", "# All is well\n[more](more.txt)\n")
        made.write("reports/more.txt", "more of it")
        made.write("private.txt", "for the team alone")
        yield made


async def test_a_link_shows_one_folder_and_nothing_else(shelf: Project) -> None:
    made = await shelf.link("reports")
    base = made["url"]
    status, page, headers = await shelf.get(base)
    assert status == 200
    assert "summary.md" in page
    assert "more.txt" in page
    assert "private.txt" not in page
    assert "sandbox" in headers["Content-Security-Policy"]
    assert "allow-same-origin" not in headers["Content-Security-Policy"]
    assert "Set-Cookie" not in headers
    assert "All is well" in (await shelf.get(base + "summary.md"))[1]
    assert (await shelf.get(base + "more.txt?raw=1"))[1] == "more of it"
    for away in (
        "../private.txt",
        "%2e%2e/private.txt",
        "..%2fprivate.txt",
        "more.txt/../../private.txt",
        "%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd",
        "//private.txt",
        ".hidden",
    ):
        status, text, _ = await shelf.get(base + away, follow=False)
        assert status in (400, 404), away
        assert "for the team alone" not in text


async def test_links_in_the_folder_lead_nowhere(shelf: Project) -> None:
    secret = shelf.write("private.txt", "for the team alone")
    (shelf.folder / "reports" / "out").symlink_to(secret)
    (shelf.folder / "reports" / "up").symlink_to(shelf.folder)
    base = (await shelf.link("reports"))["url"]
    assert '"./out"' not in (await shelf.get(base))[1]
    for name in ("out", "out?raw=1", "up/", "up/private.txt"):
        status, text, _ = await shelf.get(base + name)
        assert status in (404, 409), name
        assert "for the team alone" not in text
    (shelf.folder / "swap").symlink_to("/etc")
    status, text, _ = await shelf.get((await shelf.link("swap"))["url"])
    assert status in (404, 409)
    assert "passwd" not in text


async def test_a_link_to_a_file(shelf: Project) -> None:
    base = (await shelf.link("reports/more.txt"))["url"]
    assert "more of it" in (await shelf.get(base))[1]
    assert (await shelf.get(base + "more.txt?raw=1"))[1] == "more of it"
    assert (await shelf.get(base + "summary.md"))[0] == 404


async def test_a_link_only_looks(shelf: Project) -> None:
    base = (await shelf.link("reports"))["url"]
    assert (await shelf.get(base))[0] == 200
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert (await shelf.get(base + "more.txt", method))[0] == 405, method
    async with shelf.http.get(
        base,
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    ) as answer:
        assert answer.status == 405


async def test_guessed_revoked_and_expired(shelf: Project) -> None:
    made = await shelf.link("reports")
    base = made["url"]
    assert (await shelf.get(base))[0] == 200
    parts = base.rstrip("/").rsplit("/", 1)
    for guess in (
        f"{parts[0]}/{'A' * len(parts[1])}/",
        f"{parts[0]}/",
        re.sub(r"shared-\w+", "shared-0123456789abcdef", base),
    ):
        assert (await shelf.get(guess))[0] == 404, guess
    access = (Path(shelf.world.config["data_dir"]) / "gateway" / "access.log").read_text
    await until(_async(lambda: "shared-" in access()), 10, "the access log is written")
    assert parts[1] not in access()
    assert parts[1] not in shelf.world.log.read_text()
    listed = (await shelf.client.get(f"/api/v1/projects/{shelf.slug}/links")).json["items"]
    assert [one["name"] for one in listed] == ["reports"]
    assert parts[1] not in str(listed)
    assert (await shelf.client.ask("DELETE", f"/api/v1/projects/{shelf.slug}/links/{made['id']}")).status == 204

    async def ended() -> bool:
        return (await shelf.get(base))[0] == 404

    await until(ended, 5, "the link shows nothing")
    short = (await shelf.link("reports", days=2 / 86_400))["url"]
    await until(_gone(shelf, short), 15, "the link has ended by itself")
    for path in ("", "../x", "/", ".secret", "reports/.x", "a\0b"):
        await shelf.link(path, status=400)
    await shelf.link("reports", days=10_000, status=400)


async def test_a_link_lives_through_a_new_name_and_ends_with_the_project(shelf: Project) -> None:
    base = (await shelf.link("reports"))["url"]
    assert (await shelf.get(base))[0] == 200
    await shelf.client.post(f"/api/v1/projects/{shelf.slug}/stop", {})

    async def stopped() -> bool:
        return bool((await shelf.client.get(f"/api/v1/projects/{shelf.slug}")).json["state"] == "STOPPED")

    await until(stopped, 60, "the project is stopped")
    renamed = await shelf.client.ask("PATCH", f"/api/v1/projects/{shelf.slug}", {"name": "attic"})
    assert renamed.status == 200, renamed.text
    status, page, _ = await shelf.get(base)
    assert status == 200
    assert "summary.md" in page
    gone = await shelf.client.ask("DELETE", f"/api/v1/projects/{shelf.owner}/attic", {"name": "attic"})
    assert gone.status in (200, 202, 204), gone.text
    await until(_gone(shelf, base), 60, "the link has ended with the project")


async def test_a_public_project_without_an_account(shelf: Project) -> None:
    address = f"/{shelf.slug}/viewer/"
    status, _, headers = await shelf.get(address, follow=False)
    assert status == 303
    assert headers["Location"].startswith(shelf.world.server)
    done = await shelf.client.ask("PATCH", f"/api/v1/projects/{shelf.slug}", {"visibility": "public"})
    assert done.status == 200, done.text

    async def shown() -> bool:
        status, page, _ = await shelf.get(address)
        return status == 200 and "private.txt" in page and "Sign in" not in page

    await until(shown, 60, "the project is shown")

    async def read() -> bool:
        return "for the team alone" in (await shelf.get(address + "private.txt"))[1]

    await until(read, 30, "its files let the account in")
    for other in ("workbench", "jupyter"):
        status, _, headers = await shelf.get(f"/{shelf.slug}/{other}/", follow=False)
        assert status == 303
        assert headers["Location"].startswith(shelf.world.server)
    assert (await shelf.get(address, "POST"))[0] == 405
    done = await shelf.client.ask("PATCH", f"/api/v1/projects/{shelf.slug}", {"visibility": "private"})
    assert done.status == 200, done.text

    async def closed() -> bool:
        status, _, headers = await shelf.get(address, follow=False)
        return status == 303 and headers["Location"].startswith(shelf.world.server)

    await until(closed, 5, "it is private again")


async def test_viewers_open_the_viewer_and_nothing_else(shelf: Project) -> None:
    looker = shelf.world.add(f"look{abs(hash(shelf.owner)) % 10_000}")
    put = await shelf.client.ask("PUT", f"/api/v1/projects/{shelf.slug}/team/{looker}", {"role": "viewer"})
    assert put.status in (200, 201), put.text
    async with shelf.world.client(looker) as client:
        assert (await client.post(f"/api/v1/projects/{shelf.slug}/sessions", {"app": "workbench"})).status == 403
        session = await opened(client, shelf.slug, "viewer")
        bearer = f"Bearer {shelf.world.token(looker)}"

        async def read() -> bool:
            return "All is well" in (await shelf.get(session["url"] + "reports/summary.md", Authorization=bearer))[1]

        await until(read, 20, "the viewer reads")
        await shelf.client.ask("DELETE", f"/api/v1/projects/{shelf.slug}/team/{looker}")

        async def out() -> bool:
            return (await shelf.get(session["url"], Authorization=bearer, Accept="*/*"))[0] in (403, 404)

        await until(out, 10, "who left the team is out")


def _gone(shelf: Project, address: str) -> Any:
    async def gone() -> bool:
        return (await shelf.get(address))[0] == 404

    return gone


def _async(look: Any) -> Any:
    async def asked() -> Any:
        return await asyncio.to_thread(look)

    return asked
