"""Listing: projects a person may see, newest change first, in pages; search with rights."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any

from aen.errors import Invalid
from aen.model.project import Project
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, may_see
from aen.roles.server.project.tags import MOST_OWN
from aen.store import Doc, Query

Equal = tuple[tuple[str, Any], ...]
Place = tuple[int, str]  # where a project stands in the order: its last change and its id
_FOUND = 200  # the best that a search looks through


class Listing(Part):
    """Lists of projects. Only what the actor may see ever leaves here."""

    async def page(
        self, actor: Actor, scope: str, tag: str, search: str, limit: int, cursor: str, own: list[Doc] | None = None
    ) -> tuple[list[Project], str]:
        """One page of a scope (see `Projects.list`) and the next cursor."""
        wanted = _in_scope(actor, scope, tag.strip().lower())
        if search.strip():
            return await self._found(
                actor, search, wanted, limit, most=limit if actor.admin and scope == "all" and not tag else _FOUND
            ), ""
        if scope == "starred":
            return await self._starred(actor, wanted, limit, cursor)
        if own is not None and len(own) < MOST_OWN and scope in ("mine", "team"):
            return self._of(own, wanted, limit, cursor)
        streams: list[Equal] = [(("tags", tag.strip().lower()),)] if tag.strip() else _streams(actor, scope)
        return await self._merged(streams, wanted, limit, _place(cursor))

    async def tags(self, actor: Actor, limit: int) -> tuple[tuple[str, int], ...]:
        """The most used tags of what the actor may see."""
        projects, _ = await self._merged(
            _streams(actor, "all"), lambda project: may_see(actor, project) and not project.going, 200, None
        )
        return tuple(Counter(tag for project in projects for tag in project.tags).most_common(limit))

    async def _found(
        self, actor: Actor, search: str, wanted: Callable[[Project], bool], limit: int, most: int
    ) -> list[Project]:
        """The best `limit` that are wanted, of the best `most` that the words find."""
        visible: list[tuple[str, Any] | None] = [("members", actor.name), ("visibility", "public")]
        found: dict[str, Project] = {}
        for rights in [None] if actor.admin else visible:
            for doc in await self.store.search("projects", search[:200].lower(), rights, most):
                if len(found) == limit:
                    break
                if doc["id"] not in found and wanted(project := self.domain.seen.read(Project, doc)):
                    found[project.id] = project
        return list(found.values())

    async def _starred(
        self, actor: Actor, wanted: Callable[[Project], bool], limit: int, cursor: str
    ) -> tuple[list[Project], str]:
        ids = actor.user.starred if actor.user else []
        return self._of(await self.store.get_many("projects", ids, shared=True), wanted, limit, cursor)

    def _of(
        self, docs: list[Doc], wanted: Callable[[Project], bool], limit: int, cursor: str
    ) -> tuple[list[Project], str]:
        """One page of what is known already."""
        projects, after = [self.domain.seen.read(Project, doc) for doc in docs], _place(cursor)
        rest = sorted((p for p in projects if wanted(p) and _follows(p, after)), key=_rank, reverse=True)
        return rest[:limit], _cursor(rest, limit)

    async def _merged(
        self, streams: list[Equal], wanted: Callable[[Project], bool], limit: int, after: Place | None
    ) -> tuple[list[Project], str]:
        """The first of several lists as one list: each is sorted already, a project in two of them comes once."""
        sources = [self._stream(equal, wanted, after, min(limit + 1, 100)) for equal in streams]
        heads = [await anext(source, None) for source in sources]
        taken: dict[str, Project] = {}
        while len(taken) <= limit and any(heads):
            best = max((project for project in heads if project), key=_rank)
            taken.setdefault(best.id, best)
            for at, project in enumerate(heads):
                if project and project.id == best.id:
                    heads[at] = await anext(sources[at], None)
        for source in sources:
            await source.aclose()
        return list(taken.values())[:limit], _cursor(list(taken.values()), limit)

    async def _stream(
        self, equal: Equal, wanted: Callable[[Project], bool], after: Place | None, at_once: int
    ) -> AsyncGenerator[Project, None]:
        query = Query(
            equal=equal,
            sort="updated",
            descending=True,
            high=after[0] if after else None,
            limit=at_once,
            shared=True,
        )
        tied: list[Project] = []  # of one millisecond: the store's order of ties is not ours to rely on
        async for doc in every(self.store, "projects", query):
            project = self.domain.seen.read(Project, doc)
            if tied and project.updated != tied[0].updated:
                for one in sorted(tied, key=_rank, reverse=True):
                    yield one
                tied = []
            if wanted(project) and _follows(project, after):
                tied.append(project)
        for one in sorted(tied, key=_rank, reverse=True):
            yield one


def _streams(actor: Actor, scope: str) -> list[Equal]:
    member: Equal = (("members", actor.name),)
    public: Equal = (("visibility", "public"),)
    if scope == "all":
        return [()] if actor.admin else [member, public]
    if scope in ("mine", "deleted"):
        return [(("owner", actor.name),)]
    return [member] if scope == "team" else [public]


def _in_scope(actor: Actor, scope: str, tag: str) -> Callable[[Project], bool]:
    def wanted(project: Project) -> bool:
        if not may_see(actor, project) or (tag and tag not in project.tags):
            return False
        if scope == "deleted":
            return project.owner == actor.name and project.ends > 0
        if project.ends:
            return False
        if scope == "mine":
            return project.owner == actor.name
        if scope == "team":
            return project.owner != actor.name and actor.name in project.members
        if scope == "starred":
            return actor.user is not None and project.id in actor.user.starred
        return scope == "all" or project.visibility == "public"

    return wanted


def _rank(project: Project) -> Place:
    return (project.updated, project.id)


def _follows(project: Project, after: Place | None) -> bool:
    return after is None or _rank(project) < after


def _cursor(taken: list[Project], limit: int) -> str:
    if len(taken) <= limit:
        return ""
    last = taken[limit - 1]
    return f"{last.updated}.{last.id}"


def _place(cursor: str) -> Place | None:
    if not cursor:
        return None
    updated, _, id = cursor.partition(".")
    if not (updated.isascii() and updated.isdigit() and len(updated) < 16 and id):
        raise Invalid("This is not a cursor of this list: begin again without one.")
    return int(updated), id
