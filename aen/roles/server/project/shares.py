"""Shares: what is open to people without an account: links to one file or folder, and public projects."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import quote_from_bytes, unquote_to_bytes

from aen import names
from aen.errors import Conflict, Denied, Invalid, NotFound
from aen.links import SHARED
from aen.messages import OpenPublic
from aen.model import now
from aen.model.project import Project
from aen.model.route import ANYONE
from aen.model.session import LIVE, Session
from aen.model.share import Share
from aen.roles.server.changes import change, every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, allows
from aen.store import Query

MOST = 100  # links of one project at a time
_DAY_MS = 24 * 3600 * 1000
_LONGEST = 1000  # bytes of a path
_SEEN_MS = 60_000  # how exactly it is kept when a link was opened
_GONE = "There is nothing at this address, or the link has ended. Ask whoever gave it to you for a new one."


class Shares(Part):
    """The links. They run as who made them: they show nothing that person may not read, and end with their place in the team."""

    async def create(self, actor: Actor, owner: str, name: str, path: str, days: float) -> tuple[Share, str]:
        """A new link and its address, which nobody can find out later. For members. Invalid: the path, how long."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        most = self.domain.settings.value("sharing.link_days")
        if actor.user is None:
            raise Denied("A link shows what a person may read: sign in as one to make it.")
        if not self.domain.settings.value("sharing.links"):
            raise Denied("Links are switched off here (sharing.links). Ask an administrator.")
        if not 0 < days <= most:  # NaN is neither
            raise Invalid(f"A link lives for at most {most} days. Choose how many.")
        wire = path_of(path)
        if len(await self._of(project)) >= MOST:
            raise Conflict(f"{project.slug} has {MOST} links. End one that is not needed any more.")
        secret = secrets.token_urlsafe(24)
        share = Share(
            id=secrets.token_hex(8),
            project=project.id,
            path=wire,
            name=unquote_to_bytes(wire).decode(errors="replace"),
            user=actor.user.id,
            incarnation=actor.user.incarnation,
            hash=hashlib.sha256(secret.encode()).hexdigest(),
            expires=now() + round(days * _DAY_MS),
        )
        stored = Share.model_validate(await self.store.insert("shares", share.model_dump(mode="json")))
        await self._record(actor, "share.created", project, stored)
        return stored, f"{self._origin(project)}/{project.owner}/{project.name}/{SHARED}{share.id}/{secret}/"

    async def of_project(self, actor: Actor, owner: str, name: str) -> list[Share]:
        """The links of a project that have not ended, newest first. For members."""
        return await self._of(await self.domain.projects.allowed(actor, owner, name, Permission.RUN))

    async def revoke(self, actor: Actor, owner: str, name: str, id: str) -> None:
        """End a link: one's own, anybody's for maintainers. NotFound when there is none (any more)."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.CONTROL)
        share = await self.get(id)
        if share is None or share.project != project.id:
            raise NotFound("There is no such link (any more).")
        if share.user != actor.name and not allows(actor, Permission.TEAM, project):
            raise Denied(f"That link is {share.user}'s: they, maintainers and the owner end it.")
        await self.store.delete("shares", share.id)
        await self._record(actor, "share.revoked", project, share)
        await self._close(project, SHARED + share.id)

    async def get(self, id: str) -> Share | None:
        """The link with this id, or None."""
        doc = await self.store.get("shares", id)
        return Share.model_validate(doc) if doc else None

    async def valid(self, id: str, project: Project) -> Share | None:
        """The link, if it opens something now: not ended, and who made it is still a member."""
        share = await self.get(id)
        if share is None or not self.domain.settings.value("sharing.links") or share.expires <= now() or project.going:
            return None
        member = next((one for one in project.team if one.user == share.user), None)
        same = member is not None and member.incarnation in ("", share.incarnation)
        return share if same and share.project == project.id else None

    async def open(self, command: OpenPublic) -> Session:
        """What shows a public project, or what a link is for, started if need be. NotFound says nothing of what there is."""
        if command.app_server.startswith(SHARED):
            return await self._open_link(command)
        page = await self.store.find(
            "projects", Query(equal=(("slug", names.slug(command.owner, command.project)),), limit=1)
        )
        project = Project.model_validate(page.items[0]) if page.items else None
        if project is None or command.app_server != "viewer" or not self.domain.admitting.is_public(project):
            raise NotFound(_GONE)
        account = self.domain.config.sharing.public_account
        return await self.domain.sessions.open_to_anyone(project, command.app_server, account)

    async def _open_link(self, command: OpenPublic) -> Session:
        share = await self.get(command.app_server.removeprefix(SHARED))
        given = hashlib.sha256(command.secret.encode()).hexdigest()
        if share is None or not hmac.compare_digest(given, share.hash):
            raise NotFound(_GONE)
        project = await self.domain.projects.by_id(share.project)
        if project is None or await self.valid(share.id, project) is None:
            raise NotFound(_GONE)
        if now() - share.opened > _SEEN_MS:
            await change(self.store, "shares", Share, share.id, _opened)
        return await self.domain.sessions.open_to_anyone(project, command.app_server, share.user)

    async def forget(self, project_id: str) -> None:
        """The project is deleted: so are its links."""
        async for doc in every(self.store, "shares", Query(equal=(("project", project_id),), sort="created")):
            await self.store.delete("shares", doc["id"])

    async def _of(self, project: Project) -> list[Share]:
        """Those that have not ended; the others are thrown away on this occasion."""
        found = []
        query = Query(equal=(("project", project.id),), sort="created", descending=True)
        async for doc in every(self.store, "shares", query):
            if doc["expires"] > now():
                found.append(Share.model_validate(doc))
            else:
                await self.store.delete("shares", doc["id"])
        return found

    async def _close(self, project: Project, app_server: str) -> None:
        doc = await self.store.get("sessions", names.session_id(project.id, ANYONE, app_server))
        session = Session.model_validate(doc) if doc else None
        if session is not None and session.phase in LIVE:
            self.domain.sessions.routes.drop(session.id, session.generation, session.datacenter)
            self.domain.sessions.dispatch.end_soon(session, "the link has ended")

    def _origin(self, project: Project) -> str:
        center = self.domain.nodes.datacenter(project.datacenter)
        if center is None:
            raise Conflict("The project's data center is not known yet. Try again in a moment.", retry_after=5)
        return center.gateway_url.replace("{project}", names.host_label(project.owner, project.name))

    async def _record(self, actor: Actor, act: str, project: Project, share: Share) -> None:
        await self.domain.activity.record(
            actor, act, project.slug, project=project.id, who=share.user, detail=share.name, security=True
        )


def _opened(share: Share) -> None:
    share.opened = now()


def path_of(text: str) -> str:
    """A path below the project, in its plain percent-encoded form. Raises Invalid."""
    path = unquote_to_bytes(text).strip(b"/")
    parts = path.split(b"/")
    if not path or len(path) > _LONGEST or b"\0" in path:
        raise Invalid("Say which file or folder of the project, as data/results.csv.")
    if any(not part or part.startswith(b".") for part in parts):
        raise Invalid("Hidden files (names that begin with a dot) can't be shared by a link.")
    return quote_from_bytes(path, safe="/")
