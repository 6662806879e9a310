"""Frame: what every page needs besides its own context: who is signed in, the banners, the notice of what was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from aen.roles.server.domain import DOMAIN, Domain
from aen.roles.server.permissions import ACTOR, Actor

#: What a page says after a form was sent and the browser was led on: `?done=<key>`. Constant text: nothing is reflected.
NOTICES = {
    "saved": "Saved.",
    "password": "Your password is changed. All other logins and your API tokens have ended.",
    "login-ended": "That login has ended.",
    "token-ended": "The token is withdrawn: scripts that use it stop working now.",
    "signed-out": "You are signed out.",
    "signed-out-everywhere": "You are signed out everywhere.",
    "link-ended": "The link has ended: within seconds it shows nothing any more.",
    "session-again": "The session starts anew.",
    "measured": "Measured.",
    "member-set": "The team is changed; files and open pages follow within seconds.",
    "member-removed": "Removed from the team. Their sessions here have ended.",
    "environment-active": "The active environment is chosen. Apps that run already follow at their next start.",
    "renamed": "The project has its new name.",
    "transferred": "The project has a new owner.",
    "deleting": "The project is being deleted.",
    "left": "You have left the project.",
    "session-stopped": "The session is being stopped.",
    "user-created": "The account is made.",
    "user-saved": "The account is changed.",
    "user-locked": "The account is locked: logins and open pages of that person end within seconds.",
    "user-unlocked": "The account is unlocked.",
    "user-removed": "The account is removed.",
    "invitation-withdrawn": "The invitation is withdrawn.",
    "node-forgotten": "The node's record is dropped.",
    "node-draining": "Nothing new is started on that node; what runs there goes on.",
    "node-back": "That node takes new work again.",
    "node-removed": "The node is removed: what it was given counts for nothing any more.",
    "datacenter-added": "The data center is there. Next, invite its gateway.",
    "datacenter-removed": "The data center is removed.",
    "job-cancelled": "The job is being cancelled.",
    "job-again": "The job is tried again.",
    "job-priority": "The job has its new priority.",
    "setting-back": "As the configuration says again.",
    "mail-again": "The mail is tried again now.",
    "faults-read": "Marked as read.",
    "sessions-stopped": "The sessions are being stopped.",
    "project-stopped": "The project is being stopped.",
    "acting-ended": "You are yourself again.",
}


def frame(request: web.Request) -> Mapping[str, Any]:
    """The context of base.html. Cheap: it reads memory only."""
    actor = request.get(ACTOR)
    user = actor.user if actor is not None else None
    login = actor.login if actor is not None else None
    return {
        "me": user,
        "csrf": login.csrf if login is not None else "",
        "banner": banner(request.config_dict[DOMAIN]) if user is not None else None,
        **site_wide(request.config_dict[DOMAIN], actor),
        "theme": user.theme if user is not None else "system",
        "notice": NOTICES.get(request.query.get("done", ""), ""),
    }


def site_wide(domain: Domain, actor: Actor | None) -> dict[str, Any]:
    """What an administrator tells everybody, who acts as whom, and how many faults no administrator has looked at."""
    login = actor.login if actor is not None else None
    return {
        "announcement": domain.settings.announcement(),
        "acting": login if login is not None and login.acting else None,
        "unread": domain.faults.unread if actor is not None and actor.admin else 0,
    }


def banner(domain: Domain) -> dict[str, Any] | None:
    """What everybody should know now: nodes that are still getting ready, apps that are not isolated."""
    nodes = [node for node in domain.nodes.list() if "compute" in node.roles and domain.nodes.up(node.id)]
    building = [node for node in nodes if not node.ready]
    evaluation = not domain.nodes.isolated()
    if not building and not evaluation:
        return None
    slowest = min(building, key=lambda node: node.progress, default=None)
    return {
        "evaluation": evaluation,
        "building": f"{slowest.id} is getting ready: {slowest.message}" if slowest else "",
        "progress": slowest.progress if slowest else 1.0,
    }
