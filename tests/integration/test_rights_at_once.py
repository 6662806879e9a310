"""What is answered from memory: a right that has gone is gone from every list and page at once, one that has come is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.served import Client, served
from tests.waiting import until

ALL = "/api/v1/projects"
ONE = f"{ALL}/alice/genome"
OLD, NEW = "oldestword", "newestword"
#: Whatever could tell a stranger of a project: as pages and as answers of the API.
PLACES = (
    *("/", "/?show=team", "/?show=public", "/?show=all", "/people/alice", "/alice/anchor", "/alice/genome"),
    *(f"{ALL}?scope=all", f"{ALL}?scope=public", f"{ALL}/alice/anchor/related", "/api/v1/tags", ONE),
    *(f"/api/v1/search?q={OLD[:6]}&kind=projects", f"/api/v1/search?q={NEW[:6]}&kind=projects", "/admin/projects"),
)


async def telling(reader: Client, word: str) -> set[str]:
    """The places that tell of the word: each is asked twice, so that what may be remembered is."""
    found = set()
    for place in PLACES:
        first, second = (await reader.get(place)).text, (await reader.get(place)).text
        assert (word in first) is (word in second), place
        found |= {place} if word in first else set()
    return found


@pytest.mark.parametrize("as_page", [True, False], ids=["browser", "script"])
async def test_a_right_that_goes_is_gone_everywhere(tmp_path: Path, *, as_page: bool) -> None:
    async with served(tmp_path) as server:
        await server.node()
        alice = await server.script("alice")
        eve = await server.browser("eve") if as_page else await server.script("eve")
        for name, words in (("anchor", ""), ("genome", OLD)):
            body = {"name": name, "summary": words, "visibility": "public", "tags": ["common", *words.split()]}
            assert (await alice.post(ALL, body)).status == 201
        everywhere = await telling(eve, OLD)
        assert len(everywhere) >= 9
        assert (await alice.ask("PATCH", ONE, {"visibility": "private"})).status == 200
        assert await telling(eve, OLD) == set()
        assert (await alice.ask("PUT", f"{ONE}/team/eve", {"role": "viewer"})).status == 200
        assert {ONE, f"{ALL}?scope=all"} < await telling(eve, OLD)
        assert (await eve.ask("PATCH", ONE, {"summary": NEW})).status == 403
        assert (await alice.ask("DELETE", f"{ONE}/team/eve")).status == 200
        assert await telling(eve, OLD) == set()

        assert (await alice.ask("DELETE", ONE, {"name": "genome"})).status == 202
        await until(lambda: _gone(alice), 30, "the project is deleted")
        body = {"name": "genome", "summary": NEW, "visibility": "public", "tags": ["common", NEW]}
        assert (await alice.post(ALL, body)).status == 201
        assert (await telling(eve, OLD), ONE in await telling(eve, NEW)) == (set(), True)
        root = await server.browser("root2", admin=True)
        assert (await telling(root, OLD), "/admin/projects" in await telling(root, NEW)) == (set(), True)


async def _gone(alice: Client) -> bool:
    return (await alice.get(ONE)).status == 404
