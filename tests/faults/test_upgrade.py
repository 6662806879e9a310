"""A rolling upgrade, and back: each role in turn becomes the next version, whose messages are others, while somebody computes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from aen import __version__
from tests.apart import EDGE, NODE, Apart
from tests.faults.use import Table, Use, in_use
from tests.integration.test_main_job import opened, project_of
from tests.served import Client
from tests.versions import NEXT, next_version
from tests.waiting import until
from tests.world import PROGRAM

pytestmark = pytest.mark.slow

#: Who becomes which version, one after the other: every role meets every other in the version before and after its own.
TURNS = (("server", NEXT), ("gateway", NEXT), ("compute", NEXT), ("server", ""), ("gateway", ""), ("compute", ""))
TABLE = Table(("server", "gateway", "compute node", "the session meanwhile", "all well after"))
ORDER = {"server": "server", "gateway": EDGE, "compute": NODE}


@pytest.fixture(scope="module")
def site() -> Iterator[Apart]:
    with Apart() as made:
        yield made
    TABLE.show()


@pytest.fixture
async def use(site: Apart) -> AsyncIterator[Use]:
    async with in_use(site) as made:
        yield made


async def test_each_role_in_turn(use: Use) -> None:
    site = use.site
    program = next_version(site.folder)
    versions = dict.fromkeys(ORDER, __version__)
    name = use.session["project"].partition("/")[0]
    for role, version in TURNS:
        node = site.programs[role]
        node.stop()
        node.program = program if version else PROGRAM
        node.spawn()
        seconds = await use.until_well(f"{role} became {version or __version__}")
        versions[role] = version or __version__
        TABLE.add(*(versions[role] for role in ORDER), "computes", f"{seconds:.1f} s")
        wanted = {EDGE: versions["gateway"], NODE: versions["compute"]}
        # "up" may still be what the node said before it was stopped: its version comes with its next report.
        await until(lambda: _told(use.client, wanted), 30, f"the server knows {wanted}")  # noqa: B023
        # Something new, from the wish to the app and to its end: every message of a start, and of a team's change.
        slug = await project_of(use.client, name, f"{role}-{'next' if version else 'back'}")
        session = await opened(use.client, slug, "workbench")
        await use.client.ask("DELETE", f"/api/v1/sessions/{session['id']}")
        await until(lambda: _ended(use.client, session["id"]), 30, "it has ended")  # noqa: B023
        refused = {role: _refused(site, role) for role in ORDER}
        assert refused == dict.fromkeys(ORDER, 0), "a message was not understood"


async def _told(client: Client, wanted: dict[str, str]) -> bool:
    """Whether the server knows of each of these nodes that it has this version."""
    nodes = (await client.get("/api/v1/nodes")).json["items"]
    return wanted.items() <= {one["name"]: one["version"] for one in nodes}.items()


async def _ended(client: Client, session: str) -> bool:
    return bool((await client.get(f"/api/v1/sessions/{session}")).json["phase"] == "STOPPED")


def _refused(site: Apart, role: str) -> int:
    """Messages that a role could not read."""
    return site.programs[role].log.read_text().count("event refused")
