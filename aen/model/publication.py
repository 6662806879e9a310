"""Publication: a notebook, file or folder of a project as fixed pages at a stable address."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from aen.model import Document, Word, now


class Audience(StrEnum):
    """Who may look at it."""

    TEAM = "team"  # whoever sees the project
    SIGNED_IN = "signed_in"
    PUBLIC = "public"  # anyone who has the address


class PublishedFile(Word):
    """One page. `path` is percent-encoded, below what was published; sizes in bytes, packed."""

    path: str
    start: int = 0
    size: int = 0


class Version(Word):
    """What it was at one moment."""

    number: int
    at: int = Field(default_factory=now)
    user: str
    files: list[PublishedFile] = Field(default_factory=list)
    bytes: int = 0


class Publication(Document):
    """Its versions, oldest first; the last one is shown at its address. `state` is of the newest attempt."""

    project: str
    user: str
    path: str
    title: str
    description: str = ""
    audience: Audience = Audience.TEAM
    versions: list[Version] = Field(default_factory=list)
    made: int = 0  # how many versions there ever were
    state: str = "publishing"  # publishing | ready | failed
    reason: str = ""
    views: int = 0
    created: int = Field(default_factory=now)

    @property
    def version(self) -> Version | None:
        """The one that is shown."""
        return self.versions[-1] if self.versions else None


class PublishedPage(Document):
    """A page of a version: `<publication>:<number>:<index>`; `data` is packed, in base64."""

    publication: str
    data: str


class Rendered(Word):
    """What the program says it has rendered."""

    files: list[PublishedFile] = Field(max_length=200)
    bytes: int
    digest: str


class Piece(Word):
    """A piece of it, in base64."""

    data: str = Field(max_length=400_000)
