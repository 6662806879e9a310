"""Allowances: what an administrator says of one person, and of all, is kept: projects, sessions, space, memory, processors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aen.errors import Conflict, Denied, NotFound
from aen.messages import StartSession
from aen.model.project import Role
from aen.model.session import Phase
from aen.model.space import Space
from aen.model.user import Allowance
from aen.roles.server.domain import Domain
from aen.roles.server.permissions import Actor
from aen.roles.server.project.wording import NewProject
from tests.box import Box, box
from tests.served import ROOT, Served, served
from tests.waiting import until

GB = 1 << 30


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


@pytest.fixture
async def alice(server: Box) -> Actor:
    """Owner of alice/genome."""
    actor = await server.person("alice")
    await server.domain.projects.create(actor, NewProject(name="genome"))
    return actor


async def test_how_many_projects_somebody_may_own(server: Box, alice: Actor) -> None:
    projects, allowances = server.domain.projects, server.domain.allowances
    await server.domain.settings.set(ROOT, "people.projects", 1)
    with pytest.raises(Conflict, match=r"alice may own no more projects than now \(1\)"):
        await projects.create(alice, NewProject(name="second"))
    await allowances.set(ROOT, "alice", Allowance(projects=2))
    await projects.create(alice, NewProject(name="second"))
    with pytest.raises(Conflict, match=r"than now \(2\)"):
        await projects.create(alice, NewProject(name="third"))
    bob = await server.person("bob")
    await projects.create(bob, NewProject(name="his"))
    await server.domain.team.set(alice, "alice", "second", "bob", Role.MEMBER)
    with pytest.raises(Conflict, match=r"bob may own no more"):
        await server.domain.team.transfer(alice, "alice", "second", "bob")
    await server.domain.settings.take_back(ROOT, "people.projects")
    await projects.create(bob, NewProject(name="more"))


async def test_how_many_sessions_somebody_may_have(server: Box, alice: Actor) -> None:
    sessions = server.domain.sessions
    await server.domain.allowances.set(ROOT, "alice", Allowance(sessions=1))
    first = await sessions.open(alice, "alice", "genome", "jupyterlab")
    assert (await sessions.open(alice, "alice", "genome", "jupyterlab")).id == first.id  # it is there already
    with pytest.raises(Conflict, match=r"\(1\)\. Stop one first: Jupyter in alice/genome"):
        await sessions.open(alice, "alice", "genome", "workbench")
    bob = await server.person("bob")
    await server.domain.team.set(alice, "alice", "genome", "bob", Role.MEMBER)
    await sessions.open(bob, "alice", "genome", "workbench")  # others are not counted
    await sessions.stop(alice, first.id)

    async def over() -> bool:
        return (await sessions.get(alice, first.id)).phase is Phase.STOPPED

    await until(over, 10, "the session is stopped")
    await sessions.open(alice, "alice", "genome", "workbench")


async def test_many_requests_at_once_pass_no_limit(server: Box, alice: Actor) -> None:
    """Projects made and passed on, sessions opened, all at the same moment; the same app asked twice is one session."""
    projects, sessions, allowances = server.domain.projects, server.domain.sessions, server.domain.allowances
    bob = await server.person("bob")
    for name in ("first", "second"):
        await projects.create(bob, NewProject(name=name))
        await server.domain.team.set(bob, "bob", name, "alice", Role.MEMBER)
    await allowances.set(ROOT, "alice", Allowance(projects=3, sessions=1))
    made = [projects.create(alice, NewProject(name=f"p{number}")) for number in range(4)]
    passed = [server.domain.team.transfer(bob, "bob", name, "alice") for name in ("first", "second")]
    done = await asyncio.gather(*made, *passed, return_exceptions=True)
    assert [type(one) for one in done if isinstance(one, Exception)] == [Conflict] * 4
    assert await server.store.count("projects", (("owner", "alice"),)) == 3

    apps = ("jupyterlab", "jupyterlab", "workbench", "viewer")
    asked = [sessions.open(alice, "alice", "genome", app) for app in apps]
    opened = await asyncio.gather(*asked, return_exceptions=True)
    alive = {one.id for one in opened if not isinstance(one, BaseException)}
    assert len(alive) == 1
    assert {type(one) for one in opened if isinstance(one, BaseException)} == {Conflict}


async def test_limits_hold_over_several_servers(server: Box, alice: Actor) -> None:
    """Two servers know nothing of each other's locks: a claim in the store stands between them."""
    await server.domain.allowances.set(ROOT, "alice", Allowance(projects=2))
    servers = []
    for _ in range(2):
        config = server.domain.config.model_copy(deep=True)
        config.bus.mode = "external"
        servers.append(Domain(config, server.store, server.bus, server.domain.signer))
    asked = [one.projects.create(alice, NewProject(name=f"p{number}")) for number, one in enumerate(servers * 2)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in done if isinstance(one, Exception)] == [Conflict] * 3


