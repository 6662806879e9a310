"""Dashboards: deployed by a member, run as them, seen by those whom they are for and by nobody else, at an address that stays."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from aen.errors import Denied, Invalid, NotFound
from aen.links import BOARD
from aen.messages import OpenSession, SessionView, StartSession
from aen.model.dashboard import Kind, Watchers
from aen.model.project import Project, ProjectState
from aen.model.route import SIGNED_IN
from aen.model.session import Phase
from aen.model.user import LoginKind
from aen.roles.server.permissions import Actor
from aen.roles.server.project.archive_settings import Settled
from aen.roles.server.project.projects import NewProject
from aen.roles.server.publishing.dashboards import About
from tests.box import Box, box
from tests.integration.test_environments import started
from tests.integration.test_main_job import bearer, project_of
from tests.integration.test_projects import state
from tests.served import ROOT
from tests.waiting import until
from tests.world import World


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


async def placed(server: Box) -> tuple[Actor, Project]:
    """alice's project that has been started, with bob as member and viv as viewer."""
    alice = await server.person("alice")
    for name in ("bob", "viv", "carol", "eve"):
        await server.person(name)
    project = await server.domain.projects.create(alice, NewProject(name="sales"))
    await server.domain.projects.start(alice, "alice", "sales")
    project = await state(server, project, ProjectState.RUNNING)
    await server.domain.team.set(alice, "alice", "sales", "bob", "member")
    return alice, await server.domain.team.set(alice, "alice", "sales", "viv", "viewer")


def report(**more: Any) -> About:
    given = {"title": "Report", "kind": Kind.VOILA, "path": "reports/a%20b.ipynb", **more}
    return About(**given)


async def routed(server: Box, session: str) -> list[str]:
    async def look() -> list[str] | None:
        route = server.domain.sessions.routes.get(session)
        return route.users if route else None

    return await until(look, 10, "there is a route")


async def ended(server: Box, actor: Actor, session: str) -> None:
    async def stopped() -> bool:
        return (await server.domain.sessions.get(actor, session)).phase is Phase.STOPPED

    await until(stopped, 10, "it has stopped")


async def test_whom_it_is_for_sees_it_as_who_deployed_it(server: Box) -> None:
    alice, project = await placed(server)
    bob, viv, carol, eve = [await server.person(name) for name in ("bob", "viv", "carol", "eve")]
    boards = server.domain.dashboards
    with pytest.raises(Denied, match="for the team alone"):
        await boards.deploy(bob, "alice", "sales", report(people=["carol"]))
    await server.domain.settings.set(ROOT, "sharing.dashboards", "signed_in")
    with pytest.raises(Denied):
        await boards.deploy(viv, "alice", "sales", report())
    _, board = await boards.deploy(bob, "alice", "sales", report(people=["Carol", "viv"], environment="dash"))
    assert (board.user, board.people) == ("bob", ["carol"])  # viv is in the team

    session = await boards.open(carol, "alice", "sales", board.id)
    told = next(one for one in server.node.of(StartSession) if one.session == session.id)
    assert (told.user, told.shared, told.project.environment) == ("bob", True, "dash")
    assert told.told == {"kind": "voila", "path": "reports/a%20b.ipynb"}
    assert await routed(server, session.id) == ["alice", "bob", "viv", "carol"]
    assert (await boards.open(viv, "alice", "sales", board.id)).id == session.id
    for stranger in (eve, Actor()):
        with pytest.raises((NotFound, Denied)) if stranger.known else pytest.raises(Exception, match="Sign in"):
            await boards.get(stranger, "alice", "sales", board.id)
    with pytest.raises(NotFound):
        await server.domain.projects.get(carol, "alice", "sales")  # she sees the dashboard and nothing else
    assert [found.id for _, found in await boards.for_me(carol)] == [board.id]
    assert await boards.for_me(eve) == []

    await boards.change(alice, "alice", "sales", board.id, report(watchers=Watchers.SIGNED_IN))
    assert server.domain.sessions.routes.get(session.id) is None  # closed for all: it is another one now
    await ended(server, alice, session.id)
    again = await boards.open(eve, "alice", "sales", board.id)
    assert again.started_by == "alice"
    assert SIGNED_IN in await routed(server, again.id)
    assert (await boards.by_id(eve, board.id))[0].id == project.id

    with pytest.raises(Denied):
        await boards.take_down(bob, "alice", "sales", board.id)  # it is alice's now
    await boards.take_down(alice, "alice", "sales", board.id)
    assert server.domain.sessions.routes.get(session.id) is None
    with pytest.raises(NotFound):
        await boards.open(eve, "alice", "sales", board.id)
    assert (await server.domain.projects.by_id(project.id)).watchers == []  # type: ignore[union-attr]


