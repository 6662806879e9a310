"""Related: projects that share tags, people or libraries with one, of those that the asker may see."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from aen.model.project import Project
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, may_see
from aen.store import Query

_TAGS, _PEOPLE, _LIBRARIES = 6, 6, 12  # of the project that are looked up
_OF_EACH = 30  # projects looked at for each
_WEIGHT_TAG, _WEIGHT_PERSON, _WEIGHT_LIBRARY = 3, 2, 1
#: Everybody imports these: that two projects do says nothing.
_COMMON = frozenset(
    "os sys re json math time datetime random pathlib collections itertools functools typing numpy pandas matplotlib "
    "__future__ csv io glob subprocess argparse logging dataclasses string copy warnings shutil".split()
)


@dataclass(frozen=True)
class Relation:
    """A project, and what it shares with the one that was asked about."""

    project: Project
    shares: tuple[str, ...]


class RelatedProjects(Part):
    """Found by indexes alone, a bounded number of look-ups for each."""

    async def of(self, actor: Actor, owner: str, name: str, limit: int = 5) -> list[Relation]:
        """The most related ones first."""
        project = await self.domain.projects.get(actor, owner, name)
        weights: Counter[str] = Counter()
        shares: dict[str, list[str]] = defaultdict(list)
        found: dict[str, Project] = {}
        team = project.members if project.role_of(actor.name) is not None or actor.admin else []
        for field, values, weight in (
            ("tags", project.tags[:_TAGS], _WEIGHT_TAG),
            ("members", team[:_PEOPLE], _WEIGHT_PERSON),
        ):
            for value in values:
                query = Query(equal=((field, value),), sort="updated", descending=True, limit=_OF_EACH)
                for doc in (await self.store.find("projects", query)).items:
                    found.setdefault(doc["id"], Project.model_validate(doc))
                    weights[doc["id"]] += weight
                    shares[doc["id"]].append(value)
        await self._by_library(project, weights, shares, found)
        ranked = [found[id] for id, _ in weights.most_common() if id in found and id != project.id]
        seen = [one for one in ranked if may_see(actor, one) and not one.going]
        return [Relation(one, tuple(dict.fromkeys(shares[one.id]))[:4]) for one in seen[:limit]]

    async def _by_library(
        self, project: Project, weights: Counter[str], shares: dict[str, list[str]], found: dict[str, Project]
    ) -> None:
        libraries = [one for one in await self.domain.indexing.libraries_of(project.id) if one not in _COMMON]
        missing: set[str] = set()
        for library in libraries[:_LIBRARIES]:
            for id in await self.domain.indexing.using(library, _OF_EACH):
                weights[id] += _WEIGHT_LIBRARY
                shares[id].append(library)
                missing.add(id)
        for doc in await self.store.get_many("projects", [id for id in missing if id not in found]):
            found[doc["id"]] = Project.model_validate(doc)
