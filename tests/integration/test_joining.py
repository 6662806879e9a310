"""Joining at the server: what an invitation lets in, once, and what it never does; renewal; removal; draining."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from aen import nkeys
from aen.ca import Request, key_pem, make_key, read_certificate, request_pem
from aen.errors import Conflict, Denied, Invalid, TooMany, Unavailable
from aen.messages import (
    CertificateRenewed,
    JoinNode,
    NodeJoined,
    NodeRemoved,
    NodeReported,
    RenewCertificate,
    SessionReport,
)
from aen.model import now
from aen.model.node import Load
from aen.model.project import Project, ProjectState
from aen.model.session import Phase, Session
from aen.roles.server.node.joining import InviteWish
from aen.roles.server.permissions import Actor
from aen.roles.server.project.projects import NewProject
from tests.served import ROOT, Served, served
from tests.waiting import until


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """A server that nodes can join; the bus is the one in this process."""
    from tests import served as module

    plain = module.configured

    def between(*given: Any, **more: Any) -> Any:
        config = plain(*given, **more)
        return config.model_copy(update={"bus": config.bus.model_copy(update={"mode": "managed"})})

    monkeypatch.setattr(module, "configured", between)
    async with served(tmp_path) as running:
        await running.domain.nodes.ensure_datacenter("paris", "http://gw.example.org:8089")
        yield running


class Host:
    """A host that wants to join, with keys of its own."""

    def __init__(self, node: str = "n7", names: tuple[str, ...] = ("n7.example.org",)) -> None:
        self.node, self.names = node, names
        self.key, self.seed = key_pem(make_key()), nkeys.make()

    def wish(self, token: str, **more: Any) -> JoinNode:
        given = {
            "token": token,
            "node": self.node,
            "csr": request_pem(self.key, self.node, self.names).decode(),
            "nkey": nkeys.public(self.seed),
            "address": "192.0.2.7",
            "datacenter": "paris",  # it came through that gateway
            **more,
        }
        return JoinNode.model_validate(given)


async def token_for(server: Served, role: str = "compute", **more: Any) -> str:
    wish = InviteWish.model_validate({"roles": role.split(","), "datacenter": "paris", **more})
    _, token, _ = await server.domain.joining.invite(ROOT, wish)
    return token


async def edge(server: Served) -> NodeJoined:
    """The data center's gateway has joined: compute nodes find the bus there."""
    host = Host("edge", ("gw.example.org",))
    places = {"broker": "127.0.0.1:1"}
    wish = host.wish(await token_for(server, "gateway"), datacenter="", addresses=places)
    return await server.domain.joining.join(wish)


async def join(server: Served, host: Host, **more: Any) -> NodeJoined:
    return await server.domain.joining.join(host.wish(await token_for(server, **more)))


async def test_a_host_becomes_a_node(server: Served) -> None:
    gateway = await edge(server)
    assert "can't be reached" in gateway.unreached["broker"]  # nobody answers at port 1
    host = Host()
    given = await join(server, host)
    assert (given.node, given.roles, given.datacenter) == ("n7", ["compute"], "paris")
    assert given.bus_url == "tls://127.0.0.1:1"
    seen = read_certificate(given.certificate.encode())
    assert (seen.identity.node, seen.identity.roles, seen.names) == ("n7", ("compute",), ("n7.example.org",))
    acts = [entry.act for entry in (await server.domain.activity.security(ROOT))[0]]
    assert acts[:2] == ["node.joined", "node.invited"]


async def test_the_token_stands_nowhere_and_names_the_authority(server: Served) -> None:
    token = await token_for(server)
    found = [doc async for doc in every(server)]
    assert [doc["id"] for doc in found] == [hashlib.sha256(token.encode()).hexdigest()]
    assert token not in str(found)
    authority = server.domain.members.need_authority().bundle()
    assert token.rpartition(".")[2] == hashlib.sha256(authority).hexdigest()[:32]


async def every(server: Served) -> AsyncIterator[dict[str, Any]]:
    from aen.store import Query

    for doc in (await server.domain.store.find("node_invitations", Query())).items:
        yield doc


