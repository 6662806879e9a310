"""The Workbench end to end: started from the project, reached through the gateway, two people, their own accounts."""

from __future__ import annotations

import io
from typing import Any

import aiohttp
import pytest

from tests.integration.test_main_job import bearer, opened, project_of
from tests.served import PASSWORD
from tests.waiting import until
from tests.world import World


@pytest.fixture(params=["managed", "evaluation"])
def box(request: pytest.FixtureRequest) -> World:
    """AEN as root with accounts of its own for people, and as an ordinary user."""
    made: World = request.getfixturevalue("world" if request.param == "managed" else "evaluation")
    return made


class Person:
    """Somebody's Workbench, asked through the gateway with their API token."""

    def __init__(self, box: World, name: str, session: dict[str, Any], http: aiohttp.ClientSession) -> None:
        self.name, self.url, self.http = name, session["url"], http
        self.headers = bearer(box, name)

    async def ask(self, method: str, address: str, **more: Any) -> tuple[int, Any]:
        """Status, and the answer as data."""
        headers = self.headers | more.pop("headers", {})
        async with self.http.request(method, f"{self.url}api/{address}", headers=headers, **more) as answer:
            return answer.status, await answer.json(content_type=None)


async def test_files_of_a_project_through_the_gateway(box: World) -> None:
    alice, bob = box.add("files"), box.add("mate")
    async with box.client(alice) as client, box.client(bob) as other, aiohttp.ClientSession() as http:
        slug = await project_of(client, alice, "shelf")
        assert (await client.ask("PUT", f"/api/v1/projects/{slug}/team/{bob}", {})).status in (200, 201)
        mine = Person(box, alice, await opened(client, slug, "workbench"), http)
        theirs = Person(box, bob, await opened(other, slug, "workbench"), http)
        about = (await mine.ask("GET", "about"))[1]
        assert (about["user"], about["project"], about["isolated"]) == (alice, slug, box.managed)
        root = about["root"]

        data = b"0123456789" * 700_000
        upload = {"folder": root, "name": "data.bin", "size": str(len(data)), "key": "k"}
        for start in range(0, len(data), 3_000_000):
            piece = io.BytesIO(data[start : start + 3_000_000])
            status, said = await mine.ask("PUT", "upload", params=upload | {"offset": str(start)}, data=piece)
            assert status == 200, said
        assert (await mine.ask("POST", "upload", params=upload))[0] == 200
        async with http.get(f"{theirs.url}api/file?path={root}/data.bin", headers=theirs.headers) as answer:
            assert await answer.read() == data

        assert (await mine.ask("POST", "make", json={"folder": root, "name": "notes.md", "kind": "file"}))[0] == 200
        text = {"path": f"{root}/notes.md"}
        etag = (await theirs.ask("GET", "text", params=text))[1]["etag"]
        assert (await theirs.ask("PUT", "text", params=text, data=b"bob's", headers={"If-Match": etag}))[0] == 200
        status, said = await mine.ask("PUT", "text", params=text, data=b"alice's", headers={"If-Match": etag})
        assert (status, said["text"]) == (412, "bob's")

        nobody = await http.get(f"{mine.url}api/about")
        assert nobody.status == 401
        nobody.release()
        if box.managed:
            await _rights_outlive_a_start(mine, theirs, client, slug, text)


async def _rights_outlive_a_start(mine: Person, theirs: Person, client: Any, slug: str, text: dict[str, str]) -> None:
    """What alice takes from bob is gone at once, and stays gone when the project's permissions are repaired."""
    assert (await mine.ask("POST", "access", params=text, json={"rights": {theirs.name: ""}}))[0] == 200
    assert (await theirs.ask("GET", "text", params=text))[0] == 403
    assert (await client.post(f"/api/v1/projects/{slug}/stop")).status in (200, 202, 204)

    async def stopped() -> bool:
        return bool((await client.get(f"/api/v1/projects/{slug}")).json["state"] == "STOPPED")

    await until(stopped, 60, "the project is stopped")
    await opened(client, slug, "workbench")
    status, seen = await mine.ask("GET", "access", params=text)
    assert status == 200
    assert {person["name"]: person["set"] for person in seen["people"]}[theirs.name] == ""


async def test_a_browser_behind_the_real_gateway(box: World) -> None:
    """A login by cookie: the page opens, what it sends is taken, and what another site or no page of ours sends is not."""
    carol = box.add("carol")
    async with box.client(carol) as client:
        slug = await project_of(client, carol, "web")
        url = (await opened(client, slug, "workbench"))["url"]
        root = (await client.get(f"/api/v1/projects/{slug}")).json["name"]
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, headers={"Accept": "text/html"}) as http:
        form = {"name": carol, "password": PASSWORD}
        async with http.post(f"{box.server}/login", data=form, headers={"Origin": box.server}) as answer:
            assert answer.status == 200, await answer.text()
        async with http.get(url, headers={"Sec-Fetch-Mode": "navigate"}) as answer:
            page = await answer.text()
            assert (answer.status, str(answer.url)) == (200, url)
        xsrf = page.split('name="xsrf" content="')[1].split('"')[0]
        about = await (await http.get(f"{url}api/about")).json()
        assert about["root"].endswith(f"/{root}")
        body = {"folder": about["root"], "name": "made", "kind": "folder"}
        for headers, status in (
            ({"Origin": box.gateway}, 403),
            ({"Origin": box.server, "X-XSRF-Token": xsrf}, 403),
            ({"Origin": box.gateway, "X-XSRF-Token": xsrf}, 200),
        ):
            async with http.post(f"{url}api/make", json=body, headers=headers) as answer:
                assert answer.status == status, (headers, await answer.text())
