"""Tags: how many projects bear each tag, of those that the asker may see."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from aen.messages import ServerTold
from aen.model.project import Project, ProjectState, Visibility
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service
from aen.store import Doc, Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

_FRESH_SECONDS = 60.0
_TOPIC = "tags"
MOST_OWN = 500  # projects of one person that are looked through


class Tags(Part):
    """Tags with counts. Those of public projects are counted for everybody once a minute, and kept true by what is changed here;
    one's own each time."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._of: dict[str, tuple[str, ...]] = {}  # public projects by their id
        self._public: Counter[str] = Counter()
        self._counted = 0.0  # monotonic; 0: never
        self._counting = asyncio.Lock()
        self._meanwhile: dict[str, tuple[str, ...]] = {}  # what was changed while all were counted

    async def begin(self, service: Service) -> None:
        """See Part."""
        self.domain.company.hear("changed", self._changed_elsewhere)

    def note(self, project: Project) -> None:
        """It is another project now: who looks next is told nothing of what it was."""
        public = project.visibility is Visibility.PUBLIC and not project.going
        tags = tuple(map(sys.intern, project.tags)) if public else ()
        if tags != self._of.get(project.id, ()):
            self.domain.company.tell("changed", _TOPIC, project.id)
        self._put(project.id, tags)

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
            self._meanwhile = {}
            query = Query(equal=(("visibility", "public"),), sort="updated", limit=500)
            found = {doc["id"]: _tags_of(doc) async for doc in every(self.store, "projects", query)}
            self._of = {id: tags for id, tags in (found | self._meanwhile).items() if tags}
            self._public = Counter(tag for tags in self._of.values() for tag in tags)
            self._counted = time.monotonic()
        return self._public

    def _put(self, id: str, tags: tuple[str, ...]) -> None:
        if self._counting.locked():
            self._meanwhile[id] = tags
        for tag in self._of.pop(id, ()):
            self._public[tag] -= 1
            if self._public[tag] <= 0:
                del self._public[tag]
        if tags:
            self._of[id] = tags
            self._public.update(tags)

    def _changed_elsewhere(self, event: ServerTold) -> None:
        """Nothing of a project that another server changed is told until all are counted again."""
        if event.topic == _TOPIC:
            self._put(event.kind, ())
        elif not event.topic:
            self._counted = 0.0

    async def of_person(self, actor: Actor) -> list[Doc]:
        """The projects whose team the actor is in, changed last first, as the store has them; only to be looked at."""
        query = Query(equal=(("members", actor.name),), sort="updated", descending=True, limit=MOST_OWN, shared=True)
        return (await self.store.find("projects", query)).items


def _of_private(docs: list[Doc]) -> Counter[str]:
    """Nobody outside their teams may learn of the tags of private projects, not even the number."""
    found: Counter[str] = Counter()
    for doc in docs:
        if doc["visibility"] != "public":
            found.update(_tags_of(doc))
    return found


def _tags_of(doc: Doc) -> tuple[str, ...]:
    return () if doc.get("ends") or doc["state"] == ProjectState.DELETING.value else tuple(map(sys.intern, doc["tags"]))
