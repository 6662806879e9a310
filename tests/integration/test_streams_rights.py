"""Live events of a project: who may not see it any more is told nothing of it, from that moment on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.served import Client, Served, served

ONE = "/api/v1/projects/alice/genome"
WAYS = {
    "taken off the team": ("private", "DELETE", f"{ONE}/team/eve", None),
    "no longer public": ("public", "PATCH", ONE, {"visibility": "private"}),
    "deleted": ("public", "POST", f"{ONE}/discard", {"name": "genome"}),
}


async def listen(client: Client, begun: asyncio.Event) -> str:
    """All that comes until the stream ends."""
    headers = {**client.headers, "Accept": "text/event-stream"}
    heard = ""
    async with client.http.get(f"{client.url}{ONE}/events", headers=headers) as answer:
        async for line in answer.content:
            heard += line.decode()
            begun.set()
    return heard


@pytest.mark.parametrize("way", WAYS)
async def test_a_stream_ends_with_the_right_to_see_the_project(way: str, tmp_path: Path) -> None:
    visibility, method, path, body = WAYS[way]
    async with served(tmp_path) as server:
        alice, eve = await _both(server, visibility)
        begun = asyncio.Event()
        stream = asyncio.create_task(listen(eve, begun))
        await asyncio.wait_for(begun.wait(), 30)
        assert (await alice.ask("PATCH", ONE, {"summary": "for all to hear"})).status == 200
        assert (await alice.ask(method, path, body)).status in (200, 202)
        await alice.ask("PATCH", ONE, {"summary": "a secret"})
        heard = await asyncio.wait_for(stream, 30)
    assert "for all to hear" in heard
    assert "event: ended" in heard
    assert "secret" not in heard
    assert '"private"' not in heard or visibility == "private"


async def _both(server: Served, visibility: str) -> tuple[Client, Client]:
    await server.node()
    alice, eve = await server.script("alice"), await server.browser("eve")
    assert (await alice.post("/api/v1/projects", {"name": "genome", "visibility": visibility})).status == 201
    if visibility == "private":
        assert (await alice.ask("PUT", f"{ONE}/team/eve", {"role": "viewer"})).status == 200
    return alice, eve
