"""Mail: a letter that waits to be sent, and what people may choose to be told of."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from aen.languages import N_
from aen.model import Document, now


class Notice(StrEnum):
    """What people are told of by mail, unless they choose otherwise."""

    SESSION = "session"
    TEAM = "team"
    JOB = "job"
    RUN = "run"
    DAILY = "daily"


#: For the page where people choose: what it is, and whether it is for staff and administrators only.
NOTICES: dict[Notice, tuple[str, bool]] = {
    Notice.SESSION: (N_("A session of mine is about to be stopped because it is idle, or was stopped"), False),
    Notice.TEAM: (N_("Somebody adds me to a project"), False),
    Notice.JOB: (N_("Work that I started in the background failed"), False),
    Notice.RUN: (N_("A scheduled run of mine failed"), False),
    Notice.DAILY: (N_("The daily report"), True),
}


class Outgoing(Document):
    """A letter in the outbox. It goes once it is sent; what is given up stays for some days, to be looked at."""

    to: str
    user: str = ""
    kind: str
    subject: str
    text: str
    html: str = ""
    attempts: int = 0
    due: int = Field(default_factory=now)  # ms since 1970: not tried before
    state: str = "waiting"  # or failed
    error: str = ""
    created: int = Field(default_factory=now)
