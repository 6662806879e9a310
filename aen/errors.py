"""Errors: eight kinds that people are told of, each with one code on page, API and bus."""

from __future__ import annotations

import secrets
from typing import Any, ClassVar


class AenError(Exception):
    """Something went wrong in a way that has a name.

    `message` is for the person: what happened, why, and what to do next. It never holds a secret.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, id: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.id = id or new_id()
        self.retry_after = retry_after  # seconds, where waiting helps

    def to_wire(self) -> dict[str, Any]:
        """The form in which this error crosses the bus and stands in an API answer."""
        return {"code": self.code, "message": self.message, "id": self.id}


class Invalid(AenError):
    """What was asked is not well formed: the asker must change it."""

    code, status = "invalid", 400


class NotSignedIn(AenError):
    """Nobody is signed in, or the login has ended."""

    code, status = "not_signed_in", 401


class Denied(AenError):
    """The person is known and may not do this (what they may not even see is NotFound)."""

    code, status = "denied", 403


class NotFound(AenError):
    """There is no such thing, or the asker may not see it."""

    code, status = "not_found", 404


class Conflict(AenError):
    """The thing is not in a state that allows this, or somebody else was faster."""

    code, status = "conflict", 409


class TooMany(AenError):
    """A limit was reached; `retry_after` says when to try again."""

    code, status = "too_many", 429


class Unavailable(AenError):
    """A part that is needed is not there right now."""

    code, status = "unavailable", 503


class TimedOut(AenError):
    """No answer in time: whether it was done is unknown."""

    code, status = "timed_out", 504


class Internal(AenError):
    """A fault of ours; its id stands on the page and in the log."""


KINDS: dict[str, type[AenError]] = {
    kind.code: kind
    for kind in (Invalid, NotSignedIn, Denied, NotFound, Conflict, TooMany, Unavailable, TimedOut, Internal)
}


def from_wire(data: dict[str, Any]) -> AenError:
    """The error that `to_wire` described; an unknown code is Internal."""
    kind = KINDS.get(str(data.get("code")), Internal)
    return kind(str(data.get("message", "")), id=data.get("id"))


def new_id() -> str:
    """A short id under which an error or a request is found again in the log."""
    return secrets.token_hex(6)