async def test_the_site_takes_back_that_outsiders_look(server: Box) -> None:
    _, project = await placed(server)
    bob, carol, eve = [await server.person(name) for name in ("bob", "carol", "eve")]
    boards = server.domain.dashboards
    await server.domain.settings.set(ROOT, "sharing.dashboards", "signed_in")
    about = report(people=["carol"], watchers=Watchers.SIGNED_IN)
    _, board = await boards.deploy(bob, "alice", "sales", about)
    session = await boards.open(carol, "alice", "sales", board.id)
    assert SIGNED_IN in await routed(server, session.id)
    await server.domain.admitting.sweep()
    await server.domain.settings.set(ROOT, "sharing.dashboards", "team")
    for outsider in (carol, eve):
        with pytest.raises(NotFound):
            await boards.get(outsider, "alice", "sales", board.id)
        assert await boards.for_me(outsider) == []
    await server.domain.admitting.sweep()
    assert await routed(server, session.id) == ["alice", "bob", "viv"]
    await server.domain.settings.set(ROOT, "sharing.dashboards", "signed_in")
    await server.domain.admitting.sweep()
    assert {SIGNED_IN, "carol"} <= set(await routed(server, session.id))
    await server.domain.grace.discard(await server.person("alice"), "alice", "sales", "sales")
    assert server.domain.admitting.users("*", session.app_server, await kept(server, project)) == []
    assert server.domain.admitting.users("bob", "jupyter", await kept(server, project)) == []


async def test_who_gets_a_name_that_was_given_before_inherits_no_dashboard(server: Box) -> None:
    _, project = await placed(server)
    bob, carol = await server.person("bob"), await server.person("carol")
    boards = server.domain.dashboards
    await server.domain.settings.set(ROOT, "sharing.dashboards", "signed_in")
    _, board = await boards.deploy(bob, "alice", "sales", report(people=["carol", "eve"]))
    session = await boards.open(carol, "alice", "sales", board.id)
    assert "carol" in await routed(server, session.id)
    await server.domain.accounts.remove(ROOT, "carol")
    assert await routed(server, session.id) == ["alice", "bob", "viv", "eve"]
    another = await server.person("carol")
    with pytest.raises(NotFound):
        await boards.get(another, "alice", "sales", board.id)
    assert "carol" not in (await kept(server, project)).watchers


async def kept(server: Box, project: Project) -> Project:
    found = await server.domain.projects.by_id(project.id)
    assert found is not None
    return found


async def test_it_ends_with_the_place_of_who_deployed_it(server: Box) -> None:
    alice, _ = await placed(server)
    bob, viv = await server.person("bob"), await server.person("viv")
    _, board = await server.domain.dashboards.deploy(bob, "alice", "sales", report())
    session = await server.domain.dashboards.open(viv, "alice", "sales", board.id)
    await routed(server, session.id)
    assert [found.id for _, found in await server.domain.dashboards.for_me(bob)] == [board.id]
    await server.domain.team.remove(alice, "alice", "sales", "bob")
    assert await server.domain.dashboards.for_me(bob) == []
    assert [found.id for _, found in await server.domain.dashboards.for_me(viv)] == [board.id]
    assert server.domain.sessions.routes.get(session.id) is None
    with pytest.raises(Exception, match="deploy it again"):
        await server.domain.dashboards.open(viv, "alice", "sales", board.id)
    await ended(server, alice, session.id)
    await server.domain.dashboards.change(alice, "alice", "sales", board.id, report())
    again = await server.domain.dashboards.open(viv, "alice", "sales", board.id)
    assert again.started_by == "alice"


