"""Hostile JSON: whatever is sent, the answer is a 4xx in the one error form, and nothing is changed or leaked."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.served import Client, Served, served

JSON = "application/json"
DEEP = "[" * 100_000 + "]" * 100_000

#: What is sent to POST /api/v1/projects, with its content type → the status.
BODIES: list[tuple[str, bytes, str, int]] = [
    ("invalid UTF-8", b'{"name": "\xff\xfe"}', JSON, 400),
    ("overlong UTF-8", b'{"name": "\xc0\xaf"}', JSON, 400),
    ("UTF-16", '{"name": "x"}'.encode("utf-16"), JSON, 400),
    ("byte order mark", b'\xef\xbb\xbf{"name": "x"}', JSON, 400),
    ("NaN", b'{"name": NaN}', JSON, 400),
    ("Infinity", b'{"name": -Infinity}', JSON, 400),
    ("a number too large", b'{"name": 1e999}', JSON, 400),
    ("a very long number", b'{"name": ' + b"9" * 10_000 + b"}", JSON, 400),
    ("deep arrays", DEEP.encode(), JSON, 400),
    ("deep objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, JSON, 400),
    ("a deep value", b'{"name": ' + DEEP.encode() + b"}", JSON, 400),
    ("a key twice", b'{"name": "a", "name": "b"}', JSON, 400),
    ("a key twice inside", b'{"name": "a", "tags": [{"x": 1, "x": 2}]}', JSON, 400),
    ("a Mongo operator", b'{"name": {"$ne": null}}', JSON, 400),
    ("$where", b'{"$where": "sleep(1000)", "name": "x"}', JSON, 400),
    ("a key with a dot", b'{"name": "x", "team.user": "eve"}', JSON, 400),
    ("a regular expression", b'{"name": {"$regex": ".*"}}', JSON, 400),
    ("an unknown field", b'{"name": "x", "owner": "root1"}', JSON, 400),
    ("a field of the store", b'{"name": "x", "id": "1", "rev": 3}', JSON, 400),
    ("prototype", b'{"name": "x", "__proto__": {"admin": true}}', JSON, 400),
    ("a number as name", b'{"name": 1}', JSON, 400),
    ("true as name", b'{"name": true}', JSON, 400),
    ("null as name", b'{"name": null}', JSON, 400),
    ("a list as name", b'{"name": ["x"]}', JSON, 400),
    ("a string as list", b'{"name": "x", "tags": "abc"}', JSON, 400),
    ("a wrong choice", b'{"name": "x", "visibility": "secret"}', JSON, 400),
    ("half a surrogate pair", b'{"name": "x", "summary": "\\ud800"}', JSON, 400),
    ("NUL in a text", b'{"name": "x", "summary": "a\\u0000b"}', JSON, 400),
    ("an array", b'["name"]', JSON, 400),
    ("a string", b'"name"', JSON, 400),
    ("null", b"null", JSON, 400),
    ("nothing", b"", JSON, 400),
    ("blanks", b"   ", JSON, 400),
    ("cut off", b'{"name": "x"', JSON, 400),
    ("two documents", b'{"name": "x"}{"name": "y"}', JSON, 400),
    ("a comment", b'{"name": "x"} // hi', JSON, 400),
    ("single quotes", b"{'name': 'x'}", JSON, 400),
    ("a form", b"name=x", "application/x-www-form-urlencoded", 415),
    ("text", b'{"name": "x"}', "text/plain", 415),
    ("a multipart form", b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x", 415),
    ("no content type", b'{"name": "x"}', "", 415),
    ("2 MiB", b'{"name": "x", "description": "' + b"x" * 2_097_152 + b'"}', JSON, 413),
    ("too long a description", b'{"name": "x", "description": "' + b"x" * 70_000 + b'"}', JSON, 400),
    ("10000 tags", json.dumps({"name": "x", "tags": [f"t{n}" for n in range(10_000)]}).encode(), JSON, 400),
    ("a path", b'{"name": "../../etc"}', JSON, 400),
    ("markup", b'{"name": "<script>"}', JSON, 400),
]

QUERIES = [
    "limit=0",
    "limit=-1",
    "limit=x",
    "limit=1e3",
    "limit=1.5",
    "limit=",
    "limit=1&limit=2",
    "offset=-1",
    "cursor=" + "x" * 5000,
    "cursor=%00",
    "cursor=%ff",
    "cursor=../..",
    "cursor={%22$gt%22:%22%22}",
    "scope=everything",
    "scope[$ne]=mine",
    "search[$regex]=.*",
    "search=" + "x" * 1000,
    "unknown=1",
]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        await running.node()
        yield running


def assert_refused(answer: Any, status: int) -> None:
    assert answer.status == status, answer.text[:300]
    assert set(answer.json) == {"error"}
    assert answer.json["error"]["code"] == "invalid"
    assert len(answer.text) < 2000


async def test_bodies(server: Served) -> None:
    alice = await server.script("alice")
    for what, body, content_type, status in BODIES:
        headers = {"Content-Type": content_type} if content_type else {}
        skip = () if content_type else ("Content-Type",)
        answer = await _send(alice, "POST", "/api/v1/projects", io.BytesIO(body), headers, skip)
        assert answer.status == status, (what, answer.status, answer.text[:200])
        assert_refused(answer, status)
    assert (await alice.get("/api/v1/projects")).json["items"] == []


async def _send(
    client: Client, method: str, path: str, body: io.BytesIO, headers: dict[str, str], skip: tuple[str, ...] = ()
) -> Any:
    return await client.ask(method, path, data=body, headers=headers, skip_auto_headers=skip)


async def test_a_body_without_its_length_ends_at_the_limit(server: Served) -> None:
    alice = await server.script("alice")

    async def endless() -> AsyncIterator[bytes]:
        yield b'{"name": "x", "description": "'
        for _ in range(64):
            yield b"x" * 65_536

    answer = await alice.ask("POST", "/api/v1/projects", data=endless(), headers={"Content-Type": JSON})
    assert_refused(answer, 413)


@pytest.mark.parametrize("query", QUERIES)
async def test_queries(server: Served, query: str) -> None:
    alice = await server.script("alice")
    assert_refused(await alice.get(f"/api/v1/projects?{query}"), 400)


async def test_a_huge_limit_is_clamped(server: Served) -> None:
    alice = await server.script("alice")
    assert (await alice.get("/api/v1/projects?limit=999999999")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/projects/alice/%00",
        "/api/v1/projects/alice/..%2f..%2fetc",
        "/api/v1/projects/%2e%2e/x",
        "/api/v1/projects/alice/%ff%fe",
        "/api/v1/projects/alice/" + "x" * 5000,
        "/api/v1/projects/{$ne:1}/x",
        "/api/v1/users/%00",
        "/api/v1/users/" + "x" * 5000,
        "/api/v1/users/%f0%9f%98%80",
        "/api/v1/users/(local)",
        "/api/v1/sessions/%00",
        "/api/v1/sessions/" + "x" * 5000,
        "/api/v1/sessions/..",
        "/api/v1/jobs/%00",
        "/api/v1/jobs/" + "x" * 5000,
    ],
)
async def test_paths_that_name_nothing(server: Served, path: str) -> None:
    admin = await server.script("ada", admin=True)
    answer = await admin.get(path)
    assert answer.status in (400, 404), answer.text[:300]
    assert answer.json["error"]["code"] in ("invalid", "not_found")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/api/v1/users/alice", {"admin": "true"}),
        ("PATCH", "/api/v1/users/alice", {"admin": 1}),
        ("PATCH", "/api/v1/users/alice", {"password": "x" * 20}),
        ("PATCH", "/api/v1/users/alice", {"id": "root1"}),
        ("PATCH", "/api/v1/users/alice", {"full_name": "x" * 1000}),
        ("PATCH", "/api/v1/users/alice", {"theme": "x"}),
        ("PUT", "/api/v1/users/alice/password", {"new": "x" * 500_000}),
        ("PUT", "/api/v1/users/alice/password", {}),
        ("POST", "/api/v1/users/alice/tokens", {"days": 1e9}),
        ("POST", "/api/v1/users/alice/tokens", {"days": -1}),
        ("POST", "/api/v1/users/alice/tokens", {"days": "1"}),
        ("POST", "/api/v1/users/alice/tokens", {"scope": ["root"]}),
        ("POST", "/api/v1/users/alice/tokens", {"scope": "read"}),
        ("POST", "/api/v1/projects/alice/genome/sessions", {"app": {"$ne": ""}}),
        ("POST", "/api/v1/projects/alice/genome/sessions", {}),
        ("PUT", "/api/v1/projects/alice/genome/team/root1", {"role": "owner"}),
        ("PUT", "/api/v1/projects/alice/genome/team/root1", {"role": ["member"]}),
        ("PUT", "/api/v1/projects/alice/genome/team/root1", {"role": "member", "x": 1}),
        ("POST", "/api/v1/projects/alice/genome/start", {"x": 1}),
    ],
)
async def test_bodies_elsewhere(server: Served, method: str, path: str, body: Any) -> None:
    alice = await server.script("alice")
    assert (await alice.post("/api/v1/projects", {"name": "genome"})).status == 201
    answer = await alice.ask(method, path, body)
    assert_refused(answer, 400)
    assert "x" * 100 not in answer.text, "a message never repeats what may be a password"


async def test_an_empty_body_is_an_empty_object(server: Served) -> None:
    alice = await server.script("alice")
    await server.person("bob")
    assert (await alice.post("/api/v1/projects", {"name": "genome"})).status == 201
    team = "/api/v1/projects/alice/genome/team/bob"
    bodies: tuple[Any, ...] = (None, {})
    for body in bodies:
        answer = await alice.ask("PUT", team, body)
        assert answer.status == 200
        assert answer.json["items"][1]["role"] == "member"
