"""Rendering: the job that makes a version of a publication: rendered at its project's node as its person, kept in the store."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Any

from aen.errors import AenError, Conflict, Denied, Invalid, NotFound
from aen.model.job import Job
from aen.model.publication import Piece, Publication, PublishedPage, Rendered, Version
from aen.roles.server.changes import change, every, put
from aen.roles.server.job.leases import Progress
from aen.roles.server.project.team import RUNNERS
from aen.store import Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

JOB = "publication.render"
VERSIONS = 10  # that are kept of a publication
_MOST_OF_PROJECT = 200 << 20  # bytes
_LARGEST = 12 << 20  # bytes of one version, packed
_GONE = "There is nothing to publish (any more)."


class Rendering:
    """The job. What the node sends is its person's: sizes and sums are checked, the pages are shown where they can do nothing."""

    def __init__(self, domain: Domain) -> None:
        self.domain, self.store = domain, domain.store

    async def job(self, job: Job, progress: Progress) -> None:
        """See Jobs.handle."""
        id = str(job.payload["publication"])
        try:
            await self._made(id, str(job.payload["user"]), job.id, progress)
        except (Conflict, Invalid, Denied, NotFound) as error:
            await self._failed(id, error.message)
            raise Invalid(error.message) from error  # trying again would not help
        except AenError as error:
            if job.attempts >= job.max_attempts:
                await self._failed(id, error.message)
            raise

    async def _made(self, id: str, user_name: str, job: str, progress: Progress) -> None:
        doc = await self.store.get("publications", id)
        publication = Publication.model_validate(doc) if doc else None
        project = await self.domain.projects.by_id(publication.project) if publication else None
        user = await self.domain.accounts.find(user_name)
        if publication is None or project is None or user is None:
            raise NotFound(_GONE)
        if user.locked or project.role_of(user.id) not in RUNNERS:
            raise Denied(f"{user.id} is no member of the project any more.")
        await progress(0.1, "rendering")
        told: dict[str, Any] = {"path": publication.path, "id": hashlib.sha256(job.encode()).hexdigest()[:24]}
        rendered = await self.domain.errands.ask(project, user, "publishing.render", Rendered, told, 110.0)
        others = await self._space(project.id)
        if rendered.bytes > _LARGEST or others + rendered.bytes > _MOST_OF_PROJECT:
            raise Conflict("What is published from this project would take too much space: withdraw something first.")
        data = bytearray()
        while len(data) < rendered.bytes:
            piece = await self.domain.errands.ask(
                project, user, "publishing.part", Piece, {**told, "offset": len(data)}, 30.0
            )
            data += _decoded(piece.data)
            await progress(0.2 + 0.7 * min(1.0, len(data) / rendered.bytes), "fetching what was rendered")
        if hashlib.sha256(data).hexdigest() != rendered.digest:
            raise Conflict("What was rendered was changed meanwhile. Publish it again.")
        await self._keep(publication, user.id, rendered, bytes(data))

    async def _space(self, project: str) -> int:
        query = Query(equal=(("project", project),), sort="created")
        return sum([v["bytes"] async for doc in every(self.store, "publications", query) for v in doc["versions"]])

    async def _keep(self, publication: Publication, user: str, rendered: Rendered, data: bytes) -> None:
        number = publication.made + 1
        for index, file in enumerate(rendered.files):
            packed = base64.b64encode(data[file.start : file.start + file.size]).decode()
            page = PublishedPage(id=f"{publication.id}:{number}:{index}", publication=publication.id, data=packed)
            await put(self.store, "published_pages", page)
        dropped: list[Version] = []

        def edit(stored: Publication) -> None:
            version = Version(number=number, user=user, files=rendered.files, bytes=rendered.bytes)
            kept = [*(one for one in stored.versions if one.number != number), version]
            dropped[:] = kept[:-VERSIONS]
            stored.versions, stored.made = kept[-VERSIONS:], max(stored.made, number)
            stored.state, stored.reason = "ready", ""

        await change(self.store, "publications", Publication, publication.id, edit)
        for version in dropped:
            for index in range(len(version.files)):
                await self.store.delete("published_pages", f"{publication.id}:{version.number}:{index}")

    async def _failed(self, id: str, reason: str) -> None:
        def edit(stored: Publication) -> None:
            stored.state, stored.reason = "failed", reason

        try:
            await change(self.store, "publications", Publication, id, edit)
        except NotFound:
            return


def _decoded(data: str) -> bytes:
    try:
        found = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Conflict("What was rendered can't be read.") from None
    if not found:
        raise Conflict("What was rendered ended too early. Publish it again.")
    return found
