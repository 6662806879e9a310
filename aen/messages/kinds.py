"""The two kinds of messages: events are facts, commands are wishes with one answer. Each says its version.

Nodes are upgraded one after the other, so each must bear messages of the version before and after its own: a field may be
added with a default (who does not know it leaves it out), a message may be added (who does not know it does not hear it).
What else is changed raises PROTOCOL: then older nodes refuse such a message, saying what to upgrade.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from aen.model import Word, new_id

PROTOCOL = 1


class Event(Word):
    """A fact. Delivered at most once: truth never rides on it."""

    protocol: int = PROTOCOL


class Command(Word):
    """A wish with one answer."""

    answer: ClassVar[type[Word]]
    protocol: int = PROTOCOL
    id: str = Field(default_factory=new_id)


class Done(Word):
    """The answer that says no more than that it is done."""
