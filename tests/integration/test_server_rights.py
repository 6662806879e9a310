"""Rights: every URL of the server's table, asked by everybody: {anonymous, stranger, viewer, member, ex-member, owner, staff, admin}.

A URL without a row fails: whoever adds one says here who may use it.
"""

from __future__ import annotations

import base64
import contextlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aen import names, sshkeys
from aen.errors import Conflict
from aen.model import new_id
from aen.model.dashboard import Dashboard, Kind
from aen.model.job import Job, JobState
from aen.model.node import NodeInvitation
from aen.model.project import Project
from aen.model.publication import Publication, PublishedFile, PublishedPage, Version
from aen.model.schedule import Schedule
from aen.model.session import Phase, Session
from aen.roles.server.account.accounts import NewUser, UserPatch
from aen.roles.server.permissions import Permission as P
from aen.roles.server.project.projects import NewProject
from aen.roles.server.urls import Url, table
from tests.served import PASSWORD, ROOT, Client, Served, served
from tests.waiting import until

ROLES = ("anonymous", "stranger", "viewer", "member", "ex", "owner", "staff", "admin")
SIGNED_IN = frozenset(ROLES) - {"anonymous"}
SEE = frozenset({"viewer", "member", "owner", "admin"})

#: Permission → who may, about a private project of `owner`.
MAY: dict[P, frozenset[str]] = {
    P.ANYBODY: frozenset(ROLES),
    P.SIGNED_IN: SIGNED_IN,
    P.LIST: SIGNED_IN,
    P.ACCOUNT: SIGNED_IN,
    P.CREATE: SIGNED_IN,
    P.VIEW: SEE,
    P.LOOK: frozenset({"viewer", "member", "owner"}),
    P.WATCH: SIGNED_IN,  # what of it is for whom, each dashboard says
    P.RUN: frozenset({"member", "owner"}),
    P.CONTROL: frozenset({"member", "owner", "admin"}),
    P.EDIT: frozenset({"owner", "admin"}),
    P.TEAM: frozenset({"owner", "admin"}),
    P.OWN: frozenset({"owner", "admin"}),
    P.STAFF: frozenset({"staff", "admin"}),
    P.ADMIN: frozenset({"admin"}),
}
OWN_OR_ADMIN = frozenset({"owner", "admin"})  # of what belongs to `owner`
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOao0n5uNK+I6pENBOkngKHuAZl2tb4E5vXSDdq7Oo7o"
FINGERPRINT = sshkeys.parse(KEY).fingerprint


@dataclass(frozen=True)
class Row:
    """What is sent. `json` for the API, `form` for pages; `{…}` in values are filled like in paths.

    `may`: who may, where the URL's permission is not the whole truth; `hidden`: for the others it does not exist.
    """

    json: Any = None
    form: dict[str, str] | None = None
    query: str = ""
    may: frozenset[str] | None = None
    hidden: bool = False
    stream: bool = False
    refused: frozenset[int] | None = None


def form(**fields: str) -> Row:
    return Row(form=fields)


HIS = Row(may=OWN_OR_ADMIN, hidden=True)
_PROJECT, _USER = "/api/v1/projects/{owner}/{name}", "/api/v1/users/{user}"
_PAGE = "/{owner}/{project}"

