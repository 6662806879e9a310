"""The bus: how roles talk. This is the contract; `local.py` carries it inside one process.

Events (`publish`/`subscribe`) are facts, at most once. Commands (`request`/`respond`) are wishes with one answer;
errors arrive as themselves, nobody there is Unavailable at once, no answer in time is TimedOut: whether it was done is unknown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from aen.messages import Command, Event
from aen.model import Word

MAX_PAYLOAD = 512 * 1024  # bytes, on every carrier

E = TypeVar("E", bound=Event)
C = TypeVar("C", bound=Command)


class Subscription(Protocol):
    """What `subscribe` and `respond` give back."""

    def cancel(self) -> None:
        """Hear no more. Safe to call twice."""


class Bus(AbstractAsyncContextManager["Bus"], Protocol):
    """What every carrier does."""

    async def publish(self, event: Event) -> None:
        """Tell everybody who subscribed to this kind. Never waits for them. Invalid when over MAX_PAYLOAD."""

    def subscribe(self, kind: type[E], handler: Callable[[E], Awaitable[None]]) -> Subscription:
        """Hear each event of `kind`, in the order of each publisher. A failing handler is logged and goes on hearing."""

    async def request(self, address: str, command: Command, timeout: float = 10.0) -> Any:
        """Ask whoever responds at `address` (see `names.address`) and return the answer, a `command.answer`.

        Raises the AenError that the responder raised; Unavailable when nobody is there; TimedOut after `timeout` seconds.
        """

    def respond(self, address: str, kind: type[C], handler: Callable[[C], Awaitable[Word]]) -> Subscription:
        """Answer commands of `kind` at `address`, each in its own task. A command id seen before is answered as before."""

    def health(self) -> dict[str, Any]:
        """The carrier's health in its own words."""
