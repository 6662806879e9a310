"""Related: projects that share tags, people or libraries with one, of those that the asker may see."""

from __future__ import annotations

import sys
import time
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aen.model.project import Project, Visibility
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, may_see
from aen.store import Doc, Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

_TAGS, _PEOPLE, _LIBRARIES = 6, 6, 12  # of the project that are looked up
_OF_EACH = 30  # projects looked at for each
_MOST_ALIKE = 100  # of those, the most related
_LARGE_TEAM = 50  # people that aren't kept by name
_FRESH_SECONDS, _MOST_KEPT = 60.0, 2000
_WEIGHT_TAG, _WEIGHT_PERSON, _WEIGHT_LIBRARY = 3, 2, 1
#: Everybody imports these: that two projects do says nothing.
_COMMON = frozenset(
    "os sys re json math time datetime random pathlib collections itertools functools typing numpy pandas matplotlib "
    "__future__ csv io glob subprocess argparse logging dataclasses string copy warnings shutil".split()
)


@dataclass(frozen=True, slots=True)
class Alike:
    """A project by its id, what it shares, and who saw it when that was found out: those alone are asked for it.

    `seen_by` is a hint, and None where it isn't known or where all see it: whoever is shown a project is asked anew.
    """

    id: str
    shares: tuple[str, ...]
    seen_by: Sequence[str] | None = None


@dataclass(frozen=True)
class Relation:
    """A project, and what it shares with the one that was asked about."""

    project: Project
    shares: tuple[str, ...]


class RelatedProjects(Part):
    """Found by indexes alone, a bounded number of look-ups for each; which are alike is found out once a minute."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._ranked: OrderedDict[tuple[str, int, bool], tuple[float, list[Alike]]] = OrderedDict()

    async def of(self, actor: Actor, owner: str, name: str, limit: int = 5) -> list[Relation]:
        """The most related ones first."""
        return await self.to(actor, await self.domain.projects.get(actor, owner, name), limit)

    async def to(self, actor: Actor, project: Project, limit: int = 5) -> list[Relation]:
        """The same for a project that the actor was given. Who may see what is asked anew each time."""
        in_team = project.role_of(actor.name) is not None or actor.admin
        alike = await self._alike(project, in_team)
        ranked, found = list(_for(actor, alike)), list[Relation]()
        for at in range(0, len(ranked), limit * 2):
            some = dict(ranked[at : at + limit * 2])
            for doc in await self.store.get_many("projects", list(some), shared=True):
                one = self.domain.seen.read(Project, doc)
                if may_see(actor, one) and not one.going:
                    found.append(Relation(one, some[one.id]))
            if len(found) >= limit:
                break
        return found[:limit]

    async def _alike(self, project: Project, in_team: bool) -> list[Alike]:
        key, moment = (project.id, project.rev, in_team), time.monotonic()
        kept = self._ranked.get(key)
        if kept is not None and moment - kept[0] < _FRESH_SECONDS:
            return kept[1]
        ranked = await self._rank(project, project.members if in_team else [])
        self._ranked[key] = (moment, ranked)
        self._ranked.move_to_end(key)
        while len(self._ranked) > _MOST_KEPT or next(iter(self._ranked.values()))[0] < moment - _FRESH_SECONDS:
            self._ranked.popitem(last=False)
        return ranked

    async def _rank(self, project: Project, team: list[str]) -> list[Alike]:
        """Ids of projects, the most related first, and what each shares. `team`: whose sharing counts and may be told."""
        weights: Counter[str] = Counter()
        shares: dict[str, list[str]] = defaultdict(list)
        seen_by: dict[str, Sequence[str] | None] = {}
        for field, values, weight in (
            ("tags", project.tags[:_TAGS], _WEIGHT_TAG),
            ("members", team[:_PEOPLE], _WEIGHT_PERSON),
        ):
            for value in values:
                query = Query(equal=((field, value),), sort="updated", descending=True, limit=_OF_EACH, shared=True)
                for doc in (await self.store.find("projects", query)).items:
                    weights[doc["id"]] += weight
                    shares[doc["id"]].append(value)
                    seen_by[doc["id"]] = _seen_by(doc)
        libraries = [one for one in await self.domain.indexing.libraries_of(project.id) if one not in _COMMON]
        for library in libraries[:_LIBRARIES]:
            for id in await self.domain.indexing.using(library, _OF_EACH):
                weights[id] += _WEIGHT_LIBRARY
                shares[id].append(library)
        ranked = [id for id, _ in weights.most_common(_MOST_ALIKE + 1) if id != project.id]
        return [Alike(id, tuple(dict.fromkeys(shares[id]))[:4], seen_by.get(id)) for id in ranked]


def _for(actor: Actor, alike: list[Alike]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Those that the actor may well see, by id, with what is shared beside the actor: one's own projects all have that in common."""
    for one in alike:
        if one.seen_by is None or actor.admin or actor.name in one.seen_by:
            shares = tuple(each for each in one.shares if each != actor.name)
            if shares:
                yield one.id, shares


def _seen_by(doc: Doc) -> Sequence[str] | None:
    if doc["visibility"] == Visibility.PUBLIC or len(doc["members"]) > _LARGE_TEAM:
        return None
    return tuple(map(sys.intern, doc["members"]))
