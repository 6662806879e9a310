"""Pages and API, admin: what `aen doctor` finds on every node, and where configurations differ."""

from __future__ import annotations

from collections import Counter

from aiohttp import web

from aen.messages import NodeExamined
from aen.roles.server.domain import DOMAIN
from aen.roles.server.node.examined import Difference
from aen.roles.server.pages.api.api import PREFIX, asked, listed
from aen.roles.server.pages.api.views import PageOf
from aen.roles.server.pages.forms import read, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render

_WHERE = "/admin/doctor"


async def doctor(request: web.Request) -> web.StreamResponse:
    examined, actor = request.config_dict[DOMAIN].examined, request[ACTOR]
    found = examined.list(actor)
    counts = Counter(finding.state for one in found for finding in one.findings)
    silent = _silent(request, {one.node for one in found})
    shown = {"found": found, "counts": counts, "drift": examined.drift(actor), "silent": silent}
    return render(request, "admin/doctor.html", shown)


async def examine(request: web.Request) -> web.StreamResponse:
    node = (await read(request)).text("node", 63)
    await request.config_dict[DOMAIN].examined.ask(request[ACTOR], node)
    return see_other(_WHERE, "nodes-asked")


async def configuration(request: web.Request) -> web.StreamResponse:
    """What is in force on one node, and where it was set, as `aen config show --origin` says it there."""
    node = request.match_info["node"]
    found = [one for one in request.config_dict[DOMAIN].examined.list(request[ACTOR]) if one.node == node]
    return render(request, "admin/doctor_config.html", {"node": node, "found": found})


async def findings(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return listed(domain.examined.list(actor))


async def drift(request: web.Request) -> web.StreamResponse:
    domain, actor = asked(request)
    return listed(domain.examined.drift(actor))


def _silent(request: web.Request, known: set[str]) -> list[str]:
    """Nodes that are heard but have told nothing of themselves: of an older version, or just started."""
    nodes = request.config_dict[DOMAIN].nodes
    return [node.id for node in nodes.list() if node.id not in known]


A = Permission.ADMIN
URLS = [
    Url("GET", _WHERE, doctor, A),
    Url("POST", f"{_WHERE}/examine", examine, A),
    Url("GET", f"{_WHERE}/{{node}}/configuration", configuration, A),
    Url(
        "GET",
        f"{PREFIX}/doctor",
        findings,
        A,
        gives=PageOf[NodeExamined],
        summary="What every node found when it examined itself",
    ),
    Url(
        "GET", f"{PREFIX}/doctor/drift", drift, A, gives=PageOf[Difference], summary="Options that differ between nodes"
    ),
]