@pytest.mark.parametrize(
    ("about", "why"),
    [
        ({"path": "a.py"}, "end in"),
        ({"path": "../b.ipynb"}, "Hidden"),
        ({"path": ".git/b.ipynb"}, "Hidden"),
        ({"people": ["nobody-here"]}, "Nobody here"),
        ({"title": "x" * 101}, "too long"),
        ({"environment": "../env"}, "environment"),
    ],
)
async def test_what_can_not_be_deployed_says_so(server: Box, about: dict[str, Any], why: str) -> None:
    alice, _ = await placed(server)
    with pytest.raises(Invalid, match=why):
        await server.domain.dashboards.deploy(alice, "alice", "sales", report(**about))


async def test_the_gateway_is_told_no_log_of_what_is_not_ones_own(server: Box) -> None:
    alice, _ = await placed(server)
    carol = await server.person("carol")
    await server.domain.settings.set(ROOT, "sharing.dashboards", "signed_in")
    _, board = await server.domain.dashboards.deploy(alice, "alice", "sales", report(people=["carol"]))
    server.node.fail_at = "app"

    async def view(actor: Actor, look: bool) -> SessionView:
        assert actor.user is not None
        assert actor.login is not None
        command = OpenSession(
            user=actor.name,
            login=actor.login.id,
            owner="alice",
            project="sales",
            app_server=BOARD + board.id,
            app="",
            look=look,
        )
        return await server.domain.gateways._open(command)

    assert (await view(carol, look=True)).may_start
    await view(carol, look=False)

    async def failed() -> SessionView | None:
        seen = await view(carol, look=True)
        return seen if seen.phase is Phase.PROBLEM else None

    assert (await until(failed, 10, "it failed")).log_tail == ""
    assert (await view(alice, look=True)).log_tail != ""
    with pytest.raises(NotFound):
        await view(await server.person("eve"), look=True)


#: What stands in for Streamlit: it answers below the prefix that it is told, with who asks and as whom it runs.
STREAMLIT = """#!{python}
import getpass, http.server, os, sys
told = dict(word[2:].split("=", 1) for word in sys.argv if word.startswith("--"))
prefix = told["server.baseUrlPath"]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"{{open(sys.argv[-1]).read()}} for {{self.headers['X-AEN-User']}} by {{getpass.getuser()}} in {{os.getcwd()}}"
        self.send_response(200 if self.path.startswith(prefix) else 404)
        self.end_headers()
        self.wfile.write(text.encode())
http.server.HTTPServer(("127.0.0.1", int(told["server.port"])), Handler).serve_forever()
"""