ROWS: dict[str, Row] = {
    # ── API, people ──
    "GET /api/v1/status": Row(),
    "GET /api/v1/me": Row(),
    "GET /api/v1/users": Row(),
    "POST /api/v1/users": Row({"name": "{fresh}"}),
    f"GET {_USER}": HIS,
    f"PATCH {_USER}": Row({"company": "x"}, may=OWN_OR_ADMIN, hidden=True),
    f"DELETE {_USER}": Row(),
    f"GET {_USER}/removal": Row(),
    f"GET {_USER}/keys": HIS,
    f"POST {_USER}/keys": Row({"key": KEY}, may=frozenset({"owner"})),
    f"DELETE {_USER}/keys": Row({"fingerprint": FINGERPRINT}, may=OWN_OR_ADMIN, hidden=True),
    f"PUT {_USER}/password": Row({"new": PASSWORD, "old": PASSWORD}, may=OWN_OR_ADMIN, hidden=True),
    f"POST {_USER}/tokens": Row({}, may=OWN_OR_ADMIN, hidden=True),
    f"GET {_USER}/logins": HIS,
    f"POST {_USER}/reset-link": Row(json={}),
    f"DELETE {_USER}/second-factor": Row(json={}),
    f"PUT {_USER}/allowance": Row({"projects": 100_000}),
    f"POST {_USER}/sign-out": HIS,
    f"GET {_USER}/activity": Row(may=OWN_OR_ADMIN),
    f"GET {_USER}/picture": Row(may=frozenset(), hidden=True),  # there is none
    "PUT /api/v1/me/picture": Row({"png": "AAAA"}),
    "DELETE /api/v1/me/picture": Row(),
    f"GET {_PROJECT}/here": Row(),
    "DELETE /api/v1/logins/{id}": HIS,
    "GET /api/v1/security": Row(),
    "GET /api/v1/invitations": Row(),
    "POST /api/v1/invitations": Row({}),
    "DELETE /api/v1/invitations/{id}": Row(),
    "GET /api/v1/settings/registration": Row(),
    "PUT /api/v1/settings/registration": Row({"open": False}),
    # ── API, projects ──
    "GET /api/v1/projects": Row(),
    "POST /api/v1/projects": Row({"name": "{fresh}"}),
    f"GET {_PROJECT}": Row(),
    f"PATCH {_PROJECT}": Row({"summary": "x"}),
    f"DELETE {_PROJECT}": Row(),
    f"POST {_PROJECT}/rename": Row({"name": "{fresh}"}),
    f"POST {_PROJECT}/discard": Row({}),
    f"POST {_PROJECT}/restore": Row({}),
    f"POST {_PROJECT}/transfer": Row({"user": "member"}),
    f"PUT {_PROJECT}/star": Row(),
    f"DELETE {_PROJECT}/star": Row(),
    f"GET {_PROJECT}/team": Row(),
    f"PUT {_PROJECT}/team/{{user}}": Row({}),
    f"DELETE {_PROJECT}/team/{{user}}": Row(may=MAY[P.TEAM]),
    f"POST {_PROJECT}/start": Row(),
    f"POST {_PROJECT}/stop": Row(),
    f"POST {_PROJECT}/reset": Row(),
    f"GET {_PROJECT}/links": Row(),
    f"POST {_PROJECT}/links": Row({"path": "a"}),
    f"DELETE {_PROJECT}/links/{{id}}": Row(may=OWN_OR_ADMIN),
    f"GET {_PROJECT}/permissions": Row(),
    f"POST {_PROJECT}/permissions/repair": Row(),
    f"GET {_PROJECT}/rights": Row(query="?path=a.md"),
    f"PUT {_PROJECT}/rights": Row({"path": "a.md", "rights": {"member": "r"}}),
    f"POST {_PROJECT}/space/measure": Row(),
    f"PUT {_PROJECT}/space": Row({"limit": "1G"}),
    f"GET {_PROJECT}/activity": Row(),
    f"GET {_PROJECT}/related": Row(),
    f"POST {_PROJECT}/copy": Row({"name": ""}),
    f"GET {_PROJECT}/export": Row(may=MAY[P.LOOK] | {"admin"}),
    f"GET {_PROJECT}/invitations": Row(),
    f"POST {_PROJECT}/invitations": Row({}, may=frozenset({"owner", "admin"})),
    f"DELETE {_PROJECT}/invitations/{{id}}": Row(),
    "POST /api/v1/imports": Row(query="?name="),
    "GET /api/v1/search": Row(query="?q=o"),
    "GET /api/v1/search/suggestions": Row(query="?q=o"),
    "GET /api/v1/tags": Row(),
    "GET /api/v1/searches": Row(),
    "POST /api/v1/searches": Row({"q": "fish"}),
    "DELETE /api/v1/searches/{id}": Row(may=frozenset({"owner"}), hidden=True),
    f"GET {_PROJECT}/sessions": Row(),
    f"POST {_PROJECT}/sessions": Row({"app": "jupyterlab"}, may=MAY[P.RUN]),  # a viewer opens the Viewer alone
    f"GET {_PROJECT}/events": Row(stream=True),
    f"GET {_PROJECT}/environments": Row(),
    f"POST {_PROJECT}/environments": Row({"name": "new"}),
    f"POST {_PROJECT}/environments/stop": Row({"change": "x"}),
    f"PUT {_PROJECT}/environment": Row({"name": "default"}),
    f"GET {_PROJECT}/environments/{{environment}}": Row(),
    f"DELETE {_PROJECT}/environments/{{environment}}": Row(),
    f"POST {_PROJECT}/environments/{{environment}}/packages": Row({"install": ["x"]}),
    f"POST {_PROJECT}/environments/{{environment}}/roll-back": Row({"number": 1}),
    f"GET {_PROJECT}/environments/{{environment}}/export": Row(),
    f"GET {_PROJECT}/revisions": Row(),
    f"POST {_PROJECT}/revisions": Row({"message": "m", "files": ["a"]}),
    f"GET {_PROJECT}/revisions/status": Row(),
    f"GET {_PROJECT}/revisions/compare": Row(),
    f"GET {_PROJECT}/revisions/key": Row(),
    f"POST {_PROJECT}/revisions/key": Row({}),
    f"GET {_PROJECT}/revisions/remote": Row(),
    f"PUT {_PROJECT}/revisions/remote": Row({"url": "https://example.org/a"}),
    f"POST {_PROJECT}/revisions/begin": Row({}),
    f"POST {_PROJECT}/revisions/clone": Row({"url": "https://example.org/a"}),
    f"POST {_PROJECT}/revisions/restore": Row({"revision": "HEAD"}),
    f"POST {_PROJECT}/revisions/remote/{{act}}": Row({}),
    f"GET {_PROJECT}/revisions/{{revision}}": Row(),
    f"GET {_PROJECT}/schedules": Row(),
    f"POST {_PROJECT}/schedules": Row({"name": "n", "notebook": "a.ipynb"}),
    f"GET {_PROJECT}/schedules/{{id}}": Row(),
    f"PUT {_PROJECT}/schedules/{{id}}": Row({"paused": False}, may=frozenset({"owner"})),
    f"DELETE {_PROJECT}/schedules/{{id}}": Row({}, may=frozenset({"owner"})),
    f"GET {_PROJECT}/schedules/{{id}}/runs": Row(),
    f"POST {_PROJECT}/schedules/{{id}}/runs": Row({}, may=frozenset({"owner"})),
    f"DELETE {_PROJECT}/schedules/{{id}}/runs": Row({}, may=frozenset({"owner"})),
    "GET /api/v1/dashboards": Row(),
    f"GET {_PROJECT}/dashboards": Row(),
    f"POST {_PROJECT}/dashboards": Row({"kind": "panel", "path": "a.py"}),
    f"PUT {_PROJECT}/dashboards/{{id}}": Row({"kind": "panel", "path": "a.py"}, may=frozenset({"owner"})),
    f"DELETE {_PROJECT}/dashboards/{{id}}": Row(may=frozenset({"owner"})),
    f"GET {_PROJECT}/publications": Row(),
    f"POST {_PROJECT}/publications": Row({"path": "a.md"}),
    f"PUT {_PROJECT}/publications/{{id}}": Row({"title": "x"}, may=frozenset({"owner"})),
    f"DELETE {_PROJECT}/publications/{{id}}": Row({}, may=frozenset({"owner"})),
    f"POST {_PROJECT}/publications/{{id}}/versions": Row({}, may=frozenset({"owner"})),
    # ── API, administration ──
    "GET /api/v1/admin/settings": Row(),
    "GET /api/v1/admin/records": Row(),
    "PUT /api/v1/admin/settings/{name}": Row({"value": True}),
    "DELETE /api/v1/admin/settings/{name}": Row(),
    "GET /api/v1/admin/exceptions": Row(),
    "POST /api/v1/admin/exceptions/read": Row({}),
    "GET /api/v1/doctor": Row(),
    "GET /api/v1/doctor/drift": Row(),
    "GET /api/v1/admin/report": Row(),
    "GET /api/v1/admin/mail": Row(),
    "POST /api/v1/admin/mail/test": Row({"to": "a@example.org"}),
    "POST /api/v1/admin/mail/{id}/again": Row({}),
    "GET /api/v1/admin/nodes/{node}/load": Row(),
    "GET /api/v1/admin/security": Row(),
    "POST /api/v1/admin/sessions/stop": Row({"ids": ["none"]}, refused=frozenset({401, 403})),
    "PUT /api/v1/admin/jobs/{id}/priority": Row({"priority": 1}, refused=frozenset({401, 403})),
    "POST /api/v1/jobs/{id}/retry": Row({}, may=OWN_OR_ADMIN),
    # ── API, sessions and the system ──
    "GET /api/v1/sessions": Row(),
    "GET /api/v1/sessions/{id}": Row(),
    "DELETE /api/v1/sessions/{id}": Row(may=OWN_OR_ADMIN),
    "POST /api/v1/sessions/{id}/keep": Row({"hours": 1}, may=OWN_OR_ADMIN),
    "GET /api/v1/sessions/{id}/log": Row(may=OWN_OR_ADMIN),
    "GET /api/v1/sessions/{id}/events": Row(stream=True),
    "GET /api/v1/events": Row(stream=True),
    "GET /api/v1/apps": Row(),
    "GET /api/v1/datacenters": Row(),
    "POST /api/v1/datacenters": Row(json={"name": "lyon"}),
    "GET /api/v1/datacenters/status": Row(),
    "GET /api/v1/datacenters/{datacenter}/status": Row(),
    "DELETE /api/v1/datacenters/{datacenter}": Row(),
    "GET /api/v1/nodes": Row(),
    "POST /api/v1/nodes/invitations": Row(json={"roles": ["compute"], "datacenter": "main"}),
    "GET /api/v1/nodes/invitations": Row(),
    "DELETE /api/v1/nodes/invitations/{id}": Row(),
    "GET /api/v1/nodes/{node}": Row(),
    "DELETE /api/v1/nodes/{node}": Row(),
    "POST /api/v1/nodes/{node}/remove": Row(json={}),
    "PUT /api/v1/nodes/{node}/drain": Row(json={"draining": True}),
    "POST /api/v1/join": Row(json={"token": "x", "node": "n7", "csr": "", "nkey": ""}),
    "GET /api/v1/jobs": Row(),
    "GET /api/v1/jobs/{id}": Row(may=SEE),
    "DELETE /api/v1/jobs/{id}": Row(may=OWN_OR_ADMIN),
    "GET /api/v1/openapi.json": Row(),
    "GET /gateway/enter": Row(query=f"?gateway=http%3A%2F%2F127.0.0.2%3A1&nonce={'a' * 64}&next=/x"),
    # ── pages: coming in ──
    "GET /setup": Row(),
    "POST /setup": form(code="x", name="x", password="x"),
    "GET /login": Row(),
    "POST /login": form(name="{me}", password=PASSWORD),
    "GET /login/code": Row(),
    "POST /login/code": Row(form={"code": "000000"}, may=frozenset(), refused=frozenset({401})),  # nobody is half in
    "GET /login/{backend}": Row(may=frozenset(), hidden=True),
    "GET /login/{backend}/callback": Row(may=frozenset(), hidden=True),
    "GET /forgotten": Row(),
    "POST /forgotten": form(name="x"),
    "GET /forgotten/{code}": Row(may=frozenset(), hidden=True),
    "POST /forgotten/{code}": Row(form={"password": PASSWORD}, may=frozenset(), hidden=True),
    "GET /logout": Row(),
    "POST /logout": form(),
    "GET /signup": Row(),
    "POST /signup": Row(form={"name": "{fresh}", "password": PASSWORD}, may=frozenset()),
    # ── pages: one's own ──
    "GET /": Row(may=SIGNED_IN, refused=frozenset({303})),
    "GET /account": Row(),
    "POST /account": form(full_name="x"),
    "POST /account/theme": form(theme="dark"),
    "POST /account/language": form(language="de"),
    "POST /account/picture": form(),
    "POST /account/picture/remove": form(),
    "GET /avatar/{name}": Row(may=frozenset(), hidden=True),
    "GET /account/password": Row(),
    "POST /account/password": form(new=PASSWORD, old=PASSWORD),
    "GET /account/second-factor": Row(),
    "POST /account/second-factor": Row(form={"code": "0"}, may=frozenset(), refused=frozenset({303, 401, 403})),
    "POST /account/second-factor/codes": form(password=PASSWORD),
    "POST /account/second-factor/remove": form(password=PASSWORD),
    "GET /account/delete": Row(),
    "POST /account/delete": form(password=PASSWORD, typed="x"),
    "GET /account/logins": Row(),
    "POST /account/logins/end": Row(form={"id": "{id}"}, may=OWN_OR_ADMIN, hidden=True),
    "POST /account/logins/end-all": form(),
    "GET /account/tokens": Row(),
    "POST /account/tokens": form(title="x", days="1"),
    "POST /account/tokens/end": Row(form={"id": "{id}"}, may=OWN_OR_ADMIN, hidden=True),
    "GET /account/keys": Row(),
    "POST /account/keys": form(key=KEY),
    "POST /account/keys/remove": form(fingerprint=FINGERPRINT),
    "GET /account/security": Row(),
    "POST /account/markdown": form(text="x"),
    "GET /people": Row(),
    "GET /people/suggest": Row(query="?q=o"),
    "GET /people/{name}": Row(),
    # ── pages: projects ──
    "GET /new": Row(),
    "POST /new": form(name="{fresh}"),
    f"GET {_PAGE}": Row(),
    f"GET {_PAGE}/activity": Row(),
    "GET /search": Row(query="?q=o"),
    "GET /search/suggest": Row(query="?q=o"),
    "POST /search/saved": form(q="fish"),
    "POST /search/saved/remove": Row(form={"id": "none"}, may=frozenset(), hidden=True),
    "GET /import": Row(),
    "GET /join/{code}": Row(may=frozenset(), hidden=True),  # nobody, with a wrong code
    "POST /join/{code}": Row(form={}, may=frozenset(), hidden=True),
    f"GET {_PAGE}/archive": Row(),
    f"POST {_PAGE}/copy": form(name=""),
    f"GET {_PAGE}/export": Row(may=MAY[P.LOOK] | {"admin"}),
    f"GET {_PAGE}/file": Row(query="?path=a", may=MAY[P.LOOK]),
    f"GET {_PAGE}/settings/invite": Row(),
    f"POST {_PAGE}/settings/invite": form(role="member"),
    f"POST {_PAGE}/settings/invite/withdraw": form(id="{id}"),
    f"GET {_PAGE}/settings": Row(),
    f"POST {_PAGE}/settings": form(summary="x", description="", tags=""),
    f"GET {_PAGE}/settings/team": Row(),
    f"POST {_PAGE}/settings/team": form(user="{user}", role="viewer"),
    f"POST {_PAGE}/settings/team/remove": Row(form={"user": "{user}"}, may=MAY[P.TEAM]),
    f"GET {_PAGE}/settings/admin": Row(),
    f"POST {_PAGE}/settings/visibility": form(visibility="public"),
    f"POST {_PAGE}/settings/rename": form(new_name="{fresh}"),
    f"POST {_PAGE}/settings/transfer": form(user="member"),
    f"POST {_PAGE}/settings/delete": form(typed="{project}"),
    f"POST {_PAGE}/settings/restore": form(),
    f"GET {_PAGE}/settings/links": Row(),
    f"POST {_PAGE}/settings/links": form(path="a", days="7"),
    f"POST {_PAGE}/settings/links/end": Row(form={"id": "{id}"}, may=OWN_OR_ADMIN),
    f"GET {_PAGE}/compute": Row(),
    f"POST {_PAGE}/compute/environment": form(name="default"),
    f"POST {_PAGE}/compute/measure": form(),
    f"POST {_PAGE}/compute/space": form(limit="1G"),
    f"POST {_PAGE}/compute/{{id}}/restart": Row(form={}, may=frozenset({"owner"})),
    f"POST {_PAGE}/compute/{{id}}/stop": Row(form={}, may=OWN_OR_ADMIN),
    f"GET {_PAGE}/settings/permissions": Row(),
    f"POST {_PAGE}/settings/permissions/repair": form(),
    f"GET {_PAGE}/settings/rights": Row(),
    f"POST {_PAGE}/settings/rights": form(file="a.md", act="set"),
    f"GET {_PAGE}/settings/info": Row(),
    f"GET {_PAGE}/open/{{app}}": Row(),
    f"POST {_PAGE}/open/{{app}}": Row(form={}, may=MAY[P.RUN]),
    f"GET {_PAGE}/environments": Row(),
    f"POST {_PAGE}/environments": form(name="new", way="standard"),
    f"POST {_PAGE}/environment": form(name="default"),
    f"POST {_PAGE}/environment/stop": form(id="x"),
    f"GET {_PAGE}/environments/{{environment}}": Row(),
    f"POST {_PAGE}/environments/{{environment}}": form(act="kernel"),
    f"GET {_PAGE}/environments/{{environment}}/export": Row(),
    f"GET {_PAGE}/revisions": Row(),
    f"POST {_PAGE}/revisions": form(act="begin"),
    f"GET {_PAGE}/revisions/{{revision}}": Row(),
    f"POST {_PAGE}/revisions/{{revision}}": form(),
    f"GET {_PAGE}/runs": Row(),
    f"POST {_PAGE}/runs": form(name="n", notebook="a.ipynb"),
    f"GET {_PAGE}/runs/{{id}}": Row(),
    f"POST {_PAGE}/runs/{{id}}": Row(form={"act": "run"}, may=frozenset({"owner"})),
    "GET /dashboards": Row(),
    "GET /dashboards/{id}": Row(may=MAY[P.LOOK], hidden=True),
    f"GET {_PAGE}/dashboards": Row(),
    f"POST {_PAGE}/dashboards": form(kind="panel", path="a.py"),
    f"POST {_PAGE}/dashboards/{{id}}": Row(form={"act": "remove"}, may=frozenset({"owner"})),
    f"GET {_PAGE}/published": Row(),
    f"POST {_PAGE}/published": form(path="a.md"),
    f"POST {_PAGE}/published/{{id}}": Row(form={"act": "again"}, may=frozenset({"owner"})),
    "GET /published/{id}": Row(may=SEE, refused=frozenset({303, 404})),
    "GET /published/{id}/v/{number}": Row(may=SEE, refused=frozenset({303, 404})),
    "GET /published/{id}/v/{number}/content/{path:.+}": Row(may=SEE, refused=frozenset({303, 404})),
    "GET /published/{id}/v/{number}/{path:.*}": Row(may=SEE, refused=frozenset({303, 404})),
    f"POST {_PAGE}/start": form(),
    f"POST {_PAGE}/stop": form(),
    f"POST {_PAGE}/reset": form(),
    f"POST {_PAGE}/star": form(on="1"),
    f"POST {_PAGE}/sessions/{{id}}/stop": Row(form={}, may=OWN_OR_ADMIN),
    f"POST {_PAGE}/sessions/{{id}}/keep": Row(form={"hours": "1"}, may=OWN_OR_ADMIN),
    # ── pages: administrators ──
    "GET /admin": Row(),
    "GET /admin/reset": Row(),
    "POST /admin/reset": form(name="guest"),
    "GET /admin/users": Row(),
    "GET /admin/users/new": Row(),
    "POST /admin/users/new": form(name="{fresh}"),
    "GET /admin/users/{name}": Row(),
    "POST /admin/users/{name}": form(full_name="x", email=""),
    "POST /admin/users/{name}/password": form(new=PASSWORD),
    "POST /admin/users/{name}/sign-out": form(),
    "POST /admin/users/{name}/reset": form(),
    "POST /admin/users/{name}/second-factor": form(),
    "POST /admin/users/{name}/allowance": form(memory="1G"),
    "POST /admin/users/{name}/logins/end": form(id="{id}"),
    "POST /admin/users/{name}/lock": form(),
    "POST /admin/users/{name}/unlock": form(),
    "POST /admin/users/{name}/remove": form(typed="{user}"),
    "GET /admin/invitations": Row(),
    "POST /admin/invitations": form(email="", days="7"),
    "POST /admin/invitations/withdraw": form(id="{id}"),
    "GET /admin/nodes": Row(),
    "POST /admin/nodes/invite": form(role="compute", datacenter="main"),
    "POST /admin/nodes/withdraw": form(id="{id}"),
    "POST /admin/nodes/{node}/drain": form(draining="1"),
    "POST /admin/nodes/{node}/remove": form(),
    "POST /admin/nodes/{node}/forget": form(),
    "POST /admin/datacenters": form(name="{fresh}"),
    "POST /admin/datacenters/{datacenter}/remove": form(),
    "GET /admin/sessions": Row(),
    "POST /admin/sessions/{id}/stop": form(),
    "GET /admin/jobs": Row(),
    "POST /admin/jobs/{id}/cancel": form(),
    "GET /admin/security": Row(),
    "GET /admin/settings": Row(),
    "POST /admin/settings/{name}": form(value="1"),
    "GET /admin/report": Row(),
    "GET /admin/report.csv": Row(),
    "GET /admin/report.json": Row(),
    "GET /admin/nodes/{node}": Row(),
    "GET /admin/projects": Row(),
    "POST /admin/projects/stop": form(project="owner/{project}"),
    "POST /admin/sessions/stop": form(id="{id}"),
    "POST /admin/jobs/{id}/retry": form(),
    "POST /admin/jobs/{id}/priority": form(priority="1"),
    "GET /admin/exceptions": Row(),
    "POST /admin/exceptions/read": form(),
    "GET /admin/doctor": Row(),
    "POST /admin/doctor/examine": form(),
    "GET /admin/doctor/{node}/configuration": Row(),
    "GET /admin/security/export.csv": Row(),
    "GET /admin/security/export.jsonl": Row(),
    "GET /admin/mail": Row(),
    "POST /admin/mail/test": form(to="a@example.org"),
    "POST /admin/mail/again": form(id="none"),
    "POST /admin/users/{name}/act": form(reason="to help them"),
    "POST /acting/end": form(),
    "GET /account/notifications": Row(),
    "POST /account/notifications": form(team="1"),
    "GET /signup/link": Row(),
    "POST /signup/link": Row(form={"email": "a@example.org"}, may=frozenset(), refused=frozenset({403})),
}


