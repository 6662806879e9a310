"""Words of AEN as data: what stands in the store, on the bus and in API answers."""

from __future__ import annotations

import time
import uuid

from pydantic import BaseModel, ConfigDict


class Word(BaseModel):
    """Base of everything that is sent or stored: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class Document(Word):
    """Something in the store. `rev` guards replacing it: compare and set."""

    id: str
    rev: int = 0


def now() -> int:
    """The time in ms since 1970, UTC: how AEN stores time."""
    return time.time_ns() // 1_000_000


_last = [0, 0]  # ms and count of the newest id


def new_id() -> str:
    """A new document id, sortable by the time it was made; in one process also within one millisecond.

    48 bits of ms since 1970, 16 bits that count within it, 48 random bits.
    """
    at = now()
    if at > _last[0]:
        _last[:] = at, 0
    else:  # the same millisecond, or the clock went back
        _last[:] = _last[0] + (_last[1] + 1 >> 16), (_last[1] + 1) & 0xFFFF
    return f"{_last[0]:012x}{_last[1]:04x}{uuid.uuid4().hex[:12]}"
