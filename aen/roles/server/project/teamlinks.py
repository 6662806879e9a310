"""Team links: invitations into a team by a link. Who has an account and the link joins, as long as its maker may invite."""

from __future__ import annotations

import hashlib
import secrets
from typing import Literal

from aen.errors import Conflict, Denied, Invalid, NotFound
from aen.model import now
from aen.model.project import Project, Role
from aen.model.teamlink import TeamLink
from aen.roles.server.changes import change
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, allows, check
from aen.store import Query

_MOST = 20  # open links of one project
_DAY = 24 * 3600 * 1000
_GONE = "This invitation has expired, was withdrawn, or is wrong. Ask for a new one."


class TeamLinks(Part):
    """The links. A link gives no more than its maker may give at the moment when it is used."""

    async def create(
        self,
        actor: Actor,
        owner: str,
        name: str,
        role: Literal["viewer", "member"] = "member",
        days: float = 7,
    ) -> tuple[TeamLink, str]:
        """A new link and its code, which is told once. Invalid (days), Conflict (20 are the most)."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.TEAM)
        if actor.user is None:
            raise Denied("Only people invite into a team.")
        if not 0 < days <= 30:
            raise Invalid("An invitation by link is good for more than 0 and at most 30 days.")
        if role not in ("viewer", "member"):
            raise Invalid("By a link people become viewers or members. Make them maintainers afterwards.")
        if len(await self._of(project.id)) >= _MOST:
            raise Conflict(f"There are {_MOST} invitations already: withdraw one first.")
        code = secrets.token_urlsafe(24)
        link = TeamLink(
            id=_digest(code),
            project=project.id,
            role=Role(role),
            created_by=actor.user.id,
            expires=now() + int(days * _DAY),
        )
        await self.store.insert("team_links", link.model_dump(mode="json"))
        await self.domain.activity.record(
            actor, "team.link_made", project.slug, project=project.id, detail=role, security=True
        )
        return link, code

    async def open_ones(self, actor: Actor, owner: str, name: str) -> list[TeamLink]:
        """Links that are open, for who may change the team."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.TEAM)
        return await self._of(project.id)

    async def withdraw(self, actor: Actor, owner: str, name: str, id: str) -> None:
        """End a link. NotFound."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.TEAM)
        if id not in [link.id for link in await self._of(project.id)]:
            raise NotFound("There is no such invitation; it may have expired.")
        await self.store.delete("team_links", id)
        await self.domain.activity.record(actor, "team.link_withdrawn", project.slug, project=project.id, security=True)

    async def look(self, actor: Actor, code: str) -> tuple[TeamLink, Project]:
        """What a link leads into. NotFound says nothing of what there is."""
        check(actor, Permission.SIGNED_IN)
        doc = await self.store.get("team_links", _digest(code)) if 0 < len(code) <= 100 else None
        link = TeamLink.model_validate(doc) if doc else None
        project = await self.domain.projects.by_id(link.project) if link is not None and link.expires > now() else None
        if link is None or project is None or project.going:
            raise NotFound(_GONE)
        inviter = await self.domain.accounts.find(link.created_by)
        if inviter is None or inviter.locked or not allows(Actor(inviter), Permission.TEAM, project):
            raise NotFound(_GONE)
        return link, project

    async def join(self, actor: Actor, code: str) -> Project:
        """Become what the link says. Who is in the team already stays what they are."""
        check(actor, Permission.ACCOUNT)
        if actor.user is None:
            raise Denied("Only people join a team.")
        link, project = await self.look(actor, code)
        if project.role_of(actor.user.id) is not None:
            return project
        inviter = await self.domain.accounts.find(link.created_by)
        joined = await self.domain.team.set(Actor(inviter), project.owner, project.name, actor.user.id, link.role)

        def count(link: TeamLink) -> None:
            link.used += 1

        await change(self.store, "team_links", TeamLink, link.id, count)
        await self.domain.activity.record(
            actor, "team.joined", project.slug, project=project.id, detail=link.role, security=True
        )
        return joined

    async def _of(self, project: str) -> list[TeamLink]:
        query = Query(equal=(("project", project),), sort="expires", low=now(), limit=_MOST + 1)
        return [TeamLink.model_validate(doc) for doc in (await self.store.find("team_links", query)).items]


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()
