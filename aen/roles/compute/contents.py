"""Contents of projects on this node: read for search as the owner, packed and unpacked as a person, by a program of ours."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from pydantic import ValidationError

from aen.bus import Bus, Subscription
from aen.config import Config
from aen.contents import PROGRAM
from aen.errors import AenError, Conflict, Invalid, NotFound, TooMany, Unavailable
from aen.launchers import Launcher, Process
from aen.messages import Done
from aen.messages.contents import (
    PART,
    ArchivePart,
    ArchiveReport,
    CloseArchive,
    ContentsBatch,
    OpenArchive,
    ReadArchive,
    ReadContents,
    WriteArchive,
)
from aen.roles.compute.projects import Projects
from aen.roles.compute.roots import Roots
from aen.roles.compute.steps import incarnation
from aen.roles.compute.user_program import UserProgram, Wish, result_of

log = structlog.get_logger(__name__)

_BATCH_BYTES = 256 << 10  # of one batch for search: it goes through the bus in one message
_BATCH_FILES = 500
_MOST = 4  # archives under way at the same time
_CONNECT_SECONDS = 20.0
_IDLE_SECONDS = 120.0  # without a word of the server: nobody wants it any more
_END_SECONDS = 600.0  # to finish what was received
_LINES = 2000


@dataclass
class Archive:
    """One archive under way."""

    way: str
    wish: Wish
    process: Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int = 0  # of the part that was read or written last
    part: bytes = b""
    ended: bool = False
    touched: float = field(default_factory=time.monotonic)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)


class Contents:
    """The verbs on what is in projects."""

    def __init__(self, config: Config, launcher: Launcher, projects: Projects, roots: Roots) -> None:
        self._launcher, self._projects = launcher, projects
        self._program = UserProgram(config, launcher, roots)
        self._archives: dict[str, Archive] = {}
        self._looking: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def answers(self, bus: Bus, address: str) -> list[Subscription]:
        """Answer at the node's address."""
        return [
            bus.respond(address, ReadContents, self.read),
            bus.respond(address, OpenArchive, self.open),
            bus.respond(address, ReadArchive, self.part),
            bus.respond(address, WriteArchive, self.take),
            bus.respond(address, CloseArchive, self.close),
        ]

    # ── search ──────────────────────────────────────────────────────────────────────────────────────

    async def read(self, command: ReadContents) -> ContentsBatch:
        """One batch, read as the project's owner: never more than they may read."""
        spec = command.project
        told = {
            "after": command.after,
            "since": command.since,
            "accounts": await self._accounts(command),
            "most_files": _BATCH_FILES,
            "most_bytes": max(0, min(command.most_bytes, 64 << 10)),
            "batch_bytes": _BATCH_BYTES,
        }
        async with self._looking[spec.id]:
            found = await self._program.ask(Wish(spec, spec.owner, "index", "index", told, PROGRAM))
        try:
            return ContentsBatch.model_validate(found)
        except ValidationError as error:
            raise Unavailable("The project's files can't be read for search: what was found is broken.") from error

    async def _accounts(self, command: ReadContents) -> dict[str, str]:
        """The team's Linux names: where all run as one account, that one."""
        spec = command.project
        if self._launcher.isolated:
            return {member.user: member.user for member in spec.team}
        account = await self._launcher.ensure_account(spec.owner, incarnation(spec, spec.owner))
        return {member.user: account.user for member in spec.team}

    # ── archives ────────────────────────────────────────────────────────────────────────────────────

    async def open(self, command: OpenArchive) -> Done:
        """Start the program and connect to it. TooMany while many are under way."""
        if command.archive in self._archives:
            return Done()
        if len(self._archives) >= _MOST:
            raise TooMany("This node packs and unpacks enough archives already. Try again in a minute.", retry_after=30)
        if command.way not in ("pack", "unpack") or not command.archive.isalnum():
            raise Invalid("An archive is packed or unpacked.")
        purpose = "change" if command.way == "unpack" else f"pack {command.user}"
        told = {
            "archive": command.archive,
            "metadata": command.metadata,
            "most_bytes": command.most_bytes,
            "most_files": command.most_files,
        }
        wish = Wish(command.project, command.user, purpose, command.way, told, PROGRAM)
        if wish.session in [archive.wish.session for archive in self._archives.values()]:
            raise Conflict(f"An archive of {command.project.name} is under way already. Try again afterwards.")
        await self._launcher.ensure_account(command.user, incarnation(command.project, command.user))
        folder = await self._launcher.make_run_dir(wish.session, command.user)
        socket = f"{folder}/archive"
        told["socket"] = socket
        process = await self._program.start(wish, socket)
        try:
            reader, writer = await self._connected(process, socket, wish)
        except TimeoutError:
            await asyncio.shield(self._program.gone(process))
            raise Unavailable("The program that packs archives did not begin in time.") from None
        except BaseException:
            await asyncio.shield(self._program.gone(process))
            raise
        archive = self._archives[command.archive] = Archive(command.way, wish, process, reader, writer)
        self._projects.work(self._while_wanted(command.archive, archive), f"archive {command.archive}")
        return Done()

    async def part(self, command: ReadArchive) -> ArchivePart:
        """The next part."""
        archive = self._of(command.archive)
        async with archive.busy:
            archive.touched = time.monotonic()
            if command.number == archive.number + 1:
                archive.part, archive.number = await _exactly(archive.reader, PART), command.number
                archive.ended = not archive.part
            elif command.number != archive.number:
                raise Conflict("Parts of an archive come one after the other.")
            return ArchivePart(data=base64.b64encode(archive.part).decode())

    async def take(self, command: WriteArchive) -> Done:
        """Hand a part on to the program. Conflict with its reason when it has ended."""
        archive = self._of(command.archive)
        async with archive.busy:
            archive.touched = time.monotonic()
            if command.number == archive.number:
                return Done()
            if command.number != archive.number + 1:
                raise Conflict("Parts of an archive come one after the other.")
            try:
                archive.writer.write(base64.b64decode(command.data, validate=True))
                await archive.writer.drain()
            except binascii.Error:
                raise Invalid("A part of an archive is Base64.") from None
            except OSError:
                await self._report(archive)  # raises, with why it ended
                raise Unavailable("Unpacking ended before the archive did.") from None
            archive.number = command.number
            return Done()

    async def close(self, command: CloseArchive) -> ArchiveReport:
        """The end, and what became of it."""
        archive = self._archives.get(command.archive)
        if archive is None:
            if command.abort:
                return ArchiveReport()
            raise NotFound("There is no such archive under way.")
        archive.touched = time.monotonic() + _END_SECONDS
        try:
            if command.abort:
                return ArchiveReport()
            if archive.way == "unpack":
                with suppress(OSError):
                    archive.writer.write_eof()
            return await self._report(archive)
        finally:
            await asyncio.shield(self._drop(command.archive))
            if archive.way == "unpack":
                self._projects.in_line_soon(archive.wish.project)

    async def _report(self, archive: Archive) -> ArchiveReport:
        exited = self._program.exited(archive.process)
        done, _ = await asyncio.wait([asyncio.shield(exited)], timeout=_END_SECONDS)
        if not done:
            raise Unavailable("The archive was not finished in time.")
        found = result_of(await self._program.said(archive.wish))
        try:
            return ArchiveReport.model_validate(found)
        except ValidationError as error:
            raise Unavailable("What was said of the archive is broken.") from error

    def _of(self, id: str) -> Archive:
        if id not in self._archives:
            raise NotFound("There is no such archive under way: it took too long, or its node was restarted.")
        return self._archives[id]

    async def _connected(
        self, process: Process, socket: str, wish: Wish
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        exited = self._program.exited(process)
        async with asyncio.timeout(_CONNECT_SECONDS):
            while True:
                with suppress(NotFound, OSError):
                    if await self._launcher.grant_socket(process):
                        return await asyncio.open_unix_connection(socket, limit=1 << 20)
                if exited.done():
                    result_of(await self._program.said(wish))
                    raise Unavailable("The program that packs archives ended at once.")
                await asyncio.wait([asyncio.shield(exited)], timeout=0.05)

    async def _while_wanted(self, id: str, archive: Archive) -> None:
        """End it when the server is not heard of any more; also when this node ends."""
        try:
            while (left := archive.touched + _IDLE_SECONDS - time.monotonic()) > 0:
                if archive.gone.is_set():
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(archive.gone.wait(), left)
        finally:
            await asyncio.shield(self._drop(id))

    async def _drop(self, id: str) -> None:
        archive = self._archives.pop(id, None)
        if archive is None:
            return
        archive.gone.set()
        archive.writer.close()
        try:
            await self._program.gone(archive.process)
        except AenError as error:
            log.warning("the program of an archive was not ended", archive=id, reason=error.message)

    def forget(self, project: str) -> None:
        """The project is gone."""
        self._looking.pop(project, None)


async def _exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    """So many bytes, or what is left."""
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError as error:
        return error.partial
