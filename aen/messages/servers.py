"""What servers tell each other, where several share one store. Facts that are told late or never cost time, never truth."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from aen.messages.kinds import Event


class ServerTold(Event):
    """One server tells the others. `page`: a live event for pages; `failed`: a sign-in failed; `changed`: read a collection anew."""

    origin: str = Field(max_length=32)  # the server's process: it hears itself, too
    what: Literal["page", "failed", "changed", "job", "here"]
    topic: str = Field(
        "", max_length=300
    )  # page: its topic; failed: the account; changed: the collection; job: its id; here: a project
    kind: str = Field("", max_length=100)  # page: its kind; failed: the address; here: who has a page of it open
    data: dict[str, Any] = Field(default_factory=dict)