async def test_a_token_is_good_for_one_host(server: Served) -> None:
    await edge(server)
    token, host = await token_for(server), Host()
    first = await server.domain.joining.join(host.wish(token))
    again = await server.domain.joining.join(host.wish(token))  # its answer was lost
    assert first.node == again.node
    with pytest.raises(Denied):
        await server.domain.joining.join(Host("n8", ("n8.example.org",)).wish(token))


async def test_ended_withdrawn_and_invented_tokens_are_refused_and_said(server: Served) -> None:
    await edge(server)
    ended = await token_for(server, hours=1e-7)
    withdrawn = await token_for(server)
    open_ones = await server.domain.joining.invitations(ROOT)
    assert len(open_ones) == 1
    await server.domain.joining.withdraw(ROOT, open_ones[0].id[:12])
    for token in (ended, withdrawn, "x.y"):
        with pytest.raises(Denied):
            await server.domain.joining.join(Host().wish(token))
    acts = [entry for entry in (await server.domain.activity.security(ROOT))[0] if entry.act == "node.join_refused"]
    assert {(entry.object, entry.address) for entry in acts} == {("n7", "192.0.2.7")}


async def test_guessing_is_slowed_down_for_that_address_alone(server: Served) -> None:
    await edge(server)
    for number in range(server.config.server.login.attempts):
        with pytest.raises(Denied):
            await server.domain.joining.join(Host().wish(f"{number}.x"))
    good = await token_for(server)
    with pytest.raises(TooMany):
        await server.domain.joining.join(Host().wish(good))
    assert (await server.domain.joining.join(Host().wish(good, address="192.0.2.8"))).node == "n7"


async def test_a_name_is_taken_until_its_node_is_removed(server: Served) -> None:
    await edge(server)
    await join(server, Host())
    with pytest.raises(Conflict, match="n7 already"):
        await join(server, Host())
    before = server.domain.members.get("n7")
    assert before is not None
    await join(server, Host(), node="n7", again=True)  # another host in its place
    assert before.certificates[0].serial in server.domain.members.revoked()
    await server.domain.members.remove(ROOT, "n7")
    assert (await join(server, Host())).node == "n7"


async def test_nobody_is_called_server(server: Served) -> None:
    await edge(server)
    with pytest.raises(Conflict, match="server's own name"):
        await join(server, Host("server"))


@pytest.mark.parametrize("name", ["gw.example.org", "n6.example.org", "127.0.0.1", "localhost"])
async def test_names_of_other_nodes_are_not_certified(server: Served, name: str) -> None:
    """With a certificate for another's name a node could stand in its place. Loopback is everybody's own."""
    await edge(server)
    await join(server, Host("n6", ("n6.example.org",)))
    host = Host("n7", ("n7.example.org", name))
    if name in ("127.0.0.1", "localhost"):
        assert (await join(server, host)).node == "n7"
        return
    with pytest.raises(Conflict, match="is reached"):
        await join(server, host)
    assert (await join(server, host, hosts=list(host.names))).node == "n7"  # the administrator says so


ASK: dict[str, Callable[[Host], dict[str, Any]]] = {
    "a request for another name": lambda host: {"csr": request_pem(host.key, "n8", ()).decode()},
    "no request": lambda host: {"csr": "x"},
    "no nkey": lambda host: {"nkey": "UABC"},
    "an nkey that breaks out of a file": lambda host: {"nkey": 'U" } accounts { x: {} }'},
    "a name that is none": lambda host: {"node": "../n7", "csr": request_pem(host.key, "n7", ()).decode()},
}


@pytest.mark.parametrize("more", ASK.values(), ids=ASK)
async def test_bad_wishes_are_refused_and_use_nothing_up(
    server: Served, more: Callable[[Host], dict[str, Any]]
) -> None:
    await edge(server)
    token, host = await token_for(server), Host()
    with pytest.raises(Invalid):
        await server.domain.joining.join(host.wish(token, **more(host)))
    assert (await server.domain.joining.join(host.wish(token))).node == "n7"


