"""The JSON API on a real server, as a script uses it: stable names, paging, errors, OpenAPI, events, the admin socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from aen.errors import Conflict
from aen.roles.server.admin_socket import bound, path_of
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import table
from tests import standin
from tests.served import PASSWORD, ROOT, Client, Served, served
from tests.waiting import until


@pytest.fixture(params=standin.SERVER_STORES)
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    async with served(tmp_path, store=standin.store_url(request.param, tmp_path)) as running:
        await running.node()
        yield running


async def test_a_project_from_making_to_deleting(server: Served) -> None:
    alice = await server.script("alice")
    await server.person("bob")
    bob = await server.script("bob")
    new = {"name": "genome", "summary": "Ours", "description": "# Hi", "visibility": "private", "datacenter": "main"}
    made = await alice.post("/api/v1/projects", new)
    assert made.status == 201
    assert {key: made.json[key] for key in new} == new
    assert made.json["may"] == ["run", "control", "edit", "team", "own"]
    one = "/api/v1/projects/alice/genome"
    assert (await bob.get(one)).status == 404
    assert (await alice.ask("PUT", f"{one}/team/bob", {})).json["items"][1]["role"] == "member"
    assert (await alice.ask("PUT", f"{one}/team/bob", {"role": "viewer"})).json["items"][1]["role"] == "viewer"
    seen = (await bob.get(one)).json
    assert (seen["role"], seen["may"]) == ("viewer", [])
    assert (await bob.ask("PATCH", one, {"summary": "Mine"})).status == 403
    assert (await alice.ask("PATCH", one, {"summary": "Better", "tags": ["DNA"]})).json["tags"] == ["dna"]
    assert (await alice.post("/api/v1/projects", new)).status == 409
    assert (await bob.ask("PUT", f"{one}/star")).json["starred"] is True
    assert (await bob.get("/api/v1/projects?scope=starred")).json["items"][0]["slug"] == "alice/genome"
    assert (await bob.ask("DELETE", f"{one}/team/bob")).status == 200
    assert (await bob.get(one)).status == 404
    assert (await alice.post(f"{one}/rename", {"name": "genome2"})).json["name"] == "genome2"
    both = await alice.ask("PATCH", f"{one}2", {"name": "genome3", "summary": "Renamed"})
    assert (both.json["slug"], both.json["summary"]) == ("alice/genome3", "Renamed")
    assert (await alice.ask("PATCH", f"{one}3", {"name": "a/b", "summary": "Not said"})).status == 400
    back = await alice.ask("PATCH", f"{one}3", {"name": "genome2"})
    assert (back.json["slug"], back.json["summary"]) == ("alice/genome2", "Renamed")
    assert (await alice.ask("DELETE", f"{one}2", {"name": "genome"})).status == 400
    gone = await alice.ask("DELETE", f"{one}2")
    assert (gone.status, gone.json["subject"]) == (202, "alice/genome2")


async def test_lists_are_paged(server: Served) -> None:
    alice = await server.script("alice")
    for number in range(7):
        assert (await alice.post("/api/v1/projects", {"name": f"p{number}"})).status == 201
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await alice.get(f"/api/v1/projects?limit=3&cursor={cursor}")).json
        assert set(page) == {"items", "next"}
        seen += [item["name"] for item in page["items"]]
        cursor = page["next"]
        if not cursor:
            break
    assert sorted(seen) == [f"p{number}" for number in range(7)]
    assert len(seen) == 7


async def test_users_for_administrators(server: Served) -> None:
    admin = await server.script("ada", admin=True)
    made = await admin.post("/api/v1/users", {"name": "alice", "password": PASSWORD, "full_name": "Alice Ö"})
    assert made.status == 201
    assert "password" not in made.json
    page = (await admin.get("/api/v1/users?limit=2")).json
    assert ([user["name"] for user in page["items"]], page["total"]) == (["ada", "alice"], 3)
    page = (await admin.get(f"/api/v1/users?limit=2&cursor={page['next']}")).json
    assert [user["name"] for user in page["items"]] == ["root1"]
    assert [user["name"] for user in (await admin.get("/api/v1/users?search=alic")).json["items"]] == ["alice"]
    assert [u["name"] for u in (await admin.get("/api/v1/users?filter=admin")).json["items"]] == ["ada", "root1"]
    assert (await admin.ask("PATCH", "/api/v1/users/alice", {"locked": True})).json["locked"] is True
    assert (await admin.ask("PUT", "/api/v1/users/alice/password", {"new": "another password"})).status == 204
    assert (await admin.ask("DELETE", "/api/v1/users/alice")).status == 202
    assert (await admin.get("/api/v1/users/alice")).status == 404


async def test_tokens_and_logins_over_the_api(server: Served) -> None:
    alice = await server.script("alice")
    made = await alice.post("/api/v1/users/alice/tokens", {"title": "CI", "days": 1, "scope": ["read"]})
    assert made.status == 201
    reader = await server.nobody(token=made.json["token"])
    assert (await reader.get("/api/v1/me")).json["scope"] == ["read"]
    assert (await reader.get("/api/v1/projects")).status == 200
    assert (await reader.post("/api/v1/projects", {"name": "x"})).status == 403
    listed = (await alice.get("/api/v1/users/alice/logins")).json["items"]
    assert {login["title"] for login in listed} == {"CI", "API token"}
    assert made.json["token"] not in str(listed)
    assert (await alice.ask("DELETE", f"/api/v1/logins/{made.json['id']}")).status == 204
    assert (await reader.get("/api/v1/me")).status == 401


async def test_errors_have_one_form(server: Served) -> None:
    alice = await server.script("alice")
    nobody = await server.nobody()
    wrong = await server.nobody(token="aen_wrong")
    answers = [
        (await nobody.get("/api/v1/me"), 401, "not_signed_in"),
        (await wrong.get("/api/v1/status"), 401, "not_signed_in"),
        (await alice.get("/api/v1/users"), 403, "denied"),
        (await alice.get("/api/v1/nothing"), 404, "not_found"),
        (await alice.get("/api/v1/projects/bob/genome"), 404, "not_found"),
        (await alice.ask("TRACE", "/api/v1/me"), 405, "invalid"),
        (await alice.post("/api/v1/me"), 405, "invalid"),
        (await alice.post("/api/v1/projects", {"name": "A B"}), 400, "invalid"),
        (await alice.get("/api/v1/me", headers={"Accept": "text/html"}), 200, None),
    ]
    for answer, status, code in answers:
        assert answer.status == status, answer.text
        if code is not None:
            assert set(answer.json) == {"error"}
            assert set(answer.json["error"]) == {"code", "message", "id"}
            assert answer.json["error"]["code"] == code
        assert answer.headers["Cache-Control"] == "no-store" or status != 200


async def test_openapi_names_every_url_and_every_reference_leads_somewhere(server: Served) -> None:
    document = (await (await server.nobody()).get("/api/v1/openapi.json")).json
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(url.method, url.path) for url in table() if url.path.startswith("/api/v1")}
    text = str(document)
    for reference in {part.split("'")[0] for part in text.split("'$ref': '")[1:]}:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
    assert all(operation["summary"] for methods in document["paths"].values() for operation in methods.values())


def test_nobody_changes_anything_by_the_api() -> None:
    unsafe = [url for url in table() if url.path.startswith("/api/") and url.method != "GET"]
    assert unsafe
    # A host that joins has no login: its one-time token, in the body, is its right to ask.
    assert [url.path for url in unsafe if url.permission is Permission.ANYBODY] == ["/api/v1/join"]


async def test_apps_data_centers_and_nodes(server: Served) -> None:
    alice = await server.script("alice")
    apps = (await alice.get("/api/v1/apps")).json["items"]
    assert {"jupyterlab", "notebook", "terminal"} <= {app["name"] for app in apps}
    assert (await alice.get("/api/v1/datacenters")).json["items"][0]["name"] == "main"

    async def heard() -> bool:
        return [node["name"] for node in (await alice.get("/api/v1/nodes")).json["items"]] == ["n1"]

    await until(heard, 5, "node n1 in the list")


async def test_events_reach_a_page_and_end_with_the_login(server: Served) -> None:
    alice = await server.script("alice")
    project = (await alice.post("/api/v1/projects", {"name": "genome"})).json
    async with alice.http.get(
        f"{server.url}/api/v1/projects/alice/genome/events", headers={"Authorization": f"Bearer {alice.token}"}
    ) as stream:
        assert stream.content_type == "text/event-stream"
        await stream.content.readuntil(b"\n\n")
        server.domain.events.publish("user:alice", "project", {"told": "twice, if this came through"})
        server.domain.events.publish(f"project:{project['id']}", "tested", {"x": 1})
        async with asyncio.timeout(10):
            while b"event: tested" not in (told := await stream.content.readuntil(b"\n\n")):
                assert b"event:" not in told, "a project's stream tells of the project, once"
        actor = await server.actor("alice")
        await server.domain.accounts.end_all(actor.name, tokens=True)
        async with asyncio.timeout(10):
            assert b"tested" not in await stream.content.read()  # until the end


async def test_draining_ends_streams(server: Served) -> None:
    alice = await server.script("alice")
    async with alice.http.get(
        f"{server.url}/api/v1/events", headers={"Authorization": f"Bearer {alice.token}"}
    ) as stream:
        await stream.content.readuntil(b"\n\n")
        await server.role.drain()
        async with asyncio.timeout(10):
            await stream.content.read()
    with pytest.raises(aiohttp.ClientConnectorError):
        async with aiohttp.ClientSession() as fresh:
            await fresh.get(server.url)


async def test_the_end_does_not_wait_for_streams(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as http, served(tmp_path) as server:
        alice = await server.script("alice")
        stream = await http.get(f"{server.url}/api/v1/events", headers={"Authorization": f"Bearer {alice.token}"})
        await stream.content.readuntil(b"\n\n")
        async with asyncio.timeout(4):  # less than the time that handlers are given to finish
            await server.role.stop()
        stream.close()


async def test_the_admin_socket_is_the_machines_administrator(server: Served) -> None:
    path = path_of(server.config)
    assert path.stat().st_mode & 0o777 == 0o600
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as http:
        local = Client("http://localhost", http)
        assert (await local.get("/api/v1/me")).json["name"] == "(local)"
        assert (await local.post("/api/v1/users", {"name": "alice", "password": PASSWORD})).status == 201
        assert (await local.post("/api/v1/users/alice/tokens")).json["token"].startswith("aen_")
        assert (await local.post("/api/v1/projects", {"name": "x"})).status in (400, 403)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask as somebody else")
async def test_the_admin_socket_asks_who_is_there(server: Served) -> None:
    path = path_of(server.config)
    path.chmod(0o666)
    path.parent.chmod(0o755)
    program = (
        "import os,socket,sys\nos.setgid(65534); os.setuid(65534)\n"
        "s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        "s.sendall(b'GET /api/v1/me HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')\n"
        "print(s.recv(100).split()[1].decode())\n"
    )
    child = await asyncio.create_subprocess_exec(
        "/usr/bin/python3", "-c", program, str(path), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert out.strip() == b"401"


async def test_a_second_server_on_the_same_run_dir_is_refused(server: Served, tmp_path: Path) -> None:

    with pytest.raises(Conflict, match="Another AEN server is running"), bound(path_of(server.config)):
        pass
    stale = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    with bound(stale):
        assert stale.exists()
    assert not stale.exists()


async def test_a_token_of_a_removed_person_is_nobody(server: Served) -> None:
    alice = await server.script("alice")
    await server.domain.accounts.remove(ROOT, "alice")
    assert (await alice.get("/api/v1/me")).status == 401
