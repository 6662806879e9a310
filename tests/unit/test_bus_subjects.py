"""Who may say and hear what between machines: subjects, the table of messages, rights, and the broker's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from aen import messages, names, nkeys
from aen.bus import subjects
from aen.bus.broker_config import Known, Layout, text
from aen.bus.rights import leaf_permissions, permissions
from aen.bus.subjects import Speaker, check
from aen.errors import Denied, Invalid
from aen.messages import Command, Event, NodeReported, ReadRoutes, RenewCertificate, Revoked
from aen.messages.speaking import RULES, rule
from aen.model.node import Load
from aen.model.route import Revocation

SERVER = Speaker(("server",), "main", "s1")
GATEWAY = Speaker(("gateway",), "paris", "g1.example.org")
COMPUTE = Speaker(("compute",), "paris", "n1.example.org")
KINDS = {name: kind for name, kind in vars(messages).items() if isinstance(kind, type)}


def beat(node: str = COMPUTE.node, datacenter: str = "paris", roles: tuple[str, ...] = ("compute",)) -> NodeReported:
    return NodeReported(
        node=node,
        datacenter=datacenter,
        roles=list(roles),
        version="1",
        load=Load(),
        isolated=True,
        ready=True,
        sessions=[],
        started=0,
    )


def test_the_table_names_messages_that_exist_as_they_are() -> None:
    for name, row in RULES.items():
        kind = KINDS[name]
        assert issubclass(kind, Command if row.asks else Event), name
        assert set(row.own) <= set(kind.model_fields), name


def test_whatever_tells_of_its_sender_is_checked() -> None:
    for name, kind in KINDS.items():
        if issubclass(kind, Event | Command) and rule(name).by != ("server",):
            told = {"node", "datacenter"} & set(kind.model_fields)
            assert told <= {*rule(name).own, "node" if name == "JoinNode" else ""}, name


@pytest.mark.parametrize("one", [SERVER, GATEWAY, COMPUTE, Speaker(("gateway", "compute"), "a%2Eb.c", "n.%25")])
def test_who_speaks_is_read_from_the_subject(one: Speaker) -> None:
    heard = subjects.sender_of_event(subjects.event_subject(one, beat()))
    asked = subjects.sender_of_ask(subjects.ask_subject(one, names.address("compute", "n.1"), "StopSession"))
    assert heard == asked
    assert (heard.node, set(heard.roles)) == (one.node, set(one.roles))
    assert heard.is_server or heard.datacenter == one.datacenter


@pytest.mark.parametrize(
    "subject",
    [
        "aen.event.paris.server.s1.Revoked.gateway",  # a data center's leaf, speaking as a server
        "aen.event.paris.gateway+server.s1.Revoked.gateway",
        "aen.event.-.compute.n1.NodeReported.server",
        "aen.event.paris.root.n1.NodeReported.server",
        "aen.event.paris",
        "",
    ],
)
def test_a_subject_of_nobody_is_refused(subject: str) -> None:
    with pytest.raises(Denied):
        subjects.sender_of_event(subject)


@pytest.mark.parametrize(
    ("message", "sender"),
    [
        (beat(node="n2"), COMPUTE),
        (beat(datacenter="lyon"), COMPUTE),
        (beat(roles=("compute", "gateway")), COMPUTE),  # its address would be where people sign in
        (beat(roles=("server",)), GATEWAY),
        (ReadRoutes(datacenter="lyon"), GATEWAY),
        (ReadRoutes(datacenter="paris"), COMPUTE),
        (RenewCertificate(node="n2"), COMPUTE),
        (Revoked(revocation=Revocation(number=1, kind="login", subject="x", at=0)), GATEWAY),
    ],
)
def test_what_is_not_so_of_the_sender_is_denied(message: Event, sender: Speaker) -> None:
    with pytest.raises(Denied):
        check(message, sender)


def test_what_is_so_is_let_through() -> None:
    for message, sender in (
        (beat(), COMPUTE),
        (ReadRoutes(datacenter="paris"), GATEWAY),
        (RenewCertificate(node=COMPUTE.node), COMPUTE),
        (ReadRoutes(datacenter="anywhere"), SERVER),
    ):
        check(message, sender)


def test_routes_go_to_the_gateways_of_their_data_center_alone() -> None:
    route = messages.RouteRemoved(datacenter="par.is", session="s", generation=1)
    assert subjects.event_subject(SERVER, route).endswith(".RouteRemoved.gateway-par%2Eis")
    assert Speaker(("gateway",), "par.is", "g").audiences("RouteRemoved") == ["gateway", "gateway-par%2Eis"]
    assert subjects.event_subject(COMPUTE, beat()).endswith(".NodeReported.server")


def test_a_nodes_rights_hold_no_other_nodes_name() -> None:
    rights = permissions(("compute",), "n1", "paris")
    assert all(".paris.compute.n1" in subject for subject in rights.publish)
    assert [subject for subject in rights.publish if subject.startswith("aen.ask")] == [
        "aen.ask.server.RenewCertificate.paris.compute.n1",
        "aen.ask.server.RenewLease.paris.compute.n1",
    ]
    heard = [subject for subject in rights.subscribe if not subject.startswith("aen.event.-.")]
    assert heard == ["aen.answer.paris.compute.n1.>", "aen.ask.compute.n1.>"]
    assert not any("gateway" in subject for subject in rights.subscribe)
    assert permissions(("server", "compute"), "s1", "main").publish == ("aen.>",)


def test_a_leaf_speaks_for_its_own_data_center_only() -> None:
    rights = leaf_permissions("paris", ["n1", "n2"])
    assert all("paris" in subject.split(".") or subject == "aen.answer.-.>" for subject in rights.publish)
    assert {subject for subject in rights.subscribe if subject.startswith("aen.ask")} == {
        "aen.ask.gateway.paris.>",
        "aen.ask.compute.n1.>",
        "aen.ask.compute.n2.>",
    }


def test_the_configuration_lists_who_belongs_to_this_broker() -> None:
    keys = {name: nkeys.public(nkeys.make()) for name in ("s1", "g1", "g2", "n1", "n2")}
    server = Known("s1", ("server",), "", keys["s1"])
    nodes = [
        Known("g1", ("gateway",), "paris", keys["g1"]),
        Known("g2", ("gateway",), "lyon", keys["g2"]),
        Known("n1", ("compute",), "paris", keys["n1"]),
        Known("n2", ("compute",), "lyon", keys["n2"]),
    ]
    hub, leaf = text(_layout(), server, nodes), text(_layout(), nodes[0], [server, *nodes])
    assert {name for name, key in keys.items() if key in hub} == {"s1", "g1", "g2"}
    assert {name for name, key in keys.items() if key in leaf} == {"g1", "n1"}
    assert "no_auth" not in hub
    both = text(_layout(), Known("s1", ("server", "gateway"), "paris", keys["s1"]), nodes)
    assert {name for name, key in keys.items() if key in both} == {"s1", "g1", "g2", "n1"}
    with pytest.raises(Invalid):
        text(_layout(), server, [Known("n3", ("gateway",), "x", 'U", permissions: {}')])


def test_nkeys_are_written_as_nats_writes_them() -> None:
    seed = nkeys.make()
    public = nkeys.public(seed)
    assert seed.startswith(b"SU")
    assert len(seed) == 58
    assert public.startswith("U")
    assert len(public) == 56
    assert nkeys.check_public(public) == public
    # The vector of nats-io's own documentation of nkeys.
    assert nkeys.public(b"SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY").startswith(
        "UDXU4RCSJNZOIQHZNWXHX"
    )
    for wrong in (public[:-1], public.lower(), seed.decode(), "", "U" * 56, public + "\n"):
        with pytest.raises(Invalid):
            nkeys.check_public(wrong)
    with pytest.raises(Invalid):
        nkeys.public(public.encode())


def _layout() -> Layout:
    here = Path("/x")
    return Layout("aen", here, "127.0.0.1:1", "127.0.0.1:2", here, here, here, "seed")
