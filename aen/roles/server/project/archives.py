"""Archives: a project copied, exported and imported. One way for all: packed on its node as who asks, unpacked as the new owner."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import structlog

from aen import names
from aen.errors import AenError, Conflict, Denied, Invalid, NotFound
from aen.languages import size
from aen.messages.contents import (
    PART,
    ArchivePart,
    ArchiveReport,
    CloseArchive,
    OpenArchive,
    ReadArchive,
    WriteArchive,
)
from aen.model import new_id
from aen.model.job import Job
from aen.model.project import Project, ProjectState
from aen.roles.server.background import ask
from aen.roles.server.domain import Part
from aen.roles.server.job.leases import Progress
from aen.roles.server.job.worker import HOPELESS
from aen.roles.server.permissions import Actor, Permission, check
from aen.roles.server.project.archive_settings import Settled
from aen.roles.server.project.wording import NewProject
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

COPY, IMPORT = "project.copy", "project.import"
_SECONDS = 60.0  # for one part
_OPEN_SECONDS = 60.0
_END_SECONDS = 660.0
_READY_SECONDS = 1800.0  # for the new project's folder and environment: the node may be building its first one
_ATTEMPTS = 3
_NEVER = "{slug} was never started: it has no files yet. Start it once."


class Archives(Part):
    """Copying, exporting, importing."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._settled = Settled(domain)
        self.folder = Path(domain.config.data_dir) / "imports"

    async def begin(self, service: Service) -> None:
        """See Part."""
        self.domain.jobs.handle(COPY, self._copy)
        self.domain.jobs.handle(IMPORT, self._import)

    # ── what people ask for ─────────────────────────────────────────────────────────────────────────

    async def export(self, actor: Actor, owner: str, name: str) -> tuple[str, AsyncIterator[bytes]]:
        """A file name, and the archive as it is packed. For the team, as far as each may read; administrators get all of it."""
        project = await self.domain.projects.allowed(actor, owner, name, Permission.VIEW)
        user = self._reader(actor, project)
        if not project.placed:
            raise Conflict(_NEVER.format(slug=project.slug))
        metadata = await self._settled.of(project)
        await self.domain.activity.record(
            actor, "project.exported", project.slug, project=project.id, who=owner, security=True
        )
        archive = await self._open(project, user, "pack", metadata)
        return f"{project.name}.aen.tar.gz", self._packed(project, archive, [])

    async def copy(self, actor: Actor, owner: str, name: str, new_name: str) -> tuple[Project, Job]:
        """A project of the actor's own with the files, settings and environments of another. For its team, viewers too."""
        source = await self.domain.projects.allowed(actor, owner, name, Permission.LOOK)
        if not source.placed:
            raise Conflict(_NEVER.format(slug=source.slug))
        new = NewProject(
            name=new_name or source.name,
            summary=source.summary,
            description=source.description,
            tags=source.tags,
            datacenter=source.datacenter,
        )
        project = await self.domain.projects.create(actor, new)
        await self.domain.activity.record(
            actor, "project.copied", project.slug, project=source.id, who=actor.name, detail=f"to {project.slug}"
        )
        payload = {"project": project.id, "source": source.id}
        return project, await self.domain.jobs.add(
            COPY, project.slug, payload, actor.name, priority=1, max_attempts=_ATTEMPTS
        )

    async def import_(
        self, actor: Actor, name: str, upload: AsyncIterator[bytes], datacenter: str = ""
    ) -> tuple[Project, Job]:
        """A new project of the actor's from an archive, which is taken in whole first. Raises Invalid (too large)."""
        check(actor, Permission.CREATE)
        names.project(name)
        spool = self.folder / new_id()
        try:
            await self._take(upload, spool)
            project = await self.domain.projects.create(actor, NewProject(name=name, datacenter=datacenter))
        except BaseException:
            _remove(spool)
            raise
        await self.domain.activity.record(
            actor, "project.imported", project.slug, project=project.id, who=actor.name, security=True
        )
        payload = {"project": project.id, "spool": spool.name}
        return project, await self.domain.jobs.add(
            IMPORT, project.slug, payload, actor.name, priority=1, max_attempts=_ATTEMPTS
        )

    def _reader(self, actor: Actor, project: Project) -> str:
        """As whom it is packed: oneself in the team; administrators as the owner."""
        role = project.role_of(actor.name)
        if role is not None:
            check(actor, Permission.LOOK, project)
            return actor.name
        if not actor.admin:
            raise Denied(f"Only the team of {project.slug} can export it. Ask its owner, {project.owner}.")
        return project.owner

    async def _take(self, upload: AsyncIterator[bytes], spool: Path) -> None:
        most, taken = self.domain.config.archives.import_megabytes << 20, 0
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _new(spool) as file:
            async for chunk in upload:
                taken += len(chunk)
                if taken > most:
                    raise Invalid(f"The archive is larger than {size(most)}, which is the most here.")
                await asyncio.to_thread(file.write, chunk)
        if not taken:
            raise Invalid("Choose the archive of a project: a file that ends in .aen.tar.gz.")

    # ── the jobs ────────────────────────────────────────────────────────────────────────────────────

    async def _copy(self, job: Job, progress: Progress) -> None:
        source = await self.domain.projects.by_id(str(job.payload["source"]))
        async with self._made(job) as (project, actor):
            if source is None:
                raise NotFound("The project that was to be copied is gone.")
            check(actor, Permission.LOOK, source)  # they may have left the team since they asked
            metadata = await self._settled.of(source)
            project = await self._ready(actor, project, progress)
            archive = await self._open(source, actor.name, "pack", metadata)
            total = source.space.bytes if source.space else 0
            left_out: list[str] = []
            packed = self._packed(source, archive, left_out)
            report = await self._unpacked(project, packed, progress, total)
            report.notes, report.skipped = [*left_out, *report.notes], report.skipped + len(left_out)
            await self._finish(actor, project, {**metadata, "tags": source.tags}, report, progress)

    async def _import(self, job: Job, progress: Progress) -> None:
        spool = self.folder / Path(str(job.payload["spool"])).name
        async with self._made(job, spool) as (project, actor):
            if not spool.is_file():
                raise NotFound("The uploaded archive is gone (or was taken in by another server). Import it again.")
            project = await self._ready(actor, project, progress)
            size = spool.stat().st_size
            report = await self._unpacked(project, _read(spool), progress, size)
            await self._finish(actor, project, report.metadata, report, progress)
        _remove(spool)

    @contextlib.asynccontextmanager
    async def _made(self, job: Job, spool: Path | None = None) -> AsyncIterator[tuple[Project, Actor]]:
        """The new project and who asked; when it fails for good, nothing of the project is left."""
        project = await self.domain.projects.by_id(str(job.payload["project"]))
        user = await self.domain.accounts.find(job.created_by)
        if project is None or user is None or user.locked:
            _remove(spool)
            raise NotFound("The new project, or who asked for it, is gone.")
        try:
            yield project, Actor(user)
        except AenError as error:
            if isinstance(error, (*HOPELESS, Conflict)) or job.attempts >= job.max_attempts:
                _remove(spool)
                await self.domain.projects.delete(Actor(local=True), project.owner, project.name, project.name)
                raise Invalid(error.message) from error
            raise

    async def _ready(self, actor: Actor, project: Project, progress: Progress) -> Project:
        """Its folder, its environment `default`, its permissions."""
        await progress(0.02, "The project's folder and environment are being made")
        await self.domain.projects.start(actor, project.owner, project.name)
        async with asyncio.timeout(_READY_SECONDS):
            while True:
                found = await self.domain.projects.by_id(project.id)
                if found is None:
                    raise NotFound("The new project was deleted meanwhile.")
                if found.state is ProjectState.RUNNING:
                    return found
                if found.state is not ProjectState.STARTING:
                    raise Conflict(f"The new project could not be started: {found.reason or found.state}")
                await asyncio.sleep(0.2)

    async def _finish(
        self, actor: Actor, project: Project, metadata: dict[str, Any], report: ArchiveReport, progress: Progress
    ) -> None:
        await self._settled.apply(project, metadata)
        notes: list[str] = []
        notes.append(f"Files taken over: {report.files:,}")
        for note in report.notes:
            notes.append(f"Left out: {note}")
        if report.skipped > len(report.notes):
            notes.append(f"Left out besides: {report.skipped - len(report.notes)}")
        notes += await self._settled.environments(actor, project, metadata, progress)
        notes += await self._settled.dashboards(
            actor, await self.domain.projects.by_id(project.id) or project, metadata
        )
        await progress(1.0, "\n".join(notes)[:2000])

    # ── streams ─────────────────────────────────────────────────────────────────────────────────────

    async def _open(self, project: Project, user: str, way: str, metadata: dict[str, Any]) -> str:
        options = self.domain.config.archives
        archive = new_id().replace("-", "")
        command = OpenArchive(
            project=self.domain.projects.spec(project),
            user=user,
            archive=archive,
            way=way,
            metadata=metadata,
            most_bytes=options.unpacked_megabytes << 20,
            most_files=options.files,
        )
        await ask(self.bus, names.address("compute", project.node), command, _OPEN_SECONDS)
        return archive

    async def _packed(self, project: Project, archive: str, left_out: list[str]) -> AsyncIterator[bytes]:
        """The archive's bytes; ended on the node however this ends. What could not be read is put into `left_out`."""
        address, number, whole = names.address("compute", project.node), 0, False
        try:
            while True:
                number += 1
                part: ArchivePart = await ask(self.bus, address, ReadArchive(archive=archive, number=number), _SECONDS)
                if not part.data:
                    break
                yield base64.b64decode(part.data)
            report: ArchiveReport = await ask(self.bus, address, CloseArchive(archive=archive), _END_SECONDS)
            left_out += report.notes
            whole = True
        finally:
            if not whole:
                await self._abort(address, archive)

    async def _unpacked(
        self, project: Project, source: AsyncIterator[bytes], progress: Progress, total: int
    ) -> ArchiveReport:
        address = names.address("compute", project.node)
        archive, number, sent = await self._open(project, project.owner, "unpack", {}), 0, 0
        try:
            async for chunk in source:
                for at in range(0, len(chunk), PART):
                    number += 1
                    data = base64.b64encode(chunk[at : at + PART]).decode()
                    await ask(self.bus, address, WriteArchive(archive=archive, number=number, data=data), _SECONDS)
                sent += len(chunk)
                await progress(0.05 + 0.75 * min(1.0, sent / total if total else 0.5), f"{size(sent)} of files")
            report: ArchiveReport = await ask(self.bus, address, CloseArchive(archive=archive), _END_SECONDS)
            return report
        except BaseException:
            await self._abort(address, archive)
            raise

    async def _abort(self, address: str, archive: str) -> None:
        with contextlib.suppress(AenError):
            await asyncio.shield(self.bus.request(address, CloseArchive(archive=archive, abort=True), _SECONDS))


async def _read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, PART):
            yield chunk


def _new(path: Path) -> BinaryIO:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _remove(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)
