"""What every node tells of faults of AEN itself."""

from __future__ import annotations

from pydantic import Field

from aen.messages.kinds import Event


class FaultReported(Event):
    """Something went wrong inside AEN. Without secrets and without local variables."""

    node: str = Field("", max_length=63)
    fingerprint: str = Field(max_length=16, pattern="^[0-9a-f]{16}$")  # of place and type: what belongs together
    place: str = Field(max_length=200)  # file:function
    kind: str = Field(max_length=200)  # the exception's type
    message: str = Field(max_length=500)
    what: str = Field("", max_length=200)  # the log's text
    id: str = Field("", max_length=64)  # that a person was told
    trace: str = Field("", max_length=8_000)
    at: int
