"""Frame: what every page needs besides its own context: who is signed in, the banners, the notice of what was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from aen.languages import N_, said
from aen.languages import gettext as _
from aen.roles.server.domain import DOMAIN, Domain
from aen.roles.server.permissions import ACTOR, Actor

#: What a page says after a form was sent and the browser was led on: `?done=<key>`. Constant text: nothing is reflected.
NOTICES = {
    "saved": N_("Saved."),
    "password": N_("Your password is changed. All other logins and your API tokens have ended."),
    "account-deleted": N_("Your account is deleted."),
    "login-ended": N_("That login has ended."),
    "token-ended": N_("The token is withdrawn: scripts that use it stop working now."),
    "signed-out": N_("You are signed out."),
    "signed-out-everywhere": N_("You are signed out everywhere."),
    "link-ended": N_("The link has ended: within seconds it shows nothing any more."),
    "session-again": N_("The session starts anew."),
    "measured": N_("Measured."),
    "member-set": N_("The team is changed; files and open pages follow within seconds."),
    "member-removed": N_("Removed from the team. Their sessions here have ended."),
    "environment-active": N_("The active environment is chosen. Apps that run already follow at their next start."),
    "committed": N_("Committed: it is a revision now."),
    "restored": N_("The files are as they were then. Nothing is committed: look, then commit, or go back again."),
    "renamed": N_("The project has its new name."),
    "transferred": N_("The project has a new owner."),
    "deleting": N_("The project is being deleted."),
    "deployed": N_("Deployed. It starts when somebody opens it."),
    "taken-down": N_("The dashboard is taken down: its address shows nothing any more."),
    "discarded": N_("The project is deleted. You can still have it back."),
    "project-restored": N_("The project is back. Nothing runs in it: start it when you need it."),
    "left": N_("You have left the project."),
    "session-stopped": N_("The session is being stopped."),
    "user-created": N_("The account is made."),
    "user-saved": N_("The account is changed."),
    "user-locked": N_("The account is locked: logins and open pages of that person end within seconds."),
    "user-unlocked": N_("The account is unlocked."),
    "user-removed": N_("The account is removed."),
    "invitation-withdrawn": N_("The invitation is withdrawn."),
    "node-forgotten": N_("The node's record is dropped."),
    "node-draining": N_("Nothing new is started on that node; what runs there goes on."),
    "node-back": N_("That node takes new work again."),
    "node-removed": N_("The node is removed: what it was given counts for nothing any more."),
    "datacenter-added": N_("The data center is there. Next, invite its gateway."),
    "datacenter-removed": N_("The data center is removed."),
    "job-cancelled": N_("The job is being cancelled."),
    "job-again": N_("The job is tried again."),
    "job-priority": N_("The job has its new priority."),
    "setting-back": N_("As the configuration says again."),
    "mail-again": N_("The mail is tried again now."),
    "faults-read": N_("Marked as read."),
    "nodes-asked": N_("The nodes examine themselves; what they find is here within seconds."),
    "sessions-stopped": N_("The sessions are being stopped."),
    "project-stopped": N_("The project is being stopped."),
    "acting-ended": N_("You are yourself again."),
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
        "picture": request.config_dict[DOMAIN].pictures.address,
        "theme": user.theme if user is not None else "system",
        "notice": said(NOTICES.get(request.query.get("done", ""), "")),
    }


async def called(request: web.Request, names: Iterable[str]) -> dict[str, Any]:
    """The context by which templates call these people by their names: `called("ada")` is Ada Lovelace."""
    return {"known_as": await request.config_dict[DOMAIN].accounts.by_name(names)}


def site_wide(domain: Domain, actor: Actor | None) -> dict[str, Any]:
    """What an administrator tells everybody, who acts as whom, and how many faults no administrator has looked at."""
    login = actor.login if actor is not None else None
    return {
        "announcement": domain.settings.announcement(),
        "acting": login if login is not None and login.acting else None,
        "unread": domain.faults.unread if actor is not None and actor.staff else 0,
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
        "building": _("{node} is getting ready: {message}", node=slowest.id, message=said(slowest.message))
        if slowest
        else "",
        "progress": slowest.progress if slowest else 1.0,
    }
