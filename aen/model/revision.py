"""Revisions of a project's folder, kept by git: what differs, who changed what when. Paths are percent-encoded."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

from pydantic import Field

from aen.model import Word


def readable(path: str) -> str:
    """A percent-encoded path for people: what can't be shown is replaced."""
    text = unquote_to_bytes(path).decode(errors="replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


class ChangedFile(Word):
    """A file that is not as in the last revision: new, changed, removed, conflict."""

    path: str
    state: str


class RevisionStatus(Word):
    """How a folder stands. `ahead`, `behind`: revisions that the remote has not, or has more; -1: not known."""

    repository: bool = False
    repositories: list[str] = Field(default_factory=list)  # folders of the project that are repositories
    branch: str = ""
    head: str = ""
    remote: str = ""
    ahead: int = -1
    behind: int = -1
    files: list[ChangedFile] = Field(default_factory=list)
    more: bool = False  # there are more files than are listed


class Revision(Word):
    """One revision. `at` in ms since 1970."""

    id: str
    short: str
    name: str
    email: str
    at: int
    subject: str
    body: str = ""


class RevisionPage(Word):
    """Revisions, newest first; `next` is where the next page begins, 0 at the end."""

    revisions: list[Revision] = Field(default_factory=list)
    next: int = 0


class CellDifference(Word):
    """A cell: new, removed, changed, outputs (only they differ), same (so many that do not), cut."""

    state: str
    kind: str
    count: int = 1
    rows: list[list[Any]] = Field(default_factory=list)  # [kind, old number, old line, new number, new line]
    outputs: list[list[str]] = Field(default_factory=list)  # [- or +, text]


class FileDifference(Word):
    """A file that differs: as lines, or, of a notebook, as cells."""

    path: str
    state: str
    note: str = ""
    rows: list[list[Any]] = Field(default_factory=list)
    cells: list[CellDifference] = Field(default_factory=list)


class Differences(Word):
    """What differs between two moments; `revision` is told where it is that of one revision."""

    revision: Revision | None = None
    files: list[FileDifference] = Field(default_factory=list)
    more: bool = False


class GitKey(Word):
    """The public half of a person's key for git on a node; empty: there is none yet."""

    public: str = ""
    fingerprint: str = ""


class Restored(Word):
    """`saved`: the branch that keeps what was not committed; empty when there was nothing."""

    saved: str = ""


class Committed(Word):
    """The id of the new revision."""

    revision: str
