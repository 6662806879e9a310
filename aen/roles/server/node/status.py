"""Status: how a data center is doing, in AEN 4's words (`status`, `messages`) and in figures."""

from __future__ import annotations

from collections.abc import Sequence

from aen import __version__
from aen.errors import NotFound
from aen.languages import size
from aen.model.node import NodeRecord
from aen.roles.server.node.nodes import Nodes
from aen.roles.server.pages.api.node_views import DataCenterStatus

_LITTLE = 0.05  # of a disk


def status_of(nodes: Nodes, name: str) -> DataCenterStatus:
    """NotFound when there is no such data center."""
    center = nodes.datacenter(name)
    if center is None:
        raise NotFound("There is no data center of that name.")
    there = [node for node in nodes.list() if node.datacenter == name]
    heard = [node for node in there if nodes.up(node.id)]
    messages = _messages(nodes, there, bool(center.gateway_url))
    compute = [node for node in heard if "compute" in node.roles]
    return DataCenterStatus(
        name=name,
        title=center.title or name,
        gateway_url=center.gateway_url,
        status="error" if messages else "ok",
        messages=messages,
        nodes=len(there),
        nodes_up=len(heard),
        sessions=sum(node.sessions for node in compute),
        cpus=sum(node.load.cpus for node in compute),
        load1=round(sum(node.load.load1 for node in compute), 2),
        memory_free=sum(node.load.memory_free for node in compute),
        disk_free=max((node.load.disk_free for node in compute), default=0),
        versions=sorted({node.version for node in heard}),
        last_seen=max((node.last_seen for node in there), default=0),
    )


def _messages(nodes: Nodes, there: Sequence[NodeRecord], has_gateway: bool) -> list[str]:
    """What is wrong, one sentence each."""
    found = [] if has_gateway else ["No gateway has been heard yet: nobody can reach apps here."]
    if not any("compute" in node.roles and nodes.up(node.id) for node in there):
        found.append("No compute node can be heard: no app can start here.")
    for node in there:
        load = node.load
        if not nodes.up(node.id):
            found.append(f"{node.id} has not been heard of for {round(nodes.silence(node.id))} s.")
        elif not node.ready:
            found.append(f"{node.id} is getting ready: {node.message or 'it prepares what the first start needs'}.")
        elif load.disk_total and load.disk_free < _LITTLE * load.disk_total:
            found.append(f"{node.id}: the disk of the projects is almost full ({size(load.disk_free)} free).")
        if node.version != __version__:
            found.append(f"{node.id} runs version {node.version}; the server runs {__version__}.")
    return found
