"""Tags of public projects: counted for everybody at once, and never told of what is not public any more."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aen.messages import ServerTold
from aen.model.project import Visibility
from aen.roles.server.project import tags
from aen.roles.server.project.projects import NewProject, ProjectPatch
from aen.store import Page
from tests.served import Client, Served, served

PUBLIC, PRIVATE = ProjectPatch(visibility=Visibility.PUBLIC), ProjectPatch(visibility=Visibility.PRIVATE)


async def told(reader: Client) -> dict[str, int]:
    found = {tag["name"]: tag["projects"] for tag in (await reader.get("/api/v1/tags")).json["items"]}
    page = (await reader.get("/?show=public", headers={"Accept": "text/html"})).text
    assert all((f"tag={name}" in page) == (name in found) for name in ("dna", "fish", "birds"))
    return found


async def hers(server: Served) -> Any:
    await server.person("alice")
    await server.node()
    actor = await server.actor("alice")
    await server.domain.projects.create(
        actor, NewProject(name="one", tags=["dna", "fish"], visibility=Visibility.PUBLIC)
    )
    await server.domain.projects.create(actor, NewProject(name="two", tags=["dna"], visibility=Visibility.PUBLIC))
    return actor


async def test_tags_of_what_is_closed_changed_or_deleted_are_gone_at_once(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        actor, stranger, projects = await hers(server), await server.browser("eve"), server.domain.projects
        assert await told(stranger) == {"dna": 2, "fish": 1}
        await projects.update(actor, "alice", "one", PRIVATE)
        assert await told(stranger) == {"dna": 1}
        await projects.update(actor, "alice", "one", ProjectPatch(tags=["birds"]))
        assert await told(stranger) == {"dna": 1}
        await projects.update(actor, "alice", "one", PUBLIC)
        assert await told(stranger) == {"dna": 1, "birds": 1}
        await projects.update(actor, "alice", "two", ProjectPatch(tags=["fish"]))
        assert await told(stranger) == {"fish": 1, "birds": 1}
        await server.domain.grace.discard(actor, "alice", "one", "one")
        assert await told(stranger) == {"fish": 1}
        await server.domain.grace.restore(actor, "alice", "one")
        assert await told(stranger) == {"fish": 1, "birds": 1}


async def test_what_is_closed_while_all_are_counted_is_not_told_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(tmp_path) as server:
        actor, stranger = await hers(server), await server.browser("eve")
        read, go, find = asyncio.Event(), asyncio.Event(), server.domain.store.find

        async def slowly(collection: str, query: Any) -> Page:
            page = await find(collection, query)
            if query.equal == (("visibility", "public"),) and query.limit == 500:
                read.set()
                await go.wait()
            return page

        monkeypatch.setattr(server.domain.store, "find", slowly)
        early = asyncio.create_task(stranger.get("/api/v1/tags"))
        await asyncio.wait_for(read.wait(), 30)
        await server.domain.projects.update(actor, "alice", "one", PRIVATE)
        go.set()
        await early
        assert await told(stranger) == {"dna": 1}


async def test_what_is_counted_is_what_counting_anew_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(tmp_path) as server:
        actor, stranger, projects = await hers(server), await server.browser("eve"), server.domain.projects
        await told(stranger)
        for change in (
            PRIVATE,
            ProjectPatch(tags=["fish"]),
            PUBLIC,
            ProjectPatch(tags=["fish", "dna"]),
            PRIVATE,
            PUBLIC,
        ):
            await projects.update(actor, "alice", "two", change)
            kept = await told(stranger)
            monkeypatch.setattr(tags, "_FRESH_SECONDS", 0.0)
            assert await told(stranger) == kept
            monkeypatch.undo()


async def test_of_what_another_server_changes_nothing_is_told_until_all_are_counted(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        actor, stranger = await hers(server), await server.browser("eve")
        assert await told(stranger) == {"dna": 2, "fish": 1}
        one = await server.domain.projects.get(actor, "alice", "one")
        for handler in server.domain.company._hearing["changed"]:
            handler(ServerTold(origin="another", what="changed", topic="tags", kind=one.id))
        assert await told(stranger) == {"dna": 1}
        for handler in server.domain.company._hearing["changed"]:
            handler(ServerTold(origin="another", what="changed"))  # something was missed
        assert await told(stranger) == {"dna": 2, "fish": 1}