def key(url: Url) -> str:
    return f"{url.method} {url.path}"


def test_every_url_has_a_row_and_every_row_a_url() -> None:
    assert {key(url) for url in table()} == set(ROWS)


def test_no_user_can_have_a_name_that_is_an_address() -> None:
    firsts = {url.path.split("/")[1] for url in table()} | {"static"}
    plain = {first for first in firsts if first and "{" not in first}
    assert plain <= names.RESERVED_USERS


class Ground:
    """What is asked about: made anew for each question that changes something."""

    def __init__(self, server: Served) -> None:
        self.server = server
        self.number = 0

    async def fresh(self, url: Url, me: str) -> dict[str, str]:
        """Values for the places in paths and bodies."""
        self.number += 1
        domain = self.server.domain
        project = f"p{self.number}"
        made = await domain.projects.create(
            await self.server.actor("owner"), NewProject(name=project, datacenter="main")
        )
        for person in ("viewer", "member", "ex", "guest"):
            role = "member" if person == "ex" else "viewer" if person == "guest" else person
            await domain.team.set(ROOT, "owner", project, person, role)
        await domain.team.remove(ROOT, "owner", project, "ex")
        values = {"owner": "owner", "name": project, "project": project, "user": "guest", "me": me}
        values |= {
            "fresh": f"fresh{self.number}",
            "environment": "default",
            "revision": "HEAD",
            "act": "fetch",
            "number": "1",
            "path": "a.md",
            "app": "jupyterlab",
            "node": "gone",
            "datacenter": "main",
            "id": "",
            "code": "wrong",
            "backend": "oidc",
        }
        if "{node}" in url.path:
            await self._node("gone")
        if "/team" not in url.path:
            values["user"] = "owner"
        if url.path.startswith("/admin/users/{name}") or (url.method, url.path) == ("DELETE", _USER):
            values["user"] = values["name"] = f"user{self.number}"
            await domain.accounts.create(ROOT, NewUser(name=values["user"], password=PASSWORD))
        if "/settings/{name}" in url.path:
            values["name"] = "sharing.links"
        if url.path == "/people/{name}":
            values["name"] = "owner"
        if "/keys" in url.path:
            await self._key("owner")
            await self._key(me)
        values["id"] = await self._id(url, made.id, project)
        return values

    async def _node(self, name: str) -> None:
        """A node that has joined and is heard, whatever was done to it before."""
        domain = self.server.domain
        await self.server.node(name)

        async def heard() -> bool:
            return domain.nodes.up(name)

        await until(heard, 20, f"{name} is heard")

    async def _key(self, name: str) -> None:
        actor = await self.server.actor(name) if name in SIGNED_IN else None
        if actor is not None and actor.user is not None:
            with contextlib.suppress(Conflict):
                await self.server.domain.keys.add(actor, KEY)

    async def _id(self, url: Url, project_id: str, project: str) -> str:
        domain = self.server.domain
        if "/links" in url.path:
            owner = await self.server.actor("owner")
            return (await domain.shares.create(owner, "owner", project, "a", 1))[0].id
        if "/sessions/" in url.path or "/compute/" in url.path:
            return await self._session(project_id, project)
        if "/schedules" in url.path or "/runs" in url.path:
            schedule = Schedule(id=new_id(), project=project_id, name="n", user="owner", notebook="a.ipynb")
            await domain.store.insert("schedules", schedule.model_dump(mode="json"))
            return schedule.id
        if "/dashboards" in url.path:
            return await self._dashboard(project_id)
        if "/publications" in url.path or "/published" in url.path:
            return await self._publication(project_id)
        if "/jobs/" in url.path:
            job = Job(id=new_id(), kind="none", subject=f"owner/{project}", created_by="owner")
            job.not_before, job.state = 2**50, JobState.QUEUED
            await domain.store.insert("jobs", job.model_dump(mode="json"))
            return job.id
        if ("/invitations/{id}" in url.path and "{owner}" in url.path) or url.path.endswith("/invite/withdraw"):
            return (await domain.teamlinks.create(await self.server.actor("owner"), "owner", project))[0].id
        if "/searches/" in url.path:
            return (await domain.search.save(await self.server.actor("owner"), project)).id
        if "nodes/" in url.path and ("invitations" in url.path or "withdraw" in url.path):
            made = NodeInvitation(id=new_id(), roles=["compute"], datacenter="main", created_by="ada", expires=2**50)
            await domain.store.insert("node_invitations", made.model_dump(mode="json"))
            return made.id
        if "invitations" in url.path:
            await domain.accounts.invite(ROOT)
            return (await domain.accounts.invitations(ROOT))[0][0].id
        login, _ = await domain.accounts.new_token(ROOT, "owner")
        return login.id

    async def _dashboard(self, project_id: str) -> str:
        board = Dashboard(id=new_id(), title="A", kind=Kind.PANEL, path="a.py", user="owner")

        def edit(project: Project) -> None:
            project.dashboards = [board]
            project.watchers = project.watched_by()

        await self.server.domain.projects.edit(project_id, edit)
        return board.id

    async def _publication(self, project_id: str) -> str:
        store, version = self.server.domain.store, Version(number=1, user="owner", files=[PublishedFile(path="a.md")])
        made = Publication(id=new_id(), project=project_id, user="owner", path="a.md", title="A", versions=[version])
        await store.insert("publications", made.model_dump(mode="json"))
        data = base64.b64encode(zlib.compress(b"<p>a")).decode()
        page = PublishedPage(id=f"{made.id}:1:0", publication=made.id, data=data)
        await store.insert("published_pages", page.model_dump(mode="json"))
        return made.id

    async def _session(self, project_id: str, project: str) -> str:
        session = Session(
            id=names.session_id(project_id, "owner", "jupyter"),
            project=project_id,
            slug=f"owner/{project}",
            owner="owner",
            name=project,
            app_server="jupyter",
            app="jupyterlab",
            user="owner",
            started_by="owner",
            datacenter="main",
            node="n1",
            phase=Phase.RUNNING,
        )
        await self.server.domain.store.insert("sessions", session.model_dump(mode="json"))
        return session.id


