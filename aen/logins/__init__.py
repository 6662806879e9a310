"""Logins: how people prove who they are. This is the contract; `local.py` checks the password in the store (Argon2id).

A back end is made with `Means` and is one of two kinds: a `PasswordBackend` is asked about a name and a password on AEN's own
form, a `VisitBackend` has a button there and sends the browser to somebody else, who sends it back with a proof.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from aen.config import Config
from aen.model.user import User


@dataclass(frozen=True)
class Means:
    """What back ends are made with."""

    config: Config
    #: The launcher's question to PAM; None where this node has no launcher.
    check_password: Callable[[str, str], Awaitable[bool]] | None = None


@dataclass(frozen=True)
class Identity:
    """Who somebody proved to be. `user` is the canonical name."""

    user: str
    full_name: str = ""
    email: str = ""
    #: The back end vouches that the address is theirs: only such ones count for `server.login.domains`.
    email_verified: bool = False
    #: What tells this person from a later one of the same name, for good; empty where the back end has no such thing.
    subject: str = ""
    #: What the back end calls them, where `user` was made of it: by this they are found there again.
    known_as: str = ""
    #: Whether the back end makes them administrator; None: it says nothing of it.
    admin: bool | None = None
    #: Whether it makes them one of the staff; None: it says nothing of it.
    staff: bool | None = None


@runtime_checkable
class PasswordBackend(Protocol):
    """Proof by name and password."""

    name: str

    async def check(self, user_name: str, password: str, user: User | None) -> Identity | None:
        """Who that is, or None; an empty password is never right. `user` is the stored person, if any.

        Takes the same time whether the person exists or not, as far as what it asks does. Unavailable when that can't be asked,
        Denied when the person is right and may not come in (a group is missing).
        """


@dataclass(frozen=True)
class Visit:
    """A browser on its way to a provider: where it goes, and what it must bring back (kept in an encrypted cookie)."""

    url: str
    kept: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class VisitBackend(Protocol):
    """Proof by somebody else, whom the browser visits."""

    name: str
    title: str  # what stands on the button, after "Sign in with"
    days: float  # how long such a login is good

    @property
    def origin(self) -> str:
        """Where it lives: a form of ours may lead on to there."""

    async def begin(self, back: str) -> Visit:
        """Send a browser off; it comes back to `back`. Unavailable when the provider can't be asked."""

    async def finish(self, back: str, given: Mapping[str, str], kept: Mapping[str, str]) -> Identity:
        """Who that is, from what the browser brought (`given`) and what it kept. Denied, with why; Unavailable."""

    async def leave(self, back: str) -> str:
        """Where signing out leads; empty: nowhere else."""


@runtime_checkable
class Rechecked(Protocol):
    """A back end that can be asked about people who are not there."""

    async def still(self, user: User) -> Identity | None:
        """What is known of the person now; None: they are gone, locked or may not come in any more. Unavailable: nobody knows."""


LoginBackend = PasswordBackend | VisitBackend
