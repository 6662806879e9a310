"""Activity: who did what, for people's own log, the project's page and the security log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from aen.model import new_id
from aen.model.activity import Activity
from aen.model.project import Project
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.store import Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

LONGEST = 200  # characters of any text kept: a huge user name must not fill the disk


class ActivityLog(Part):
    """The log of acts. `listeners` are told of each record once it is stored; they must not wait or raise."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self.listeners: list[Callable[[Activity], None]] = []

    async def record(
        self,
        actor: Actor | None,
        act: str,
        object: str = "",
        *,
        project: str = "",
        who: str = "",
        detail: str = "",
        address: str = "",
        security: bool = False,
    ) -> None:
        """Keep that `actor` (None: AEN itself) did `act` (past tense, dotted) to `object`.

        `who` is the person acted upon (default: the actor); `project` is a project id; `security` puts it into the security log.
        """
        name = actor.name if actor is not None else "aen"
        acting = actor.login.acting if actor is not None and actor.login is not None else ""
        entry = Activity(
            id=new_id(),
            who=_short(who or name),
            actor=_short(acting or name),
            act=act,
            object=_short(object),
            project=project,
            detail=_short(detail),
            address=_short(address.removeprefix("::ffff:")),  # IPv4 at a listener on all interfaces
            security=security,
        )
        await self.store.insert("activity", entry.model_dump(mode="json"))
        for listener in self.listeners:
            listener(entry)

    async def of_user(self, actor: Actor, user: str, limit: int = 50, cursor: str = "") -> tuple[list[Activity], str]:
        """What was done by and to `user`, newest first: for themselves and administrators."""
        if actor.name != user:
            check(actor, Permission.ADMIN)
        return await self._find((("who", user),), limit, cursor, actor.since if actor.name == user else None)

    async def of_project(
        self, actor: Actor, owner: str, name: str, limit: int = 50, cursor: str = ""
    ) -> tuple[list[Activity], str]:
        """What happened in a project, newest first: for its team and administrators; others get nothing."""
        return await self.of(actor, await self.domain.projects.get(actor, owner, name), limit, cursor)

    async def of(self, actor: Actor, project: Project, limit: int = 50, cursor: str = "") -> tuple[list[Activity], str]:
        """The same of a project that the actor was given."""
        if not actor.admin and project.role_of(actor.name) is None:
            return [], ""  # whoever only looks at a public project is told nothing of its people
        return await self._find((("project", project.id),), limit, cursor)

    async def security(self, actor: Actor, limit: int = 50, cursor: str = "") -> tuple[list[Activity], str]:
        """The security log, newest first: for administrators."""
        check(actor, Permission.ADMIN)
        return await self._find((("security", True),), limit, cursor)

    async def _find(
        self, equal: tuple[tuple[str, object], ...], limit: int, cursor: str, low: int | None = None
    ) -> tuple[list[Activity], str]:
        query = Query(equal=equal, low=low, sort="at", descending=True, limit=limit, cursor=cursor, shared=True)
        page = await self.store.find("activity", query)
        return [self.domain.seen.read(Activity, doc) for doc in page.items], page.next


def _short(text: str) -> str:
    clean = "".join(c if c.isprintable() else "�" for c in text[: LONGEST + 1])
    return clean if len(text) <= LONGEST else clean[:LONGEST] + "…"
