"""API views, nodes: what answers about nodes, invitations of hosts and data centers look like."""

from __future__ import annotations

from aen.model import Word
from aen.model.node import DataCenter, Load, Membership, NodeInvitation, NodeRecord
from aen.roles.server.pages.api.views import fields


class DataCenterView(Word):
    """A gateway and the compute nodes behind it."""

    name: str
    title: str
    gateway_url: str


class NodeView(Word):
    """One node as the server last heard of it."""

    name: str
    roles: list[str]
    datacenter: str
    version: str
    load: Load
    sessions: int
    isolated: bool
    ready: bool
    message: str
    progress: float
    up: bool
    last_seen: int
    started: int
    draining: bool = False
    storage: str = ""
    joined: int = 0  # when; 0: a part of the server's own process
    joined_by: str = ""  # who invited it
    certificate_until: int = 0


class NodeInvitationView(Word):
    """An invitation of a host. `token` and `command` are shown once, when it is made."""

    id: str
    roles: list[str]
    datacenter: str
    node: str
    hosts: list[str]
    again: bool
    created_by: str
    created: int
    expires: int
    token: str = ""
    command: str = ""


class DataCenterStatus(Word):
    """How a data center is doing; `status` and `messages` as AEN 4 told them."""

    name: str
    title: str
    gateway_url: str
    status: str  # ok, or error
    messages: list[str]
    nodes: int
    nodes_up: int
    sessions: int
    cpus: int
    load1: float
    memory_free: int
    disk_free: int  # the most that one node has
    versions: list[str]
    last_seen: int


def datacenter_view(center: DataCenter) -> DataCenterView:
    """A data center."""
    return DataCenterView(name=center.id, title=center.title or center.id, gateway_url=center.gateway_url)


def node_view(node: NodeRecord, up: bool, member: Membership | None = None) -> NodeView:
    """A node, and what it was given when it joined."""
    given = {}
    if member is not None and not member.removed:
        until = max((one.expires for one in member.certificates), default=0)
        given = {"joined": member.joined, "joined_by": member.invited_by, "certificate_until": until}
    return NodeView(**fields(node, NodeView, name=node.id, up=up, **given))


def node_invitation_view(invitation: NodeInvitation, token: str = "", command: str = "") -> NodeInvitationView:
    """An invitation of a host."""
    return NodeInvitationView(**fields(invitation, NodeInvitationView, token=token, command=command))
