"""Unanswered: what people are told when whoever was asked over the bus is not there, or says nothing. The same on every carrier."""

from __future__ import annotations

from aen.errors import TimedOut, Unavailable
from aen.names import plain


def nobody(address: str, kind: str) -> Unavailable:
    """Nobody answers commands of `kind` at a bus address (`compute.n7`)."""
    role, _, part = address.partition(".")
    name = plain(part)
    if role == "compute":
        return Unavailable(
            f"The compute node {name} does not answer right now ({kind}). It may be starting again; if it stays away, tell your administrator.",
            retry_after=2,
        )
    if role == "gateway":
        return Unavailable(
            f"The gateway of {name} does not answer right now ({kind}). It may be starting again; if it stays away, tell your administrator.",
            retry_after=2,
        )
    return Unavailable(
        f"The server does not answer right now ({kind}). It may be starting again: try once more in a moment.",
        retry_after=2,
    )


def silent(address: str, kind: str, seconds: float) -> TimedOut:
    """Somebody is there, and gave no answer within `seconds`."""
    role, _, part = address.partition(".")
    name = plain(part)
    if role == "compute":
        return TimedOut(
            f"The compute node {name} gave no answer within {seconds:g} s: whether it was done is unknown ({kind}). Look before you try again."
        )
    if role == "gateway":
        return TimedOut(
            f"The gateway of {name} gave no answer within {seconds:g} s: whether it was done is unknown ({kind}). Look before you try again."
        )
    return TimedOut(
        f"The server gave no answer within {seconds:g} s: whether it was done is unknown ({kind}). Look before you try again."
    )
