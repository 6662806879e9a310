"""Job: work that outlives the request that asked for it: stored, leased, retried, cancellable."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from aen.model import Document, now


class JobState(StrEnum):
    """How far a job is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Job(Document):
    """One piece of work. A worker holds it by a lease; a lease that ran out makes it anybody's again."""

    kind: str
    subject: str = ""  # what it is about, as `owner/name`
    payload: dict[str, Any] = Field(default_factory=dict)
    state: JobState = JobState.QUEUED
    active: bool = True  # QUEUED or RUNNING: what workers look for
    priority: int = 0
    progress: float = 0.0  # 0 to 1
    message: str = ""
    attempts: int = 0
    max_attempts: int = 5
    cancel: bool = False
    leased_by: str = ""
    leased_until: int = 0  # ms since 1970
    not_before: int = 0
    created_by: str = ""
    created: int = Field(default_factory=now)
    updated: int = Field(default_factory=now)
