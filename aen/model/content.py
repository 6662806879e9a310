"""Content: what search knows of one file of a project, and searches that a person keeps."""

from __future__ import annotations

import hashlib

from pydantic import Field

from aen.model import Document, Word, now


class FileContent(Word):
    """One file as its node read it, as the project's owner. `text` is None where it was not read again."""

    path: str = Field(max_length=4096)  # below the project
    kind: str = Field(max_length=20)  # notebook | text | file
    size: int = Field(ge=0)
    changed: int = Field(ge=0)  # ms since 1970
    readers: list[str] = Field(max_length=2100)  # who of the team may read it, by its permissions and its folders'
    libraries: list[str] = Field(default_factory=list, max_length=200)
    text: str | None = Field(None, max_length=64 * 1024)


class Content(Document):
    """One file of a project in the index. `readers` are names; who asks must also be in the team now."""

    project: str
    path: str
    kind: str
    size: int
    changed: int
    readers: list[str]
    libraries: list[str] = Field(default_factory=list)
    text: str = ""
    search: str = ""


class Libraries(Document):
    """What a project's code imports, as far as its whole team may read it. The id is the project's."""

    libraries: list[str]
    indexed: int = 0  # ms since 1970: files changed before that need no second reading
    readers: str = ""  # the team that it was made for


class SavedSearch(Document):
    """A search that a person keeps, on their home page."""

    user: str
    title: str
    words: str
    kind: str = ""
    created: int = Field(default_factory=now)


def content_id(project: str, path: str) -> str:
    """The id of a file of a project in the index."""
    return f"{project}:{hashlib.sha256(path.encode(errors='surrogateescape')).hexdigest()[:32]}"
