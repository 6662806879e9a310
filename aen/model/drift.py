"""Drift: what of a project's files is not in line with its team."""

from __future__ import annotations

from pydantic import Field

from aen.model import Word


class DriftItem(Word):
    """One file or directory that differs. `lacks` and `extra`: by person, letters of rwx."""

    path: str
    directory: bool
    reason: str
    lacks: dict[str, str] = Field(default_factory=dict)
    extra: dict[str, str] = Field(default_factory=dict)


class Drift(Word):
    """What a look found. `items`: the first that differ; `unreadable`: how many each person can't read."""

    looked_at: int = 0
    differing: int = 0
    items: list[DriftItem] = Field(default_factory=list)
    unreadable: dict[str, int] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    seconds: float = 0.0
