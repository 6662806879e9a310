"""What the server answers gateways: tickets and grants, tokens, keys, routes, revocations, the start page; and nodes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from aen.errors import Conflict, Denied, Invalid, NotFound, NotSignedIn, Unavailable
from aen.messages import (
    CheckToken,
    LanguageChosen,
    NodeReported,
    OpenSession,
    ReadKeys,
    ReadRevocations,
    ReadRoutes,
    RedeemTicket,
    RenewGrant,
    Revoked,
    Routes,
    SessionReport,
    StartSession,
)
from aen.model import now
from aen.model.node import Load
from aen.model.project import Member, Project, Role, Visibility
from aen.model.route import Revocation, RevocationKind
from aen.model.session import Phase, Session
from aen.roles.server.account.accounts import UserPatch
from aen.roles.server.permissions import Actor
from aen.roles.server.project.wording import NewProject
from aen.tickets import Verifier, hash_nonce
from tests.box import GATEWAY, Box, box
from tests.waiting import until

NONCE = "n" * 43
HOUR = 3_600_000


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


async def ticket_of(server: Box, actor: Actor, next: str = "/alice/genome/jupyter/lab") -> str:
    url = await server.domain.gateways.enter(actor, GATEWAY, hash_nonce(NONCE), next)
    return parse_qs(urlsplit(url).query)["ticket"][0]


def redeem(ticket: str, nonce: str = NONCE, audience: str = GATEWAY) -> RedeemTicket:
    return RedeemTicket(ticket=ticket, audience=audience, nonce=nonce)


# ── tickets and grants ──────────────────────────────────────────────────────────────────────────────


async def test_enter_leads_back_to_where_one_came_from(server: Box, alice: Actor) -> None:
    url = await server.domain.gateways.enter(alice, GATEWAY, hash_nonce(NONCE), "/alice/genome/jupyter/lab?a=1&b=%20")
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{GATEWAY}/.aen/enter"
    assert parse_qs(parts.query)["next"] == ["/alice/genome/jupyter/lab?a=1&b=%20"]


async def test_a_grant_tells_the_language_that_the_person_chose(server: Box, alice: Actor) -> None:
    heard: list[LanguageChosen] = []

    async def hear(event: LanguageChosen) -> None:
        heard.append(event)

    server.bus.subscribe(LanguageChosen, hear)
    verifier = Verifier(server.domain.signer.public_keys())
    for chosen in ("", "de", "de"):
        await server.domain.accounts.update(alice, "alice", UserPatch(language=chosen))
        signed = await server.bus.request("server", redeem(await ticket_of(server, alice)))
        assert verifier.grant(signed.grant, GATEWAY).language == chosen
    await until(lambda: _told(heard), 5, "gateways are told")
    assert [event.user for event in heard] == ["alice"]  # of what was another choice


async def _told(heard: list[LanguageChosen]) -> bool:
    return bool(heard)


@pytest.mark.parametrize(
    "audience",
    ["http://evil.example", GATEWAY + "/", GATEWAY + ".evil.example", GATEWAY.replace("http", "https"), "", "null"],
)
async def test_enter_leads_to_our_gateways_only(server: Box, alice: Actor, audience: str) -> None:
    with pytest.raises(Invalid):
        await server.domain.gateways.enter(alice, audience, hash_nonce(NONCE), "/")


@pytest.mark.parametrize(
    "next", ["", "x", "//evil.example", "/\\evil", "https://evil.example", "/a\nb", "/" + "x" * 9000]
)
async def test_enter_leads_to_paths_only(server: Box, alice: Actor, next: str) -> None:
    with pytest.raises(Invalid):
        await server.domain.gateways.enter(alice, GATEWAY, hash_nonce(NONCE), next)


async def test_enter_needs_a_login_and_a_nonce(server: Box, alice: Actor) -> None:
    with pytest.raises(NotSignedIn):
        await server.domain.gateways.enter(Actor(), GATEWAY, hash_nonce(NONCE), "/")
    with pytest.raises(Invalid):
        await server.domain.gateways.enter(alice, GATEWAY, "0", "/")


async def test_enter_knows_origins_of_projects(server: Box, alice: Actor) -> None:
    await server.domain.nodes.ensure_datacenter("main", "https://{project}.apps.example.org:8443")
    enter = server.domain.gateways.enter
    good = "https://alice--genome.apps.example.org:8443"
    assert (await enter(alice, good, hash_nonce(NONCE), "/")).startswith(good + "/.aen/enter?")
    for bad in ("https://a.b.apps.example.org:8443", "https://.apps.example.org:8443", "https://x.apps.example.org"):
        with pytest.raises(Invalid):
            await enter(alice, bad, hash_nonce(NONCE), "/")
    session = await server.domain.sessions.open(alice, "alice", "genome", "jupyterlab")
    assert server.domain.sessions.url(session) == good + "/alice/genome/jupyter/"


async def test_a_ticket_becomes_a_grant_once(server: Box, alice: Actor) -> None:
    ticket = await ticket_of(server, alice)
    both = await asyncio.gather(
        *(server.bus.request("server", redeem(ticket)) for _ in range(5)), return_exceptions=True
    )
    grants = [one for one in both if not isinstance(one, BaseException)]
    assert len(grants) == 1
    assert [type(one) for one in both if isinstance(one, BaseException)] == [NotSignedIn] * 4
    keys = await server.bus.request("server", ReadKeys())
    grant = Verifier(keys.keys).grant(grants[0].grant, GATEWAY)
    assert alice.login is not None
    assert (grant.user, grant.login) == ("alice", alice.login.id)
    # The login of the test ends in an hour: no grant outlives it.
    assert grant.expires // 1000 == alice.login.expires // 1000


async def test_tickets_that_are_not_good(server: Box, alice: Actor) -> None:
    ticket = await ticket_of(server, alice)
    for command in (
        redeem(ticket, nonce="m" * 43),
        redeem(ticket, audience="http://127.0.0.3:1"),
        redeem(ticket[:-4] + "AAAA"),
        redeem("nonsense"),
    ):
        with pytest.raises(NotSignedIn):
            await server.bus.request("server", command)
    assert alice.login is not None
    await server.domain.accounts.sign_out(alice.login.id)
    with pytest.raises(NotSignedIn):
        await server.bus.request("server", redeem(ticket))


async def test_redeemed_tickets_are_forgotten_when_they_have_expired(server: Box, alice: Actor) -> None:
    ticket = await ticket_of(server, alice)
    await server.bus.request("server", redeem(ticket))
    await server.store.insert("claims", {"id": "ticket:old", "expires": now() - HOUR})
    await server.store.insert("claims", {"id": "email:x", "user": "alice"})
    await server.domain.gateways.prune()
    assert await server.store.get("claims", "ticket:old") is None
    assert await server.store.get("claims", "email:x") is not None
    with pytest.raises(NotSignedIn):
        await server.bus.request("server", redeem(ticket))


async def test_a_grant_is_renewed_while_the_login_is_good(server: Box, alice: Actor) -> None:
    assert alice.login is not None
    renew = RenewGrant(login=alice.login.id, user="alice", audience=GATEWAY)
    answer = await server.bus.request("server", renew)
    assert Verifier(server.domain.signer.public_keys()).grant(answer.grant, GATEWAY).user == "alice"
    with pytest.raises(NotSignedIn):
        await server.bus.request("server", RenewGrant(login=alice.login.id, user="bob", audience=GATEWAY))
    await server.domain.accounts.sign_out(alice.login.id)
    with pytest.raises(NotSignedIn):
        await server.bus.request("server", RenewGrant(login=alice.login.id, user="alice", audience=GATEWAY))


async def test_tokens_are_checked(server: Box, alice: Actor) -> None:
    login, token = await server.domain.accounts.new_token(alice, "alice", "script", scope=["run"])
    digest = hashlib.sha256(token.encode()).hexdigest()
    found = await server.bus.request("server", CheckToken(token_hash=digest))
    assert (found.login, found.user, found.scope) == (login.id, "alice", ["run"])
    with pytest.raises(NotSignedIn):
        await server.bus.request("server", CheckToken(token_hash="0" * 64))


# ── revocations ─────────────────────────────────────────────────────────────────────────────────────


async def test_numbers_have_no_gaps_when_many_revoke_at_once(server: Box) -> None:
    heard: list[int] = []

    async def hear(event: Revoked) -> None:
        heard.append(event.revocation.number)

    subscription = server.bus.subscribe(Revoked, hear)
    made = await asyncio.gather(*(server.domain.revocations.add(RevocationKind.LOGIN, f"login{n}") for n in range(20)))
    assert sorted(one.number for one in made) == list(range(1, 21))
    answer = await server.bus.request("server", ReadRevocations(after=15))
    assert (answer.latest, [one.number for one in answer.entries]) == (20, [16, 17, 18, 19, 20])
    answer = await server.bus.request("server", ReadRevocations(after=20))
    assert (answer.latest, answer.entries) == (20, [])

    async def all_heard() -> bool:
        return sorted(heard) == list(range(1, 21))

    await until(all_heard, 5, "all were told")
    subscription.cancel()


async def test_old_revocations_go_and_numbers_go_on(server: Box) -> None:
    revocations = server.domain.revocations
    for n in range(1, 4):
        entry = Revocation(number=n, kind=RevocationKind.LOGIN, subject=f"l{n}", at=now() - 15 * 24 * HOUR)
        await server.store.insert("revocations", {"id": f"{n:016d}", **entry.model_dump(mode="json")})
    assert await revocations.prune() == 2
    assert await revocations.latest() == 3
    assert (await revocations.add(RevocationKind.USER, "bob")).number == 4
    assert await revocations.prune() == 1


# ── the start page ──────────────────────────────────────────────────────────────────────────────────


def start(actor: Actor, **more: Any) -> OpenSession:
    assert actor.login is not None
    words = {"owner": "alice", "project": "genome", "app_server": "jupyter", **more}
    return OpenSession(user=actor.name, login=actor.login.id, **words)


async def test_the_start_page_looks_and_starts(server: Box, alice: Actor) -> None:
    view = await server.bus.request("server", start(alice, look=True))
    assert (view.phase, view.title, view.may_start) == (Phase.STOPPED, "Jupyter", True)
    assert server.node.of(StartSession) == []
    server.node.hold = True
    view = await server.bus.request("server", start(alice, app="terminal"))
    assert (view.phase, view.title) == (Phase.STARTING, "Terminal")
    await server.node.run(view.session)

    async def running() -> bool:
        seen = await server.bus.request("server", start(alice, look=True))
        return seen.phase is Phase.RUNNING and [step.state for step in seen.steps] == ["done"] * 5

    await until(running, 10, "it runs")
    tail = await server.bus.request("server", start(alice, look=True, tail=True))
    assert (tail.log_tail, (await server.bus.request("server", start(alice, look=True))).log_tail) == (
        f"log of {view.session}",
        "",
    )
    server.node.leave()  # its node can't be asked
    gone = await server.bus.request("server", start(alice, look=True, tail=True))
    assert (gone.phase, gone.log_tail) == (Phase.RUNNING, "")
    server.node.listen()


async def test_the_start_page_says_nothing_to_strangers(server: Box, alice: Actor) -> None:
    await server.domain.projects.create(alice, NewProject(name="open", visibility=Visibility.PUBLIC))
    stranger, admin = await server.person("carol"), await server.person("adam", admin=True)
    for actor in (stranger, admin):
        for project in ("genome", "open", "no-such"):
            for look in (True, False):
                with pytest.raises(NotFound):
                    await server.bus.request("server", start(actor, project=project, look=look))
    with pytest.raises(NotFound):
        await server.bus.request("server", start(alice, app_server="emacs"))
    with pytest.raises(NotSignedIn):
        await server.bus.request("server", start(alice).model_copy(update={"login": "gone"}))
    with pytest.raises(NotSignedIn):
        await server.bus.request("server", start(alice).model_copy(update={"user": "carol"}))


async def test_viewers_look_and_do_not_start(server: Box, alice: Actor) -> None:
    viewer = await server.person("vera")
    await server.domain.team.set(alice, "alice", "genome", "vera", "viewer")
    view = await server.bus.request("server", start(viewer, look=True))
    assert view.may_start is False
    with pytest.raises(Denied):
        await server.bus.request("server", start(viewer))


async def test_tokens_open_as_far_as_their_scope_goes(server: Box, alice: Actor) -> None:
    for scope, may in (["run"], False), (["read", "run"], True):
        login, _ = await server.domain.accounts.new_token(alice, "alice", scope=scope)
        command = start(Actor(alice.user, login))
        if may:
            assert (await server.bus.request("server", command)).phase in (Phase.STARTING, Phase.RUNNING)
        else:
            with pytest.raises(Denied):
                await server.bus.request("server", command)


# ── routes ──────────────────────────────────────────────────────────────────────────────────────────


def _project(people: int) -> Project:
    team = [Member(user="alice", role=Role.OWNER), *(Member(user=f"person{n}") for n in range(people))]
    return Project(
        id="p1",
        rev=1,
        slug="alice/genome",
        owner="alice",
        name="genome",
        team=team,
        members=[m.user for m in team],
        datacenter="main",
    )


def _session(id: str, generation: int = 1) -> tuple[Session, SessionReport]:
    session = Session(
        id=id,
        project="p1",
        slug="alice/genome",
        owner="alice",
        name="genome",
        app_server="board",
        app="board",
        user="*",
        started_by="alice",
        datacenter="main",
        node="n1",
        generation=generation,
    )
    return session, SessionReport(
        session=id, generation=generation, phase=Phase.RUNNING, upstream="unix:/s", uid=1, secret="s" * 40
    )


async def test_routes_come_in_pages_that_the_bus_carries(server: Box) -> None:
    table, project = server.domain.sessions.routes, _project(199)
    for n in range(400):
        table.put(*_session(f"s{n:04}"), project)
    seen: list[str] = []
    command = ReadRoutes(datacenter="main")
    pages = 0
    while True:
        answer: Routes = await server.bus.request("server", command)
        seen += [route.session for route in answer.routes]
        pages += 1
        if not answer.more:
            break
        command = ReadRoutes(datacenter="main", after=seen[-1])
    assert seen == [f"s{n:04}" for n in range(400)]
    assert pages > 1
    again = await server.bus.request("server", ReadRoutes(datacenter="main", have=answer.version))
    assert (again.unchanged, again.routes) == (True, [])
    assert (await server.bus.request("server", ReadRoutes(datacenter="elsewhere"))).routes == []
    table.drop("s0001", 1, "main")
    changed = await server.bus.request("server", ReadRoutes(datacenter="main", have=answer.version))
    assert changed.unchanged is False


async def test_what_was_ended_does_not_come_back(server: Box) -> None:
    table, project = server.domain.sessions.routes, _project(1)
    table.put(*_session("s1", 5), project)
    table.drop("s1", 4, "main")
    assert table.get("s1") is not None  # that was an older generation
    table.drop("s1", 5, "main")
    table.put(*_session("s1", 5), project)  # a report that was under way
    assert table.get("s1") is None
    table.put(*_session("s1", 6), project)
    assert table.get("s1") is not None


async def test_an_older_team_does_not_come_back(server: Box) -> None:
    table, older = server.domain.sessions.routes, _project(1)
    newer = _project(0).model_copy(update={"rev": 2})
    table.put(*_session("s1"), older)
    table.refresh(newer)
    assert table.get("s1").users == ["alice"]  # type: ignore[union-attr]
    table.put(*_session("s1"), older)
    table.refresh(older)
    assert table.get("s1").users == ["alice"]  # type: ignore[union-attr]


# ── nodes ───────────────────────────────────────────────────────────────────────────────────────────


def report(node: str, **more: Any) -> NodeReported:
    words: dict[str, Any] = {
        "datacenter": "main",
        "roles": ["compute"],
        "version": "0",
        "load": Load(memory_free=1 << 30),
        "isolated": True,
        "ready": True,
        "sessions": [],
        "started": now(),
    }
    return NodeReported(node=node, **{**words, **more})


async def heard(server: Box, event: NodeReported) -> None:
    await server.bus.publish(event)

    async def look() -> bool:
        node = server.domain.nodes.get(event.node)
        return node is not None and node.started == event.started

    await until(look, 5, f"{event.node} is known")


async def test_the_least_busy_node_is_chosen(server: Box) -> None:
    nodes = server.domain.nodes
    await heard(server, report("b1", datacenter="big", load=Load(memory_free=8 << 30)))
    await heard(server, report("b2", datacenter="big", load=Load(memory_free=32 << 30)))
    await heard(server, report("b3", datacenter="big", load=Load(memory_free=99 << 30), ready=False))
    await heard(server, report("b4", datacenter="big", load=Load(memory_free=99 << 30), roles=["gateway"]))
    chosen = [nodes.choose("big") for _ in range(5)]
    assert chosen[0] == "b2"
    assert set(chosen) == {"b1", "b2"}  # what was just chosen counts before it is seen in a heartbeat
    with pytest.raises(Unavailable, match="has no compute node yet"):
        nodes.choose("empty")
    await heard(server, report("s1", datacenter="small", ready=False, message="installing numpy", progress=0.5))
    assert nodes.choose("small") == "s1"  # none is ready: the start waits there, and shows how far it is
    nodes.need("s1")


async def test_nodes_and_data_centers_are_known_after_a_restart(server: Box) -> None:
    await heard(server, report("g2", datacenter="east", roles=["gateway"], gateway_url="https://east.example.org/"))

    async def stored() -> bool:
        return await server.store.get("nodes", "g2") is not None

    await until(stored, 5, "the node is stored")
    domain = await server.restart()
    assert [center.id for center in domain.nodes.datacenters()] == ["east", "main"]
    assert domain.nodes.datacenter("east").gateway_url == "https://east.example.org"  # type: ignore[union-attr]
    assert {node.id for node in domain.nodes.list()} >= {"g2", "n1"}
    assert domain.nodes.isolated() is True


async def test_a_node_that_is_gone_can_be_forgotten(server: Box) -> None:
    nodes = server.domain.nodes
    with pytest.raises(Conflict):
        await nodes.forget("n1")
    with pytest.raises(NotFound):
        await nodes.forget("n9")
    await heard(server, report("n2"))
    nodes.heard["n2"] -= 60
    await nodes.forget("n2")
    assert nodes.get("n2") is None
