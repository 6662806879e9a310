"""Setting: what an administrator changed while AEN runs, in place of what the configuration says."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from aen.model import Document, Word, now


class Setting(Document):
    """One setting. `id` is `live:` and its name; it holds until somebody takes it back."""

    value: Any
    by: str
    at: int = Field(default_factory=now)


class Announcement(Word):
    """What stands on every page until then. An empty text: nothing."""

    text: str = Field("", max_length=500)
    level: str = Field("info", pattern="^(info|warning|bad)$")
    until: int = Field(0, ge=0)  # ms since 1970; 0: until it is taken away