@pytest.mark.parametrize(("role", "through"), [("gateway", "paris"), ("compute", "lyon")])
async def test_an_invitation_holds_where_it_is_meant(server: Served, role: str, through: str) -> None:
    """A gateway's invitation is nothing at a gateway; one for Paris is nothing at Lyon's gateway."""
    await edge(server)
    host = Host()
    with pytest.raises(Conflict):
        await server.domain.joining.join(host.wish(await token_for(server, role), datacenter=through))


async def test_compute_nodes_come_after_their_gateway(server: Served) -> None:
    with pytest.raises(Conflict, match="no gateway"):
        await token_for(server, datacenter="lyon")


async def test_one_process_has_nothing_to_join(tmp_path: Path) -> None:
    async with served(tmp_path) as alone:
        with pytest.raises(Conflict, match="one process"):
            await token_for(alone)


async def renewed(server: Served, host: Host, names: tuple[str, ...] | None = None) -> CertificateRenewed:
    csr = request_pem(host.key, host.node, host.names if names is None else names).decode()
    bus = server.role.context.bus
    answer: CertificateRenewed = await bus.request("server", RenewCertificate(node=host.node, csr=csr))
    return answer


async def test_a_certificate_is_renewed_for_the_same_names_only(server: Served) -> None:
    await edge(server)
    host = Host()
    first = await join(server, host)
    answer = await renewed(server, host)
    before, after = (read_certificate(text.encode()) for text in (first.certificate, answer.certificate))
    assert (after.identity, after.names) == (before.identity, before.names)
    assert after.serial != before.serial
    with pytest.raises(Invalid, match=r"gw\.example\.org"):
        await renewed(server, host, ("n7.example.org", "gw.example.org"))


async def test_a_removed_node_has_nothing_left(server: Served) -> None:
    await edge(server)
    host = Host()
    first = await join(server, host)
    second = await renewed(server, host)
    told: list[NodeRemoved] = []

    async def hear(event: NodeRemoved) -> None:
        told.append(event)

    server.role.context.bus.subscribe(NodeRemoved, hear)
    await server.node("n7")
    session = Session(
        id="s1", project="p", slug="a/p", owner="a", name="p", app_server="jupyter", app="jupyterlab",
        user="a", started_by="a", datacenter="paris", node="n7", phase=Phase.RUNNING,
    )  # fmt: skip
    await server.domain.store.insert("sessions", session.model_dump(mode="json"))
    await server.domain.members.remove(ROOT, "n7")
    serials = {f"{read_certificate(text.encode()).serial:x}" for text in (first.certificate, second.certificate)}
    assert serials <= set(server.domain.members.revoked())

    async def heard() -> bool:
        return bool(told)

    await until(heard, 40, "everybody is told")
    assert serials <= set(told[0].revoked)
    doc = await server.domain.store.get("sessions", "s1")
    assert doc is not None
    assert (doc["phase"], doc["reason"]) == ("LOST", "the compute node n7 was removed by (local)")
    with pytest.raises(Denied):
        await renewed(server, host)
    await server.node("n7")  # a heartbeat that was under way
    assert server.domain.nodes.get("n7") is None


async def test_a_draining_node_gets_nothing_new(server: Served) -> None:
    await server.node("n1")

    async def there() -> bool:
        return server.domain.nodes.get("n1") is not None

    await until(there, 40, "n1 is heard")
    assert server.domain.nodes.choose("main") == "n1"
    await server.domain.nodes.drain(ROOT, "n1", True)
    await server.node("n1")  # a heartbeat does not end it
    with pytest.raises(Unavailable, match="emptied"):
        server.domain.nodes.choose("main")
    with pytest.raises(Unavailable, match="emptying"):
        server.domain.nodes.need("n1")
    await server.node("n2")

    async def two() -> bool:
        return server.domain.nodes.get("n2") is not None

    await until(two, 40, "n2 is heard")
    assert server.domain.nodes.choose("main") == "n2"
    await server.domain.nodes.drain(ROOT, "n1", False)
    server.domain.nodes.need("n1")


async def test_membership_outlives_a_restart(server: Served) -> None:
    await edge(server)
    host = Host()
    await join(server, host)
    stored = await server.domain.store.get("memberships", "n7")
    assert stored is not None
    assert stored["joined"] <= now()
    assert Request.read(request_pem(host.key, "n7", host.names)).names == tuple(stored["names"])


