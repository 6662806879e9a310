"""Overseeing: everybody's projects and sessions, found and sorted for administrators, and many sessions stopped at once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aen.errors import AenError, Invalid
from aen.model.project import Project, ProjectState
from aen.model.session import LIVE, Phase, Session
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.store import Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

PROJECT_SORTS = {
    "updated": True,
    "slug": False,
    "size": True,
    "stars": True,
}  # by what; whether the largest comes first
MOST_AT_ONCE = 200
_OWNED_SECONDS, _MOST_OWNED = 60.0, 10_000
_ROUNDS = 20  # pages that a filter without an index of its own looks through for one page


@dataclass(frozen=True)
class SessionFilter:
    """Which sessions; what is empty counts for all."""

    phase: str = ""
    user: str = ""
    node: str = ""


class Overseeing(Part):
    """Lists that only administrators see. The store sorts and pages: 50,000 people and 20,000 projects are fine."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._owned: OrderedDict[str, tuple[float, int]] = OrderedDict()  # when it was counted, and how many

    async def owned(self, actor: Actor, names: Sequence[str]) -> dict[str, int]:
        """How many projects each of these people owns, as counted within the last minute."""
        check(actor, Permission.ADMIN)
        moment = time.monotonic()
        missing = [name for name in names if moment - self._owned.get(name, (-_OWNED_SECONDS, 0))[0] >= _OWNED_SECONDS]
        counts = await asyncio.gather(*(self.store.count("projects", (("owner", name),)) for name in missing))
        for name, count in zip(missing, counts, strict=True):
            self._owned[name] = (moment, count)
            self._owned.move_to_end(name)
        found = {name: self._owned[name][1] for name in names}
        while len(self._owned) > _MOST_OWNED:
            self._owned.popitem(last=False)
        return found

    async def projects(
        self, actor: Actor, search: str = "", sort: str = "updated", state: str = "", limit: int = 50, cursor: str = ""
    ) -> tuple[list[Project], str, int]:
        """One page of projects, the next cursor, and how many there are (in that state). Invalid."""
        check(actor, Permission.ADMIN)
        if sort not in PROJECT_SORTS or (state and state not in list(ProjectState)):
            raise Invalid(f"Sort by {', '.join(PROJECT_SORTS)}; ask for a state of projects.")
        equal = (("state", state),) if state else ()
        total = await self.store.count("projects", equal)
        if search.strip():
            found = await self.store.search("projects", search[:200].lower(), equal[0] if equal else None, limit)
            return [self.domain.seen.read(Project, doc) for doc in found], "", total
        by = "updated" if equal else sort
        down = PROJECT_SORTS[by]
        page = await self.store.find(
            "projects", Query(equal, sort=by, descending=down, limit=limit, cursor=cursor, shared=True)
        )
        return [self.domain.seen.read(Project, doc) for doc in page.items], page.next, total

    async def sessions(
        self, actor: Actor, wanted: SessionFilter, limit: int = 50, cursor: str = ""
    ) -> tuple[list[Session], str]:
        """One page of sessions, newest first where no phase or node is asked for, and the next cursor."""
        check(actor, Permission.ADMIN)
        found: list[Session] = []
        for _ in range(_ROUNDS):
            page = await self.store.find("sessions", _query(wanted, limit, cursor))
            sessions = [Session.model_validate(doc) for doc in page.items]
            found += [session for session in sessions if _fits(session, wanted)]
            cursor = page.next
            if not cursor or len(found) >= limit:
                break
        return found, cursor

    async def stop(self, actor: Actor, ids: Sequence[str]) -> tuple[int, list[str]]:
        """Stop these sessions: how many were told to, and why others were not (they may have ended by themselves)."""
        check(actor, Permission.ADMIN)
        if not ids:
            raise Invalid("Choose the sessions to stop first.")
        if len(ids) > MOST_AT_ONCE:
            raise Invalid(f"{MOST_AT_ONCE} sessions are the most that can be stopped at once.")
        told, problems = 0, []
        for id in dict.fromkeys(ids):
            try:
                await self.domain.sessions.stop(actor, id, f"stopped by the administrator {actor.name}")
                told += 1
            except AenError as error:
                problems.append(error.message)
        return told, problems


def _query(wanted: SessionFilter, limit: int, cursor: str) -> Query:
    """The query on the index that helps most."""
    if wanted.user:
        return Query((("user", wanted.user),), sort="created", descending=True, limit=limit, cursor=cursor)
    if wanted.node and wanted.phase:
        return Query((("node", wanted.node), ("phase", wanted.phase)), limit=limit, cursor=cursor)
    if wanted.phase and wanted.phase != "live":
        return Query((("phase", wanted.phase),), limit=limit, cursor=cursor)
    return Query(sort="created", descending=True, limit=limit, cursor=cursor)


def _fits(session: Session, wanted: SessionFilter) -> bool:
    if wanted.phase == "live" and session.phase not in LIVE:
        return False
    if wanted.phase and wanted.phase != "live" and session.phase is not Phase(wanted.phase):
        return False
    return wanted.node in ("", session.node) and wanted.user in ("", session.user)
