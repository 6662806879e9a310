"""Related projects: those that share tags or libraries come first, and nobody is shown what they may not see."""

from __future__ import annotations

from pathlib import Path

from aen.model.project import Visibility
from aen.roles.server.project.projects import NewProject, ProjectPatch
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


async def test_who_may_see_what_is_asked_anew_although_it_is_known_what_is_alike(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        alice, _ = await server.script("alice"), await server.script("bob")
        await server.node()
        create, hers, his = server.domain.projects.create, await server.actor("alice"), await server.actor("bob")
        await create(hers, NewProject(name="genome", tags=["dna"]))
        await create(his, NewProject(name="open", tags=["dna"], visibility=Visibility.PUBLIC))
        for number in range(12):  # many that she may not see, all newer
            await create(his, NewProject(name=f"secret{number}", tags=["dna"]))

        async def related() -> list[str]:
            found = (await alice.get("/api/v1/projects/alice/genome/related")).json["items"]
            return [project["slug"] for project in found]

        assert await related() == ["bob/open"]
        private = ProjectPatch(visibility=Visibility.PRIVATE)
        await server.domain.projects.update(his, "bob", "open", private)
        assert await related() == []