async def test_by_the_api(server: Served) -> None:
    admin, anybody = await server.script("root1", admin=True), await server.nobody()
    await edge(server)
    made = (await admin.post("/api/v1/nodes/invitations", {"roles": ["compute"], "datacenter": "paris"})).json
    assert made["command"].startswith("aen node join http://gw.example.org:8089 --role compute --token ")
    listed = (await admin.get("/api/v1/nodes/invitations")).json["items"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert listed[0]["token"] == listed[0]["command"] == ""
    bad = await anybody.post("/api/v1/join", {"token": "x.y", "node": "n7", "csr": "", "nkey": ""})
    assert bad.status == 403
    status = (await admin.get("/api/v1/datacenters/paris/status")).json
    assert status["status"] == "error"
    assert "No compute node" in status["messages"][0]


async def beat(server: Served, node: str, storage: str = "", **more: Any) -> None:
    """A heartbeat of a compute node, heard."""
    given = {
        "node": node, "datacenter": "main", "roles": ["compute"], "version": "0", "load": Load(), "isolated": True,
        "ready": True, "sessions": [], "started": now(), "storage": storage, **more,
    }  # fmt: skip
    await server.role.context.bus.publish(NodeReported.model_validate(given))

    async def heard() -> bool:
        found = server.domain.nodes.get(node)
        return found is not None and found.storage == storage

    await until(heard, 40, f"{node} is heard")


async def at(server: Served, node: str) -> Project:
    """A project whose directory is at that node."""
    owner = await server.person("owner")
    project = await server.domain.projects.create(Actor(owner), NewProject(name="p", datacenter="main"))

    def edit(stored: Project) -> None:
        stored.placed, stored.node, stored.storage = True, node, server.domain.nodes.storage(node)

    return await server.domain.projects.edit(project.id, edit)


async def test_shared_storage_lets_a_project_start_elsewhere_when_its_node_is_emptied_or_gone(server: Served) -> None:
    for name in ("n1", "n2"):
        await beat(server, name, "nfs")
    await beat(server, "n3")
    project = await at(server, "n1")
    await server.domain.nodes.drain(ROOT, "n1", True)
    moved = await server.domain.projects.life.claim(project.id)
    assert (moved.node, moved.lease) == ("n2", 1)
    assert (await server.domain.projects.life.claim(project.id)).node == "n2"  # once is enough


async def test_files_of_ones_own_wait_for_their_node(server: Served) -> None:
    await beat(server, "n1")
    await beat(server, "n2")
    project = await at(server, "n1")
    await server.domain.nodes.drain(ROOT, "n1", True)
    with pytest.raises(Unavailable, match="emptying"):
        await server.domain.projects.life.claim(project.id)
    assert (await server.domain.projects.by_id(project.id) or project).node == "n1"


async def test_what_a_node_says_of_a_project_that_moved_leads_nobody_there(server: Served) -> None:
    """The earlier node comes back with a session that runs: it is ended, and no route leads to it."""
    await beat(server, "n1", "nfs")
    await beat(server, "n2", "nfs")
    project = await at(server, "n2")

    def run(stored: Project) -> None:
        stored.move(ProjectState.STARTING)
        stored.move(ProjectState.RUNNING)

    await server.domain.projects.edit(project.id, run)
    session = Session(
        id="s1", project=project.id, slug=project.slug, owner="owner", name="p", app_server="jupyter",
        app="jupyterlab", user="owner", started_by="owner", datacenter="main", node="n1", phase=Phase.LOST,
    )  # fmt: skip
    await server.domain.store.insert("sessions", session.model_dump(mode="json"))
    report = SessionReport(session="s1", generation=1, phase=Phase.RUNNING, upstream="unix:/x", uid=1)
    await beat(server, "n1", "nfs", sessions=[report])

    async def ended() -> bool:
        doc = await server.domain.store.get("sessions", "s1")
        return doc is not None and "is at n2 now" in doc["reason"]

    await until(ended, 40, "it is ended")
    assert server.domain.sessions.routes.get("s1") is None
