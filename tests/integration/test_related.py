"""Related projects: those that share tags or libraries come first, and nobody is shown what they may not see."""

from __future__ import annotations

from pathlib import Path

from aen.model.project import Visibility
from aen.roles.server.project.projects import NewProject
from tests.served import served


async def test_projects_alike_are_shown_as_far_as_one_may_see_them(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        alice, bob = await server.script("alice"), await server.script("bob")
        await server.node()
        make = server.domain.projects.create
        await make(await server.actor("alice"), NewProject(name="genome", tags=["dna", "variants"]))
        his = await server.actor("bob")
        await make(his, NewProject(name="open", tags=["dna", "variants"], visibility=Visibility.PUBLIC))
        await make(his, NewProject(name="secret", tags=["dna", "variants"]))
        await make(his, NewProject(name="other", tags=["fish"], visibility=Visibility.PUBLIC))
        found = (await alice.get("/api/v1/projects/alice/genome/related")).json["items"]
        assert [project["slug"] for project in found] == ["bob/open"]
        assert (await bob.get("/api/v1/projects/alice/genome/related")).status == 404
