"""Wording: what people write about a project (summary, description, tags), checked and brought into one form."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import Field

from aen.errors import Invalid
from aen.model import Word
from aen.model.project import Project, Visibility

_SUMMARY = 300  # characters
_DESCRIPTION = 64 * 1024  # bytes
_TAGS, _TAG = 20, 40
_NOT_IN_TAGS = re.compile(r"[^\w.+#-]+")


class NewProject(Word):
    """What `create` takes (the API's body)."""

    name: str
    summary: str = ""
    description: str = ""
    visibility: Visibility | None = None
    tags: list[str] = Field(default_factory=list)
    datacenter: str = ""


class ProjectPatch(Word):
    """What `update` takes (the API's body): only what is given changes."""

    summary: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    tags: list[str] | None = None


def summary(text: str) -> str:
    """One line of at most 300 characters. Raises Invalid."""
    line = " ".join(_encodable(text, "The summary").split())
    if len(line) > _SUMMARY:
        raise Invalid(f"The summary is {len(line)} characters long; {_SUMMARY} is the most.")
    return line


def description(text: str) -> str:
    """Markdown of at most 64 KB. Raises Invalid."""
    clean = _encodable(text, "The description").replace("\r\n", "\n")
    if len(clean.encode()) > _DESCRIPTION:
        raise Invalid("The description is longer than 64 KB. Put the rest into a file of the project.")
    return clean


def tags(given: Sequence[str]) -> list[str]:
    """At most 20 tags: lower case, letters, digits and . + # - _, blanks as -, each once. Raises Invalid."""
    clean: dict[str, None] = {}
    for text in given:
        tag = _NOT_IN_TAGS.sub("-", _encodable(text, "A tag").strip().lower()).strip("-")
        if len(tag) > _TAG:
            raise Invalid(f"The tag {tag[:_TAG]}… is too long; {_TAG} characters is the most.")
        if tag:
            clean[tag] = None
    if len(clean) > _TAGS:
        raise Invalid(f"These are {len(clean)} tags; {_TAGS} is the most.")
    return list(clean)


def search_text(project: Project) -> str:
    """What search runs on: full name, summary and tags, in lower case."""
    return " ".join((project.owner, project.name, project.summary, *project.tags)).lower()


def _encodable(text: str, what: str) -> str:
    """`text`, unless it holds what no store or page can carry: half a surrogate pair, or NUL and its like."""
    if any(0xD800 <= ord(c) <= 0xDFFF or (ord(c) < 32 and c not in "\t\n\r") for c in text):
        raise Invalid(f"{what} holds characters that can't be stored (control characters or broken Unicode).")
    return text
