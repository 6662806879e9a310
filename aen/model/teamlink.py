"""Team link: an invitation into a project's team for whoever has it and an account, until it expires."""

from __future__ import annotations

from pydantic import Field

from aen.model import Document, now
from aen.model.project import Role


class TeamLink(Document):
    """`id` is the sha256 of the code in the link: who reads the store can't use it."""

    project: str
    role: Role
    created_by: str
    created: int = Field(default_factory=now)
    expires: int
    used: int = 0
