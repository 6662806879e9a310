"""What the server asks of a compute node for an errand: something done in a project as one of its people."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aen.messages.compute import ProjectSpec
from aen.messages.kinds import Command, Event
from aen.model import Word
from aen.model.errand import ErrandReport


class AskErrand(Command):
    """Do it now and answer with its result: looking, and what takes a moment. TimedOut after `seconds`."""

    project: ProjectSpec
    user: str
    verb: str
    told: dict[str, Any] = Field(default_factory=dict)
    seconds: float = 30.0


class ErrandAnswer(Word):
    """The result of AskErrand."""

    result: dict[str, Any]


class StartErrand(Command):
    """Begin it, or say how the one of this id is doing: it never runs twice. `ErrandReported` follows."""

    errand: str
    key: str  # of one key, one at a time for a person in a project: they share a log
    project: ProjectSpec
    user: str
    verb: str
    told: dict[str, Any] = Field(default_factory=dict)
    seconds: float = 3600.0  # after which it is ended


class ReadErrand(Command):
    """How it is doing. NotFound: this node never heard of it, or it ended long ago."""

    errand: str


class StopErrand(Command):
    """End it."""

    errand: str
    reason: str = ""


class ErrandReported(Event):
    """An errand said something, or ended."""

    node: str
    errand: ErrandReport


AskErrand.answer = ErrandAnswer
StartErrand.answer = ErrandReport
ReadErrand.answer = ErrandReport
StopErrand.answer = ErrandReport
