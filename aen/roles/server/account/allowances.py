"""Allowances: how much one person may take: projects, sessions at a time, space, and what a session of theirs gets."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from aen.errors import Conflict
from aen.languages import N_, size
from aen.model.session import LIVE, Session
from aen.model.user import Allowance, User
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.roles.server.project.moves import RENAME
from aen.roles.server.several import alone
from aen.store import Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain


class Allowances(Part):
    """What an administrator said of a person comes before what is said for everybody.

    Counting and adding are held together for each person, over all servers: two requests at once pass no limit.
    """

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._busy: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def set(self, actor: Actor, name: str, wanted: Allowance) -> User:
        """Say how much a person may take, for administrators; what is 0 is as for everybody. What runs goes on. NotFound."""
        check(actor, Permission.ADMIN)
        before = await self.domain.accounts.get(actor, name)
        if before.allowance == wanted:
            return before

        def edit(user: User) -> None:
            user.allowance = wanted

        changed = await self.domain.accounts.change_user(name, edit)
        told = in_words(wanted) or N_("as for everybody")
        await self.domain.activity.record(actor, "user.allowed", name, who=name, detail=told, security=True)
        return changed

    @asynccontextmanager
    async def room_for_project(self, owner: str) -> AsyncIterator[None]:
        """Held while this person gets one project more. Raises Conflict when they own as many as they may."""
        most = await self._most(owner, "projects")
        if not most:
            yield
            return
        async with self._one_at_a_time(f"projects:{owner}"):
            if await self._projects(owner) >= most:
                raise Conflict(
                    f"{owner} may own no more projects than now ({most}). Delete one, or ask an administrator for more."
                )
            yield

    @asynccontextmanager
    async def room_for_session(self, name: str) -> AsyncIterator[Callable[[], Awaitable[None]] | None]:
        """Held while this person (empty: nobody's session) gets one more; gives what raises Conflict when as many are alive
        as may be, or None without a limit.
        """
        most = await self._most(name, "sessions") if name else 0
        if not most:
            yield None
            return
        async with self._one_at_a_time(f"sessions:{name}"):
            yield lambda: self._check_sessions(name, most)

    @asynccontextmanager
    async def _one_at_a_time(self, what: str) -> AsyncIterator[None]:
        """Here by a lock; over several servers by a claim in the store, too."""
        lock = self._busy.setdefault(what, asyncio.Lock())
        async with lock, nullcontext() if self.domain.company.alone else alone(self.store, what):
            yield

    async def _projects(self, owner: str) -> int:
        """How many projects a person owns, those that are just being passed on to them too."""
        owned = await self.store.count("projects", (("owner", owner),))
        moving = every(self.store, "projects", Query((("pending", RENAME),)))
        return owned + len([doc async for doc in moving if doc["passing"] == owner])

    async def _check_sessions(self, name: str, most: int) -> None:
        alive: list[str] = []
        async for doc in every(self.store, "sessions", Query((("user", name),), sort="created")):
            if doc["phase"] in LIVE:
                alive.append(f"{self.domain.sessions.title(Session.model_validate(doc))} in {doc['slug']}")
        if len(alive) >= most:
            shown = ", ".join(alive[:5])
            raise Conflict(f"{name} may have no more sessions at a time than now ({most}). Stop one first: {shown}.")

    def limits(self, user: User | None) -> dict[str, int]:
        """What a session of this person may take, where that is said of them, in the words of `AppSpec.limits`."""
        own = user.allowance if user is not None else Allowance()
        wanted = {"memory_bytes": own.memory, "cpu_millis": round(own.cpus * 1000)}
        return {name: most for name, most in wanted.items() if most}

    async def _most(self, name: str, what: str) -> int:
        user = await self.domain.accounts.find(name)
        own = getattr(user.allowance, what) if user is not None else 0
        return int(own or self.domain.settings.value(f"people.{what}"))


def in_words(allowance: Allowance) -> str:
    """What differs from what everybody may, for the log."""
    sizes = {name: size(most) for name in ("space", "memory") if (most := getattr(allowance, name))}
    counts = {name: f"{most:g}" for name in ("projects", "sessions", "cpus") if (most := getattr(allowance, name))}
    return ", ".join(f"{name} {most}" for name, most in (counts | sizes).items())