def expected(url: Url, row: Row, role: str) -> set[int]:
    """The statuses that are right for a role that may not; empty when it may."""
    may = MAY[url.permission] if row.may is None else row.may
    if role in may:
        return set()
    if row.refused is not None:
        return set(row.refused)
    if role == "anonymous" and url.permission is not P.ANYBODY:
        return {401} if url.path.startswith("/api/") else {303}
    about_project = "{owner}" in url.path or "/sessions/" in url.path or "/jobs/" in url.path
    unseen = about_project and url.permission is not P.ADMIN and role in ("stranger", "ex", "staff")
    return {404} if row.hidden or unseen else {403}


async def ask(client: Client, url: Url, row: Row, values: dict[str, str]) -> tuple[int, Mapping[str, str]]:
    path = re.sub(r":[^{}]*}", "}", url.path).format(**values) + row.query
    if row.stream:
        headers = dict(client.headers)
        async with client.http.get(client.url + path, headers=headers, allow_redirects=False) as stream:
            return stream.status, stream.headers
    if row.form is not None:
        data = {name: value.format(**values) for name, value in row.form.items()}
        answer = await client.ask(url.method, path, data={"_": "", **data})
    else:
        filled = {k: v.format(**values) if isinstance(v, str) else v for k, v in (row.json or {}).items()}
        answer = await client.ask(url.method, path, filled if row.json is not None else None)
    return answer.status, answer.headers