@pytest.mark.root
async def test_through_the_gateway(world: World) -> None:
    """The real program: the team's viewer and somebody who was named see it, nobody else does, and it ends at once."""
    owner, viewer, named, stranger = (world.add(word) for word in ("dasho", "dashv", "dashn", "dashs"))
    admin = world.add("dasha", admin=True)
    async with world.client(owner) as client, world.client(named) as other, aiohttp.ClientSession() as http:
        slug = await project_of(client, owner, "sales")
        await started(client, slug)
        await client.ask("PUT", f"/api/v1/projects/{slug}/team/{viewer}", {"role": "viewer"})
        folder = Path(world.config["compute"]["project_root"]) / owner / "sales"
        env = folder / "envs" / "default" / "bin"
        here = folder.stat()
        (folder / "app.py").write_text("the figures")
        (env / "streamlit").write_text(STREAMLIT.format(python=env / "python"))
        (env / "streamlit").chmod(0o755)
        for file in (folder / "app.py", env / "streamlit"):
            os.chown(file, here.st_uid, here.st_gid)
        async with world.client(admin) as root:
            assert (
                await root.ask("PUT", "/api/v1/admin/settings/sharing.dashboards", {"value": "signed_in"})
            ).status == 200
        spec = {"kind": "streamlit", "path": "app.py", "title": "Figures", "people": [named]}
        made = await client.post(f"/api/v1/projects/{slug}/dashboards", spec)
        assert made.status == 201, made.text
        base = f"{world.gateway}/{slug}/{made.json['app_server']}/"

        async def ask(person: str, method: str = "GET", address: str = base) -> tuple[int, str]:
            async with http.request(method, address, headers=bearer(world, person)) as answer:
                return answer.status, await answer.text()

        assert (await ask(named))[0] == 503  # it runs for nobody yet
        start = f"{world.gateway}/.aen/api/session?owner={owner}&project=sales&server={made.json['app_server']}"
        async with http.post(start, headers=bearer(world, named), json={}) as answer:
            assert answer.status == 200, await answer.text()

        async def shown() -> str | None:
            status, text = await ask(named)
            assert status in (200, 503), text
            return text if status == 200 else None

        assert await until(shown, 120, "it shows") == f"the figures for {named} by {owner} in {folder}"
        assert (await ask(viewer))[0] == 200
        assert (await ask(stranger))[0] in (403, 404)
        assert (await ask(named, address=f"{world.gateway}/{slug}/jupyter/lab"))[0] in (403, 404)
        async with http.get(base, headers={"Accept": "text/html"}, allow_redirects=False) as answer:
            assert answer.status in (302, 303)  # asked who they are
        lasting = await other.get(f"/dashboards/{made.json['id']}")
        assert (lasting.status, lasting.headers["Location"]) == (303, base)
        assert (await client.ask("DELETE", f"/api/v1/projects/{slug}/dashboards/{made.json['id']}")).status == 204
        assert (await ask(named))[0] != 200  # at once

        async def unknown() -> bool:
            return (await ask(named))[0] == 403

        await until(unknown, 10, "nothing is there any more")


async def test_a_token_of_one_project_opens_its_dashboards_alone(server: Box) -> None:
    alice, _ = await placed(server)
    _, board = await server.domain.dashboards.deploy(alice, "alice", "sales", report())
    assert alice.login is not None

    def narrowed(*scope: str) -> Actor:
        login = alice.login.model_copy(update={"kind": LoginKind.TOKEN, "scope": list(scope)}) if alice.login else None
        return Actor(alice.user, login)

    for scope in ("sessions:look!project=alice/sales", "sessions:write!project=alice/sales", "run"):
        token = narrowed(scope)
        assert (await server.domain.dashboards.by_id(token, board.id))[1].id == board.id
        assert (await server.domain.dashboards.open(token, "alice", "sales", board.id)).app_server == BOARD + board.id
    for scope in ("sessions:look!project=alice/other", "projects:read!project=alice/sales", "read"):
        with pytest.raises(Denied, match="API token may not"):
            await server.domain.dashboards.by_id(narrowed(scope), board.id)
        with pytest.raises(Denied, match="API token may not"):
            await server.domain.dashboards.open(narrowed(scope), "alice", "sales", board.id)


async def test_what_an_archive_says_of_dashboards_is_judged_as_what_a_stranger_says(server: Box) -> None:
    """Whoever wrote it is named nowhere afterwards, what makes no sense is named, and a job done twice deploys once."""
    alice, project = await placed(server)
    settled = Settled(server.domain)
    good = {"title": "Report", "kind": "voila", "path": "a.ipynb", "environment": "", "user": "eve", "people": ["eve"]}
    told = {
        "dashboards": [
            {**good, "watchers": "signed_in", "beyond_team": True},
            {**good, "path": "../../etc/passwd.ipynb"},
            {**good, "path": "a.py"},
            {**good, "kind": "bash"},
            {**good, "title": None},
            "eve",
        ]
    }
    for _ in range(2):
        project = await server.domain.projects.get(alice, "alice", "sales")
        notes = await settled.dashboards(alice, project, told)
        assert notes[0] == "dashboard Report: it is for the team alone here"
        assert len(notes) == 5
    (board,) = (await server.domain.projects.get(alice, "alice", "sales")).dashboards
    assert (board.user, board.people, board.watchers, board.path) == ("alice", [], Watchers.TEAM, "a.ipynb")
    odds: list[object] = [None, {}, "x", [None]]
    for odd in odds:
        assert await settled.dashboards(alice, project, {"dashboards": odd}) == []
