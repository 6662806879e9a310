"""Share: a link by which whoever has it may look at one file or folder of a project until it ends."""

from __future__ import annotations

from pydantic import Field

from aen.model import Document, now


class Share(Document):
    """One link. Its secret is kept nowhere: `hash` is the sha256 (hex) of it."""

    project: str  # project id
    path: str  # below the project's directory, percent-encoded, without a slash at the ends
    name: str  # how people see it
    user: str  # who made it, and as whom it is read: it shows nothing that they may not read
    incarnation: str = ""
    hash: str
    expires: int  # ms since 1970
    created: int = Field(default_factory=now)
    opened: int = 0  # when it was asked for last, about; 0: never