def unsafe(headers: Mapping[str, str]) -> list[str]:
    """What an answer lacks of what keeps browsers from running, framing, guessing or telling anything."""
    policy = headers.get("Content-Security-Policy", "")
    rules = {name: set(values) for name, *values in map(str.split, filter(str.strip, policy.split(";")))}
    framed = {"'none'"} if "sandbox" not in rules else {"'self'"}  # published pages stand in a frame of ours
    wanted = {
        "frame-ancestors": rules.get("frame-ancestors") == framed,
        "no script but ours": rules.get("script-src", rules.get("default-src")) in ({"'self'"}, {"'none'"}),
        "no inline style": "sandbox" in rules or rules.get("style-src") == {"'self'"},
        "nothing from elsewhere": all(
            value.startswith("'") or value == "data:"
            for name in rules
            if name != "form-action"
            for value in _sources(rules, name)
        ),
        "nosniff": headers.get("X-Content-Type-Options") == "nosniff",
        "referrer": headers.get("Referrer-Policy") in ("same-origin", "no-referrer"),
    }
    return [what for what, fine in wanted.items() if not fine]


def _sources(rules: dict[str, set[str]], name: str) -> set[str]:
    return rules[name] if name.endswith("-src") else set()


async def _unchanged(client: Client, role: str) -> bool:
    me = await client.get("/api/v1/me")
    if role == "anonymous":
        return me.status == 401
    return me.status == 200 and me.json["csrf"] == client.csrf


