"""Fault: what went wrong inside AEN, all of the same place and type together."""

from __future__ import annotations

from pydantic import Field

from aen.model import Document


class Fault(Document):
    """One kind of fault. `id` is its fingerprint; counts and the last one's trace are kept, not each one."""

    place: str
    kind: str
    message: str
    what: str = ""
    trace: str = ""
    count: int = 0
    nodes: list[str] = Field(default_factory=list)
    ids: list[str] = Field(default_factory=list)  # the latest that people were told, newest first
    first: int = 0  # ms since 1970
    last: int = 0
    unread: bool = True
