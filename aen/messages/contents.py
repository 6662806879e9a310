"""What the server asks of a compute node about the contents of projects: read for search, packed, unpacked."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aen.messages.compute import ProjectSpec
from aen.messages.kinds import Command, Done
from aen.model import Word
from aen.model.content import FileContent

PART = 288 << 10  # bytes of an archive in one message: with its Base64 it stays below the bus's largest


class ReadContents(Command):
    """One batch of a project's files for search, after the path `after`: text of what changed since, names of the rest."""

    project: ProjectSpec
    after: str = ""
    since: int = 0  # ms since 1970
    most_bytes: int = 16 << 10  # of the text of one file


class ContentsBatch(Word):
    """The answer to ReadContents; `next` is the `after` of the following one, empty at the end."""

    files: list[FileContent] = Field(max_length=1000)
    next: str = Field("", max_length=4096)


class OpenArchive(Command):
    """Begin to pack a project (`way` pack), or to unpack an archive into it, as `user`. Parts follow; ended by CloseArchive."""

    project: ProjectSpec
    user: str
    archive: str  # an id that the server chose
    way: str  # pack | unpack
    metadata: dict[str, Any] = Field(default_factory=dict)  # what stands in the archive besides files
    most_bytes: int = 0  # that may come out of it
    most_files: int = 0


class ReadArchive(Command):
    """The next part of an archive that is packed; asked twice for one number, the same part comes twice."""

    archive: str
    number: int


class ArchivePart(Word):
    """A part, in Base64; an empty one is the end."""

    data: str = ""


class WriteArchive(Command):
    """The next part of an archive that is unpacked. Answered when it was taken."""

    archive: str
    number: int
    data: str


class CloseArchive(Command):
    """The end: of a whole archive, or (`abort`) of one that nobody wants any more. Conflict with the reason when it failed."""

    archive: str
    abort: bool = False


class ArchiveReport(Word):
    """What was packed or unpacked."""

    files: int = Field(0, ge=0)
    bytes: int = Field(0, ge=0)
    skipped: int = Field(0, ge=0)
    notes: list[str] = Field(default_factory=list, max_length=50)
    metadata: dict[str, Any] = Field(default_factory=dict)


ReadContents.answer = ContentsBatch
OpenArchive.answer = Done
ReadArchive.answer = ArchivePart
WriteArchive.answer = Done
CloseArchive.answer = ArchiveReport