def _name(role: str) -> str:
    return {"admin": "ada", "anonymous": "guest"}.get(role, role)


async def client_of(server: Served, role: str) -> Client:
    if role == "anonymous":
        return await server.nobody(origin=server.url, headers={"Accept": "text/html"})
    return await server.browser(_name(role), admin=role == "admin")


@pytest.mark.parametrize("role", ROLES)
async def test_who_may(tmp_path: Path, role: str) -> None:
    async with served(tmp_path) as server:
        await server.node()
        await server.node("gone")
        for person in ("stranger", "viewer", "member", "ex", "owner", "guest", "staff"):
            await server.person(person)
        await server.domain.accounts.update(ROOT, "staff", UserPatch(staff=True))
        ground = Ground(server)
        wrong: list[str] = []
        client = await client_of(server, role)
        for url in table():
            server.domain.accounts.attempts = type(server.domain.accounts.attempts)(1000)
            row = ROWS[key(url)]
            if not await _unchanged(client, role):
                client = await client_of(server, role)  # some of these sign in or out
            status, headers = await ask(client, url, row, await ground.fresh(url, _name(role)))
            wrong += [f"{key(url)}: {status} {text}" for text in unsafe(headers)]
            location = headers.get("Location", "")
            refused = expected(url, row, role)
            led_to_login = location == "/login" or location.startswith("/login?next=")
            led_to_login = led_to_login and url.path not in ("/logout", "/setup", "/login", "/login/code")
            if refused and (status not in refused or (status == 303 and not led_to_login)):
                wrong.append(f"{key(url)}: {status} {location}, not {refused}")
            if not refused and (status in (401, 403, 404, 405, 415, 500) or led_to_login):
                wrong.append(f"{key(url)}: {status} {location}, but {role} may")
        assert not wrong, "\n".join(wrong)