async def test_what_a_session_gets_is_told_to_its_node(server: Box, alice: Actor) -> None:
    await server.domain.allowances.set(ROOT, "alice", Allowance(memory=2 * GB, cpus=1.5))
    await server.domain.sessions.open(alice, "alice", "genome", "jupyterlab")

    async def asked() -> StartSession | None:
        return next((one for one in server.node.asked if isinstance(one, StartSession)), None)

    assert (await until(asked, 10, "the node is asked")).limits == {"memory_bytes": 2 * GB, "cpu_millis": 1500}


async def test_space_of_one_owner(server: Box, alice: Actor) -> None:
    spaces = server.domain.spaces
    server.domain.config.space.user_hard = "2G"
    await server.domain.projects.start(alice, "alice", "genome")
    server.node.space = Space(bytes=GB, files=9)

    async def measured() -> bool:
        try:
            await spaces.measure(alice, "alice", "genome")
        except Conflict:  # not placed yet
            return False
        return True

    await until(measured, 10, "it is measured")
    project = await server.domain.projects.get(alice, "alice", "genome")
    await spaces.check(project)
    await server.domain.allowances.set(ROOT, "alice", Allowance(space=GB))
    with pytest.raises(Conflict, match=r"projects of alice take 1\.0 GB .* may take 1\.0 GB"):
        await spaces.check(project)


async def test_only_administrators_say_it(server: Box, alice: Actor) -> None:
    for name in ("alice", "bob"):
        with pytest.raises((Denied, NotFound)):
            await server.domain.allowances.set(alice, name, Allowance(memory=64 * GB))
    with pytest.raises(NotFound):
        await server.domain.allowances.set(ROOT, "nobody1", Allowance())
    await server.domain.allowances.set(ROOT, "alice", Allowance(projects=3, memory=GB))
    log, _ = await server.domain.activity.of_user(ROOT, "alice", 1)
    assert (log[0].act, log[0].detail) == ("user.allowed", "projects 3, memory 1.0 GB")


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


async def test_the_page_of_a_person(web: Served) -> None:
    boss, ada = await web.browser("boss", admin=True), await web.browser("ada")
    given = {"csrf": boss.csrf, "projects": "5", "sessions": "", "space": "1.5G", "memory": "512M", "cpus": "1.5"}
    answer = await boss.post("/admin/users/ada/allowance", data=given)
    assert answer.status == 303
    user = await web.domain.accounts.find("ada")
    assert user is not None
    assert user.allowance == Allowance(projects=5, space=3 * GB // 2, memory=GB // 2, cpus=1.5)
    page = (await boss.get("/admin/users/ada")).text
    for text in ('value="5"', 'value="1536M"', 'value="512M"', 'value="1.5"'):
        assert text in page
    for field, wrong in ("projects", "many"), ("memory", "1M"), ("space", "a lot"), ("cpus", "-1"):
        refused = await boss.post("/admin/users/ada/allowance", data={**given, field: wrong})
        assert refused.status == 400
        assert f'value="{wrong}"' in refused.text  # what was typed stays
    assert (await ada.post("/admin/users/ada/allowance", data={**given, "csrf": ada.csrf})).status == 403
    ends = [login for login in await web.domain.accounts.logins(ROOT, "ada") if login.id in page]
    assert len(ends) == 1
    assert (await boss.post("/admin/users/ada/logins/end", data={"csrf": boss.csrf, "id": ends[0].id})).status == 303
    assert (await ada.get("/api/v1/me")).status == 401


async def test_the_api_says_and_shows_it(web: Served) -> None:
    boss, ada = await web.script("boss", admin=True), await web.script("ada")
    answer = await boss.ask("PUT", "/api/v1/users/ada/allowance", {"sessions": 2})
    assert (answer.status, answer.json["allowance"]["sessions"]) == (200, 2)
    assert (await ada.ask("PUT", "/api/v1/users/ada/allowance", {"sessions": 9})).status == 403
    assert json.loads((await ada.get("/api/v1/users/ada")).text)["allowance"]["sessions"] == 2
    assert (await boss.ask("PUT", "/api/v1/users/ada/allowance", {"sessions": -1})).status == 400
