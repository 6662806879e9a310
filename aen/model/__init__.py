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


def new_id() -> str:
    """A new document id, sortable by the time it was made."""
    return f"{now():012x}{uuid.uuid4().hex[:16]}"
