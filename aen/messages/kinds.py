"""The two kinds of messages: events are facts, commands are wishes with one answer."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from aen.model import Word, new_id


class Event(Word):
    """A fact. Delivered at most once: truth never rides on it."""


class Command(Word):
    """A wish with one answer."""

    answer: ClassVar[type[Word]]
    id: str = Field(default_factory=new_id)


class Done(Word):
    """The answer that says no more than that it is done."""
