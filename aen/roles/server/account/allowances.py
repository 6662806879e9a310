"""Allowances: how much one person may take: projects, sessions at a time, space, and what a session of theirs gets."""

from __future__ import annotations

from aen.errors import Conflict
from aen.model.session import LIVE
from aen.model.user import Allowance, User
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.store import Query
from aen.web.filters import size


class Allowances(Part):
    """What an administrator said of a person comes before what is said for everybody. Two requests at once may pass one too many."""

    async def set(self, actor: Actor, name: str, wanted: Allowance) -> User:
        """Say how much a person may take, for administrators; what is 0 is as for everybody. What runs goes on. NotFound."""
        check(actor, Permission.ADMIN)
        before = await self.domain.accounts.get(actor, name)
        if before.allowance == wanted:
            return before

        def edit(user: User) -> None:
            user.allowance = wanted

        changed = await self.domain.accounts.change_user(name, edit)
        told = in_words(wanted) or "as for everybody"
        await self.domain.activity.record(actor, "user.allowed", name, who=name, detail=told, security=True)
        return changed

    async def check_projects(self, owner: str) -> None:
        """Raises Conflict when this person owns as many projects as they may."""
        most = await self._most(owner, "projects")
        if most and await self.store.count("projects", (("owner", owner),)) >= most:
            raise Conflict(
                f"{owner} may own no more projects than now ({most}). Delete one, or ask an administrator for more."
            )

    async def check_sessions(self, name: str) -> None:
        """Raises Conflict when as many sessions of this person are alive as may be."""
        most = await self._most(name, "sessions")
        if not most:
            return
        alive: list[str] = []
        async for doc in every(self.store, "sessions", Query((("user", name),), sort="created")):
            if doc["phase"] in LIVE:
                alive.append(f"{doc['app']} in {doc['slug']}")
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
