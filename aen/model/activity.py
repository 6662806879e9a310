"""Activity: one act of a person or of AEN, for the project's page and for the security log."""

from __future__ import annotations

from pydantic import Field

from aen.model import Document, now


class Activity(Document):
    """Who did what to what, when. `readers` are those who may see it besides administrators."""

    at: int = Field(default_factory=now)
    who: str  # the person acted upon or signed in
    actor: str  # who really acted (differs when an administrator acts for somebody)
    act: str  # past tense, dotted: project.created, login.failed, team.removed
    object: str = ""  # owner/name, user name, session id
    project: str = ""  # project id
    detail: str = ""
    address: str = ""
    security: bool = False
