"""Pages, admin: how the installation is doing; links to a new password; users and nodes at the end."""

from __future__ import annotations

import asyncio

from aiohttp import web

from aen import names
from aen.languages import gettext as _
from aen.languages import ngettext
from aen.model.session import Phase
from aen.roles.server.domain import DOMAIN, Domain
from aen.roles.server.pages.admin import nodes, users
from aen.roles.server.pages.forms import Form, again, asked_text, see_other
from aen.roles.server.permissions import ACTOR, Permission
from aen.roles.server.urls import Url
from aen.web.site import render


async def overview(request: web.Request) -> web.StreamResponse:
    domain, actor = request.config_dict[DOMAIN], request[ACTOR]
    if not actor.admin:
        return see_other("/admin/report")  # what staff may see begins there
    users, projects, running, jobs = await asyncio.gather(
        domain.store.count("users"),
        domain.store.count("projects"),
        domain.store.count("sessions", (("phase", str(Phase.RUNNING)),)),
        domain.store.count("jobs", (("active", True),)),
    )
    entries, _cursor = await domain.activity.security(actor, 8)
    figures = [
        (_("Users"), users, "/admin/users"),
        (_("Projects"), projects, "/admin/projects"),
        (_("Running sessions"), running, "/admin/sessions?phase=RUNNING"),
        (_("Nodes heard"), sum(domain.nodes.up(node.id) for node in domain.nodes.list()), "/admin/nodes"),
        (_("Jobs under way"), jobs, "/admin/jobs"),
    ]
    shown = {"figures": figures, "worries": await worries(domain), "entries": entries}
    return render(request, "admin/overview.html", shown)


async def worries(domain: Domain) -> list[dict[str, str]]:
    """What needs an administrator, each with what to do."""
    found = []
    for node in domain.nodes.list():
        if not domain.nodes.up(node.id):
            text = "Start it again, or forget it on the page of nodes if it is gone for good."
            found.append({"title": f"The node {node.id} is not heard", "text": text, "href": "/admin/nodes"})
        elif not node.ready:
            text = f"{node.message or 'It prepares what the first start needs'} ({node.progress:.0%})"
            found.append({"title": f"The node {node.id} is still getting ready", "text": text, "href": "/admin/nodes"})
        elif node.load.disk_total and node.load.disk_free < 0.05 * node.load.disk_total:
            text = "Projects can't be made or started when it is full: make room."
            found.append({"title": f"The disk of {node.id} is almost full", "text": text, "href": "/admin/nodes"})
    if not domain.nodes.list():
        text = "Start a node with the compute role: `aen serve --role compute`."
        found.append({"title": "No compute node has been heard yet", "text": text, "href": "/admin/nodes"})
    troubled = await domain.store.count("projects", (("state", "PROBLEM"),))
    if troubled:
        text = "Their pages say why; Reset makes them startable again."
        title = ngettext("{n} project has a problem", "{n} projects have a problem", troubled)
        found.append({"title": title, "text": text, "href": "/admin/projects?state=PROBLEM"})
    return found


async def reset_page(
    request: web.Request, problem: str = "", status: int = 200, form: Form | None = None, link: str = "", name: str = ""
) -> web.StreamResponse:
    """A link to a new password for somebody, by their user name: what staff do for who forgot theirs."""
    typed = form.raw("name")[:200] if form is not None else asked_text(request, "name", 64)
    shown = {"problem": problem, "link": link, "name": name or typed}
    return render(request, "admin/reset.html", shown, status=status)


@again(reset_page)
async def reset(request: web.Request, form: Form) -> web.StreamResponse:
    """The link is shown in this very answer and nowhere else."""
    domain = request.config_dict[DOMAIN]
    name = names.typed(form.text("name", 200))[0]
    code = await domain.accounts.reset_link(request[ACTOR], name)
    return await reset_page(request, link=f"{domain.config.server.url}/forgotten/{code}", name=name)


A, S = Permission.ADMIN, Permission.STAFF
URLS = [
    Url("GET", "/admin", overview, S),
    Url("GET", "/admin/reset", reset_page, S),
    Url("POST", "/admin/reset", reset, S),
    *users.URLS,
    *nodes.URLS,
]
