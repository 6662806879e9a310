"""Indexing: what search knows of files. Nodes read projects as their owners; batches are pulled, so nobody is overrun."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import structlog

from aen import names
from aen.errors import AenError
from aen.messages.contents import ContentsBatch, ReadContents
from aen.model import now
from aen.model.content import Content, FileContent, Libraries, content_id
from aen.model.project import Project, ProjectState
from aen.roles.server.changes import every, put
from aen.roles.server.domain import Part
from aen.service import Service
from aen.store import Doc, Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

_SWEEP_SECONDS = 5.0
_BATCH_SECONDS = 90.0
_OVERLAP_MS = 5_000  # clocks of nodes and server differ a little: so much is read twice
_TOGETHER = 50  # documents written at the same time
_MOST_LIBRARIES = 300


class Indexing(Part):
    """The index of files. A project is read while it runs, when it has stopped, and when its team changed."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._running: set[str] = set()  # at the last sweep
        self._read: dict[str, int] = {}  # project → when it was read last, ms
        self._since = now()
        self._one_by_one = asyncio.Lock()

    @property
    def on(self) -> bool:
        """Whether files are searched at all."""
        return self.domain.config.search.contents

    async def begin(self, service: Service) -> None:
        """See Part."""
        service.spawn(self._sweep_for_life(), "index")

    async def _sweep_for_life(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            if not self.on:
                continue
            try:
                await self.sweep()
            except AenError as error:
                log.debug("projects were not read for search; it is tried again", reason=error.message)

    async def sweep(self) -> None:
        """Read, one after the other, what is due: running ones now and then, those that stopped or were changed at once."""
        running = Query(equal=(("state", ProjectState.RUNNING.value),), sort="updated")
        there = {doc["id"] async for doc in every(self.store, "projects", running)}
        late = now() - round(self.domain.config.search.minutes * 60_000)
        due = {id for id in there if self._read.get(id, 0) < late} | (self._running - there)
        self._running, since, self._since = there, self._since, now()
        async for doc in every(self.store, "projects", Query(sort="updated", low=since - _OVERLAP_MS)):
            due.add(doc["id"])  # its team may be another one
        for id in due:
            try:
                await self.read(id)
            except AenError as error:
                log.debug("a project was not read for search", project=id, reason=error.message)

    async def read(self, id: str) -> int:
        """Bring the index of a project up to date; how many files are in it. For the server itself."""
        async with self._one_by_one:
            project = await self.domain.projects.by_id(id)
            if project is None or not project.placed or project.going:
                return 0
            if not self.domain.nodes.up(project.node):
                return 0
            begun, team = now(), ",".join(sorted(member.user for member in self.domain.projects.spec(project).team))
            before = await self._libraries(id)
            since = before.indexed - _OVERLAP_MS if before is not None and before.indexed else 0
            known = {doc["path"]: Content.model_validate(doc) async for doc in self._all(id)}
            seen = await self._pull(project, known, since)
            if seen is None:  # a folder was moved: its files are new here, though they did not change
                seen = await self._pull(project, known, 0) or {}
            await self._remove([content.id for path, content in known.items() if path not in seen])
            libraries = Libraries(id=id, libraries=_shared(seen, project), indexed=begun, readers=team)
            await put(self.store, "libraries", libraries)
            self._read[id] = begun
            if await self.domain.projects.by_id(id) is None:
                await self.forget(id)  # it was deleted meanwhile
            return len(seen)

    async def forget(self, id: str) -> None:
        """A project is gone: nothing of it is found any more."""
        while ids := [doc["id"] for doc in (await self.store.find("contents", _of(id))).items]:
            await self._remove(ids)
        await self.store.delete("libraries", id)
        self._read.pop(id, None)

    async def _pull(self, project: Project, known: dict[str, Content], since: int) -> dict[str, Content] | None:
        """All batches, written as they come. None when a file is new to us whose text was not sent."""
        seen: dict[str, Content] = {}
        after, options = "", self.domain.config.search
        while len(seen) < options.files:
            command = ReadContents(
                project=self.domain.projects.spec(project), after=after, since=since, most_bytes=options.file_bytes
            )
            address = names.address("compute", project.node)
            batch: ContentsBatch = await self.bus.request(address, command, _BATCH_SECONDS)
            if any(file.text is None and file.path not in known for file in batch.files):
                return None
            fresh = [_content(project.id, file, known.get(file.path)) for file in batch.files]
            fresh = fresh[: options.files - len(seen)]
            await self._write([one for one in fresh if one != known.get(one.path)])
            seen.update((one.path, one) for one in fresh)
            if not batch.next or (batch.next <= after and not batch.files):
                break
            after = batch.next
        return seen

    async def _write(self, contents: list[Content]) -> None:
        for at in range(0, len(contents), _TOGETHER):
            await asyncio.gather(*(put(self.store, "contents", one) for one in contents[at : at + _TOGETHER]))

    async def _remove(self, ids: list[str]) -> None:
        for at in range(0, len(ids), _TOGETHER):
            await asyncio.gather(*(self.store.delete("contents", id) for id in ids[at : at + _TOGETHER]))

    def _all(self, id: str) -> AsyncIterator[Doc]:
        return every(self.store, "contents", _of(id))

    async def _libraries(self, id: str) -> Libraries | None:
        doc = await self.store.get("libraries", id)
        return Libraries.model_validate(doc) if doc else None

    # ── related projects ────────────────────────────────────────────────────────────────────────────

    async def libraries_of(self, id: str) -> list[str]:
        """What a project's code imports, as far as its whole team may read it."""
        found = await self._libraries(id)
        return found.libraries if found is not None and self.on else []

    async def using(self, library: str, most: int = 50) -> list[str]:
        """Ids of projects that import a library."""
        page = await self.store.find("libraries", Query(equal=(("libraries", library),), limit=most))
        return [doc["id"] for doc in page.items]


def _of(id: str) -> Query:
    return Query(equal=(("project", id),), limit=500)


def _content(project: str, file: FileContent, known: Content | None) -> Content:
    """What is kept of a file. Without a text in the batch, the one that is known stays."""
    text, kind, libraries = file.text, file.kind, file.libraries
    if text is None and known is not None:
        text, kind, libraries = known.text, known.kind, known.libraries
    words = file.path.replace("/", " ").replace("_", " ")
    return Content(
        id=content_id(project, file.path),
        rev=known.rev if known is not None else 0,
        project=project,
        path=file.path,
        kind=kind,
        size=file.size,
        changed=file.changed,
        readers=sorted(file.readers),
        libraries=libraries,
        text=text or "",
        search=f"{file.path} {words} {text or ''}".lower(),
    )


def _shared(seen: dict[str, Content], project: Project) -> list[str]:
    """Libraries of the files that the whole team may read, the most used first: of a closed file, not even these are told."""
    team = {member.user for member in project.team}
    counted: Counter[str] = Counter()
    for content in seen.values():
        if team <= set(content.readers):
            counted.update(content.libraries)
    return [name for name, _ in counted.most_common(_MOST_LIBRARIES)]
