"""Errand: something done in a project as one of its people, by the program for it; watched to its end by a node."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from aen.model import Word, now


class ErrandReport(Word):
    """How an errand is doing, or how it ended. `result` is what the person's own process said: data, to be checked."""

    id: str
    project: str
    user: str
    verb: str
    state: Literal["running", "done", "failed", "lost"] = "running"
    reason: str = ""
    output: str = ""  # the end of what it said
    result: dict[str, Any] = Field(default_factory=dict)
    since: int = Field(default_factory=now)
    ended: int = 0
