"""Logins: how people prove who they are. This is the contract; `local.py` checks the password in the store (Argon2id)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aen.model.user import User


@dataclass(frozen=True)
class Identity:
    """Who somebody proved to be. `user` is the canonical name."""

    user: str
    full_name: str = ""
    email: str = ""


class LoginBackend(Protocol):
    """One way to prove it by name and password."""

    name: str

    async def check(self, user_name: str, password: str, user: User | None) -> Identity | None:
        """Who that is, or None. Takes the same time whether the person exists or not. `user` is the stored one, if any."""
