"""API, nodes: data centers and how they are doing, nodes, invitations of hosts, and where a host joins."""

from __future__ import annotations

from typing import Literal

from aiohttp import web
from pydantic import Field

from aen.errors import NotFound
from aen.messages import JoinNode, NodeJoined
from aen.model import Word
from aen.roles.server.node.joining import InviteWish
from aen.roles.server.node.members import Members
from aen.roles.server.node.nodes import Nodes
from aen.roles.server.node.status import status_of
from aen.roles.server.pages.api.api import PREFIX, Nothing, answer, asked, body, listed, nothing, part
from aen.roles.server.pages.api.node_views import (
    DataCenterStatus,
    DataCenterView,
    NodeInvitationView,
    NodeView,
    datacenter_view,
    node_invitation_view,
    node_view,
)
from aen.roles.server.pages.api.views import PageOf
from aen.roles.server.permissions import Permission
from aen.roles.server.urls import Url


class DataCenterBody(Word):
    """A data center."""

    name: str = Field(max_length=63)
    title: str = Field("", max_length=100)


class DrainBody(Word):
    """Whether nothing new is started on the node."""

    draining: bool = True


class JoinBody(Word):
    """What a host sends to become a node."""

    token: str = Field(max_length=200)
    node: str = Field(max_length=63)
    csr: str = Field(max_length=8192)
    nkey: str = Field(max_length=64)
    addresses: dict[Literal["broker", "compute"], str] = Field(default_factory=dict, max_length=4)
    version: str = Field("", max_length=40)


async def datacenters(request: web.Request) -> web.StreamResponse:
    domain, _ = asked(request)
    return listed([datacenter_view(center) for center in domain.nodes.datacenters()])


async def add_datacenter(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wish = await body(request, DataCenterBody)
    return answer(datacenter_view(await domain.nodes.add_datacenter(actor, wish.name, wish.title)), 201)


async def remove_datacenter(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    await domain.nodes.remove_datacenter(actor, part(request, "datacenter"))
    return nothing()


async def status(request: web.Request) -> web.StreamResponse:
    domain, _ = asked(request)
    return listed([status_of(domain.nodes, center.id) for center in domain.nodes.datacenters()])


async def status_of_one(request: web.Request) -> web.StreamResponse:
    domain, _ = asked(request)
    return answer(status_of(domain.nodes, part(request, "datacenter")))


async def nodes(request: web.Request) -> web.StreamResponse:
    domain, _ = asked(request)
    return listed([_shown(domain.nodes, domain.members, node.id) for node in domain.nodes.list()])


async def node(request: web.Request) -> web.StreamResponse:
    domain, _ = asked(request)
    return answer(_shown(domain.nodes, domain.members, part(request, "node")))


async def forget_node(request: web.Request) -> web.StreamResponse:
    domain, _ = asked(request)
    await body(request, Nothing)
    await domain.nodes.forget(part(request, "node"))
    return nothing()


async def remove_node(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    await domain.members.remove(actor, part(request, "node"))
    return nothing()


async def drain_node(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    wish = await body(request, DrainBody)
    await domain.nodes.drain(actor, part(request, "node"), wish.draining)
    return answer(_shown(domain.nodes, domain.members, part(request, "node")))


async def invite(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    invitation, token, command = await domain.joining.invite(actor, await body(request, InviteWish))
    return answer(node_invitation_view(invitation, token, command), 201)


async def invitations(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return listed([node_invitation_view(one) for one in await domain.joining.invitations(actor)])


async def withdraw(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    await body(request, Nothing)
    await domain.joining.withdraw(actor, part(request, "id"))
    return nothing()


async def join(request: web.Request) -> web.StreamResponse:
    """A host becomes a node: the token is its right to ask."""
    domain, _ = asked(request)
    wish = await body(request, JoinBody)
    return answer(await domain.joining.join(JoinNode(**wish.model_dump(), address=request.remote or "")))


def _shown(known: Nodes, members: Members, name: str) -> NodeView:
    found = known.get(name)
    if found is None:
        raise NotFound("There is no node of that name.")
    return node_view(found, known.up(name), members.get(name))


P = Permission
_INVITATION = f"{PREFIX}/nodes/invitations"
_NODE = f"{PREFIX}/nodes/{{node}}"
_CENTER = f"{PREFIX}/datacenters/{{datacenter}}"
URLS = [
    Url("GET", f"{PREFIX}/datacenters", datacenters, P.SIGNED_IN, gives=PageOf[DataCenterView], summary="Data centers"),
    Url("POST", f"{PREFIX}/datacenters", add_datacenter, P.ADMIN, DataCenterBody, DataCenterView, 201, None, "Add one"),
    Url(
        "GET",
        f"{PREFIX}/datacenters/status",
        status,
        P.SIGNED_IN,
        gives=PageOf[DataCenterStatus],
        summary="How all are",
    ),
    Url("GET", f"{_CENTER}/status", status_of_one, P.SIGNED_IN, gives=DataCenterStatus, summary="How one is doing"),
    Url("DELETE", _CENTER, remove_datacenter, P.ADMIN, status=204, summary="Remove one without nodes and projects"),
    Url("GET", f"{PREFIX}/nodes", nodes, P.SIGNED_IN, gives=PageOf[NodeView], summary="Nodes"),
    Url("POST", _INVITATION, invite, P.ADMIN, InviteWish, NodeInvitationView, 201, None, "Invite a host to be a node"),
    Url(
        "GET", _INVITATION, invitations, P.ADMIN, gives=PageOf[NodeInvitationView], summary="Open invitations of hosts"
    ),
    Url("DELETE", f"{_INVITATION}/{{id}}", withdraw, P.ADMIN, status=204, summary="Withdraw an invitation"),
    Url("GET", _NODE, node, P.SIGNED_IN, gives=NodeView, summary="One node"),
    Url("DELETE", _NODE, forget_node, P.ADMIN, status=204, summary="Forget a node that is gone"),
    Url("POST", f"{_NODE}/remove", remove_node, P.ADMIN, status=204, summary="Take away all that a node was given"),
    Url("PUT", f"{_NODE}/drain", drain_node, P.ADMIN, DrainBody, NodeView, summary="Start nothing new there, or again"),
    Url("POST", f"{PREFIX}/join", join, P.ANYBODY, JoinBody, NodeJoined, summary="Where an invited host joins"),
]
