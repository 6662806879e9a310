"""Tags: how many projects bear each tag, of those that the asker may see."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

from aen.model.project import ProjectState
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.store import Doc, Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

_FRESH_SECONDS = 60.0
MOST_OWN = 500  # projects of one person that are looked through


class Tags(Part):
    """Tags with counts. Those of public projects are counted for everybody once a minute, one's own each time."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._public: Counter[str] = Counter()
        self._counted = 0.0  # monotonic; 0: never
        self._counting = asyncio.Lock()

    async def counts(
        self, actor: Actor, beginning: str = "", limit: int = 30, own: list[Doc] | None = None
    ) -> list[tuple[str, int]]:
        """The most used tags that begin so, of what the actor may see; ties by name. `own`: `of_person`, if that is known."""
        check(actor, Permission.SIGNED_IN)
        counted = await self._of_public() + _of_private(await self.of_person(actor) if own is None else own)
        start = beginning.strip().lower()
        found = [(tag, number) for tag, number in counted.items() if tag.startswith(start)]
        return sorted(found, key=lambda one: (-one[1], one[0]))[:limit]

    async def _of_public(self) -> Counter[str]:
        if self._counted and time.monotonic() - self._counted < _FRESH_SECONDS:
            return self._public
        async with self._counting:
            if self._counted and time.monotonic() - self._counted < _FRESH_SECONDS:
                return self._public
            query = Query(equal=(("visibility", "public"),), sort="updated", limit=500)
            found: Counter[str] = Counter()
            async for doc in every(self.store, "projects", query):
                found.update(_tags_of(doc))
            self._public, self._counted = found, time.monotonic()
        return self._public

    async def of_person(self, actor: Actor) -> list[Doc]:
        """The projects whose team the actor is in, changed last first, as the store has them; only to be looked at."""
        query = Query(equal=(("members", actor.name),), sort="updated", descending=True, limit=MOST_OWN, shared=True)
        return (await self.store.find("projects", query)).items

    def forget(self) -> None:
        """Count anew when next asked: what was public is not any more."""
        self._counted = 0.0


def _of_private(docs: list[Doc]) -> Counter[str]:
    """Nobody outside their teams may learn of the tags of private projects, not even the number."""
    found: Counter[str] = Counter()
    for doc in docs:
        if doc["visibility"] != "public":
            found.update(_tags_of(doc))
    return found


def _tags_of(doc: Doc) -> list[str]:
    return [] if doc.get("ends") or doc["state"] == ProjectState.DELETING.value else list(doc["tags"])
