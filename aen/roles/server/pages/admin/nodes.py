"""Pages, admin: data centers and their nodes: how they are, who may join, who takes nothing new, who is removed."""

from __future__ import annotations

from aiohttp import web

from aen.model.node import NodeRecord
from aen.roles.server.domain import DOMAIN, Domain
from aen.roles.server.node.joining import InviteWish
from aen.roles.server.node.status import status_of
from aen.roles.server.pages.forms import Form, again, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_WHERE = "/admin/nodes"


async def nodes(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None, made: str = ""
) -> web.StreamResponse:
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    apart = domain.members.authority is not None
    shown = {
        "centers": _centers(domain),
        "apart": apart,
        "invitations": await domain.joining.invitations(actor) if apart else [],
        "problem": problem,
        "made": made,
    }
    return render(request, "admin/nodes.html", shown, status=status)


def _centers(domain: Domain) -> list[dict[str, object]]:
    known = {center.id: center for center in domain.nodes.datacenters()}
    found = domain.nodes.list()
    return [
        {
            "id": name,
            "title": known[name].title if name in known else "",
            "gateway_url": known[name].gateway_url if name in known else "",
            "status": status_of(domain.nodes, name) if name in known else None,
            "nodes": [_shown(domain, node) for node in found if node.datacenter == name],
        }
        for name in sorted({*known, *(node.datacenter for node in found)})
    ]


def _shown(domain: Domain, node: NodeRecord) -> dict[str, object]:
    member = domain.members.get(node.id)
    return {"node": node, "up": domain.nodes.up(node.id), "joined": member is not None and not member.removed}


@again(nodes)
async def invite(request: web.Request, form: Form) -> web.StreamResponse:
    """The line is shown in this very answer and nowhere else."""
    wish = InviteWish(
        roles=["gateway"] if form.text("role", 20) == "gateway" else ["compute"],
        datacenter=form.text("datacenter", 63),
        node=form.text("name", 63),
    )
    _, _, command = await request.config_dict[DOMAIN].joining.invite(request[ACTOR], wish)
    return await nodes(request, made=command)


@again(nodes)
async def withdraw(request: web.Request, form: Form) -> web.StreamResponse:
    await request.config_dict[DOMAIN].joining.withdraw(request[ACTOR], form.text("id", 100))
    return see_other(_WHERE, "invitation-withdrawn")


@again(nodes)
async def drain(request: web.Request, form: Form) -> web.StreamResponse:
    on = form.text("draining", 5) == "1"
    await request.config_dict[DOMAIN].nodes.drain(request[ACTOR], request.match_info["node"], on)
    return see_other(_WHERE, "node-draining" if on else "node-back")


@again(nodes)
async def remove(request: web.Request, form: Form) -> web.StreamResponse:
    await request.config_dict[DOMAIN].members.remove(request[ACTOR], request.match_info["node"])
    return see_other(_WHERE, "node-removed")


@again(nodes)
async def forget(request: web.Request, form: Form) -> web.StreamResponse:
    await request.config_dict[DOMAIN].nodes.forget(request.match_info["node"])
    return see_other(_WHERE, "node-forgotten")


@again(nodes)
async def add_center(request: web.Request, form: Form) -> web.StreamResponse:
    name, title = form.text("name", 63), form.text("title", 100)
    await request.config_dict[DOMAIN].nodes.add_datacenter(request[ACTOR], name, title)
    return see_other(_WHERE, "datacenter-added")


@again(nodes)
async def remove_center(request: web.Request, form: Form) -> web.StreamResponse:
    name = request.match_info["datacenter"]
    await request.config_dict[DOMAIN].nodes.remove_datacenter(request[ACTOR], name)
    return see_other(_WHERE, "datacenter-removed")


A = Permission.ADMIN
_NODE = "/admin/nodes/{node}"
URLS = [
    Url("GET", "/admin/nodes", nodes, A),
    Url("POST", "/admin/nodes/invite", invite, A),
    Url("POST", "/admin/nodes/withdraw", withdraw, A),
    Url("POST", f"{_NODE}/drain", drain, A),
    Url("POST", f"{_NODE}/remove", remove, A),
    Url("POST", f"{_NODE}/forget", forget, A),
    Url("POST", "/admin/datacenters", add_center, A),
    Url("POST", "/admin/datacenters/{datacenter}/remove", remove_center, A),
]
