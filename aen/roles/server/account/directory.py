"""Directory: the people of this installation as everybody who is signed in may see them: without e-mail addresses."""

from __future__ import annotations

from dataclasses import dataclass

from aen.errors import NotFound
from aen.model.project import Project
from aen.model.user import User
from aen.roles.server.domain import Domain
from aen.roles.server.permissions import Actor, Permission, check, may_see
from aen.store import Query


@dataclass(frozen=True)
class Person:
    """What everybody may know of somebody."""

    id: str
    full_name: str
    company: str
    location: str
    url: str
    admin: bool
    created: int

    @property
    def called(self) -> str:
        """As `User.called`."""
        return self.full_name or self.id


async def people(domain: Domain, actor: Actor, search: str, limit: int, cursor: str = "") -> tuple[list[Person], str]:
    """People who are not locked, by name, and the next cursor; a search gives its best `limit` without one."""
    check(actor, Permission.SIGNED_IN)
    unlocked = ("locked", False)
    if search:
        docs = await domain.store.search("users", search.lower(), unlocked, limit)
        found = [_person(User.model_validate(doc)) for doc in docs]
        return [one for one in found if actor.admin or _says(one, search.lower())], ""
    page = await domain.store.find("users", Query(equal=(unlocked,), sort="id", limit=limit, cursor=cursor))
    return [_person(User.model_validate(doc)) for doc in page.items], page.next


async def person(domain: Domain, actor: Actor, name: str) -> Person:
    """One person. NotFound; also for who is locked, except for administrators."""
    check(actor, Permission.SIGNED_IN)
    user = await domain.accounts.find(name)
    if user is None or (user.locked and not actor.admin):
        raise NotFound("There is nobody of that name here.")
    return _person(user)


async def projects_of(domain: Domain, actor: Actor, name: str, most: int = 50) -> list[Project]:
    """Those projects of a person's that the actor may see, latest change first."""
    query = Query(equal=(("owner", name),), sort="updated", descending=True, limit=200)
    page = await domain.store.find("projects", query)
    projects = [Project.model_validate(doc) for doc in page.items]
    return [project for project in projects if may_see(actor, project)][:most]


def _says(person: Person, search: str) -> bool:
    """Whether what everybody may know holds the words: whose e-mail address does is told to administrators only."""
    said = " ".join((person.id, person.full_name, person.company)).lower()
    return all(word in said for word in search.split())


def _person(user: User) -> Person:
    return Person(user.id, user.full_name, user.company, user.location, user.url, user.admin, user.created)
