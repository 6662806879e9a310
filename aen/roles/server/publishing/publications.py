"""Publications: notebooks, files and folders as fixed pages: rendered once as their person, kept here, shown to whom they are for."""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
import zlib
from collections import Counter

import structlog

from aen.errors import AenError, Conflict, Denied, Invalid, NotFound, NotSignedIn
from aen.model.project import Project
from aen.model.publication import Audience, Publication
from aen.model.user import User
from aen.roles.server.changes import change, every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, allows, may_see
from aen.roles.server.project.shares import path_of
from aen.roles.server.publishing.errands import check_placed, person
from aen.roles.server.publishing.rendering import JOB, Rendering
from aen.service import Service
from aen.store import Query

log = structlog.get_logger(__name__)

MOST = 50  # publications of a project
_LARGEST = 12 << 20  # bytes of one page
_VIEWS_SECONDS = 5.0  # between two times that views are written down
_GONE = "There is nothing published at this address, or it was withdrawn."


class Publications(Part):
    """The publications. What their pages hold is their person's: it is shown where it can do nothing."""

    async def begin(self, service: Service) -> None:
        """See Part."""
        self._views: Counter[str] = Counter()
        self.domain.jobs.handle(JOB, Rendering(self.domain).job)
        service.spawn(self._count_for_life(), "views")

    # ── what people do ──────────────────────────────────────────────────────────────────────────────

    async def publish(
        self, actor: Actor, owner: str, name: str, path: str, title: str, description: str, audience: Audience
    ) -> Publication:
        """Publish a notebook, file or folder. It is rendered in the background. Invalid, Denied, Conflict."""
        project, user = await self._may(actor, owner, name, audience)
        known = await self._of(project)
        if len(known) >= MOST:
            raise Conflict(f"{project.slug} has {MOST} publications. Withdraw one that is not needed any more.")
        publication = Publication(
            id=secrets.token_hex(8),
            project=project.id,
            user=user.id,
            path=path_of(path),
            title=_text(title, 200) or path_of(path).rpartition("/")[2],
            description=_text(description, 2000),
            audience=audience,
        )
        stored = Publication.model_validate(
            await self.store.insert("publications", publication.model_dump(mode="json"))
        )
        await self._begin(actor, project, stored, "publication.made")
        return stored

    async def again(self, actor: Actor, owner: str, name: str, id: str) -> Publication:
        """A new version of it, at the same address, as the actor. Conflict while one is being made."""
        project, publication = await self._mine(actor, owner, name, id)
        await self._may(actor, owner, name, publication.audience)

        def edit(stored: Publication) -> None:
            if stored.state == "publishing":
                raise Conflict("A version is being made right now.", retry_after=5)
            stored.state, stored.reason = "publishing", ""

        changed = await change(self.store, "publications", Publication, id, edit)
        await self._begin(actor, project, changed, "publication.renewed")
        return changed

    async def describe(
        self, actor: Actor, owner: str, name: str, id: str, title: str, description: str, audience: Audience
    ) -> Publication:
        """Change what it is called and whom it is for."""
        project, _ = await self._mine(actor, owner, name, id)
        await self._may(actor, owner, name, audience)

        def edit(stored: Publication) -> None:
            stored.title = _text(title, 200) or stored.title
            stored.description, stored.audience = _text(description, 2000), audience

        changed = await change(self.store, "publications", Publication, id, edit)
        await self._record(actor, "publication.changed", project, changed)
        return changed

    async def withdraw(self, actor: Actor, owner: str, name: str, id: str) -> None:
        """Nothing is shown at its address any more, at once; its pages are thrown away."""
        project, publication = await self._mine(actor, owner, name, id)
        await self._remove(publication)
        await self._record(actor, "publication.withdrawn", project, publication)

    async def of_project(self, actor: Actor, owner: str, name: str) -> tuple[Project, list[Publication]]:
        """What is published from a project, newest first, for who sees the project."""
        project = await self.domain.projects.get(actor, owner, name)
        return project, await self._of(project)

    async def of_person(self, actor: Actor, user: str, since: int) -> list[Publication]:
        """What somebody published that the actor may look at, newest first. `since` (ms): when they came; older is of an earlier bearer."""
        query = Query(equal=(("user", user),), low=since, sort="created", descending=True, limit=100)
        found = []
        for doc in (await self.store.find("publications", query)).items:
            publication = Publication.model_validate(doc)
            if publication.version is not None and await self._may_look(actor, publication):
                found.append(publication)
        return found

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────

    async def get(self, actor: Actor, id: str) -> tuple[Publication, Project]:
        """The publication, if the actor may look at it. NotFound; NotSignedIn for nobody in particular, whatever there is."""
        doc = await self.store.get("publications", id)
        publication = Publication.model_validate(doc) if doc else None
        project = await self.domain.projects.by_id(publication.project) if publication else None
        if publication is not None and project is not None and await self._may_look(actor, publication, project):
            return publication, project
        if not actor.known:
            raise NotSignedIn("Sign in first.")
        raise NotFound(_GONE)

    async def page(self, actor: Actor, id: str, number: int, path: str) -> str:
        """A page's HTML: of the person who published it, to be shown where it can do nothing. NotFound."""
        publication, _ = await self.get(actor, id)
        version = next((one for one in publication.versions if one.number == number), None)
        files = version.files if version else []
        index = next((n for n, file in enumerate(files) if file.path == path), -1)
        doc = await self.store.get("published_pages", f"{id}:{number}:{index}") if index >= 0 else None
        if doc is None:
            raise NotFound(_GONE)
        return await asyncio.to_thread(_unpacked, doc["data"])

    def seen(self, id: str) -> None:
        """Somebody looked at it."""
        self._views[id] += 1

    async def _may_look(self, actor: Actor, publication: Publication, project: Project | None = None) -> bool:
        found = project or await self.domain.projects.by_id(publication.project)
        if found is None or found.going:
            return False
        if publication.audience is Audience.PUBLIC and self.domain.config.sharing.links:
            return True
        if publication.audience is not Audience.TEAM and actor.known:
            return True
        return may_see(actor, found)

    async def _may(self, actor: Actor, owner: str, name: str, audience: Audience) -> tuple[Project, User]:
        project = await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        user = person(actor)
        if audience is Audience.PUBLIC and not self.domain.config.sharing.links:
            raise Denied("Nothing is shown here to people without an account (sharing.links). Ask an administrator.")
        check_placed(project)
        return project, user

    async def _mine(self, actor: Actor, owner: str, name: str, id: str) -> tuple[Project, Publication]:
        project = await self.domain.projects.allowed(actor, owner, name, Permission.RUN)
        doc = await self.store.get("publications", id)
        if doc is None or doc["project"] != project.id:
            raise NotFound("There is no such publication (any more).")
        publication = Publication.model_validate(doc)
        if publication.user != actor.name and not allows(actor, Permission.TEAM, project):
            raise Denied(f"It is {publication.user}'s: they, maintainers and the owner change it.")
        return project, publication

    async def _of(self, project: Project) -> list[Publication]:
        query = Query(equal=(("project", project.id),), sort="created", descending=True)
        return [Publication.model_validate(doc) async for doc in every(self.store, "publications", query)]

    # ── making ──────────────────────────────────────────────────────────────────────────────────────

    async def _begin(self, actor: Actor, project: Project, publication: Publication, act: str) -> None:
        payload = {"publication": publication.id, "project": project.id, "user": actor.name}
        await self.domain.jobs.add(JOB, project.slug, payload, actor.name, max_attempts=3)
        await self._record(actor, act, project, publication)

    async def _remove(self, publication: Publication) -> None:
        await self.store.delete("publications", publication.id)
        query = Query(equal=(("publication", publication.id),), limit=50)
        async for doc in every(self.store, "published_pages", query):
            await self.store.delete("published_pages", doc["id"])

    async def forget(self, project_id: str) -> None:
        """The project is deleted: so is what was published from it."""
        async for doc in every(self.store, "publications", Query(equal=(("project", project_id),), sort="created")):
            await self._remove(Publication.model_validate(doc))

    async def _count_for_life(self) -> None:
        while True:
            await asyncio.sleep(_VIEWS_SECONDS)
            counted, self._views = self._views, Counter()
            for id, more in counted.items():
                try:
                    await self._add_views(id, more)
                except AenError as error:
                    log.debug("views are not counted", publication=id, reason=error.message)

    async def _add_views(self, id: str, more: int) -> None:
        def edit(stored: Publication) -> None:
            stored.views += more

        await change(self.store, "publications", Publication, id, edit)

    async def _record(self, actor: Actor, act: str, project: Project, publication: Publication) -> None:
        await self.domain.activity.record(
            actor, act, project.slug, project=project.id, detail=publication.title, security=True
        )


def _text(text: str, longest: int) -> str:
    found = text.strip()
    if len(found) > longest or "\0" in found:
        raise Invalid(f"That text is too long: {longest} characters are the most.")
    return found


def _unpacked(data: str) -> str:
    try:
        return zlib.decompressobj().decompress(base64.b64decode(data), _LARGEST).decode(errors="replace")
    except (zlib.error, binascii.Error, ValueError):
        raise NotFound(_GONE) from None
