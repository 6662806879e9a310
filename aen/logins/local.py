"""Local logins: the password in the store, as Argon2id (PHC string), checked in a few threads of its own."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from aen.errors import Invalid, Unavailable
from aen.logins import Identity, Means
from aen.model.user import User

T = TypeVar("T")

SHORTEST = 10  # characters
LONGEST = 1024  # bytes; more is refused before any work is done
_MEMORY, _PASSES, _LANES = 19456, 2, 1  # KiB, passes, lanes: the OWASP minimum for Argon2id, about 25 ms
_WAITING = 500  # sign-ins that may wait for a thread before new ones are asked to come again
_threads = ThreadPoolExecutor(max_workers=max(1, min(4, os.cpu_count() or 1)), thread_name_prefix="argon2id")
_waiting = 0


class LocalLogin:
    """Checks a name and password against the stored hash."""

    name = "local"

    def __init__(self, means: Means | None = None) -> None:
        """`means` is what every login back end is made with; this one needs nothing of it."""

    async def check(self, user_name: str, password: str, user: User | None) -> Identity | None:
        """Who that is, or None; as slow for names that do not exist. Unavailable when very many wait."""
        if len(password) > LONGEST or len(password.encode(errors="replace")) > LONGEST:
            return None  # nobody has such a password: this tells nothing about the name
        mine = user is not None and user.login_backend == self.name and bool(user.password)
        good = await _in_thread(_verify, password, user.password if user is not None and mine else "")
        return Identity(user.id) if good and mine and user is not None else None


async def hashed(password: str) -> str:
    """`password` as a PHC string. Raises Invalid when the policy refuses it."""
    check_policy(password)
    return await _in_thread(_hash, password, "")


def check_policy(password: str) -> None:
    """Raise Invalid, saying what is wrong, when `password` is too short, too long or not text."""
    if len(password) < SHORTEST:
        raise Invalid(
            f"That password is too short: use at least {SHORTEST} characters. Several words are easy to keep."
        )
    if len(password) > LONGEST or len(password.encode(errors="replace")) > LONGEST:
        raise Invalid(f"That password is too long: use at most {LONGEST} bytes.")
    if "\x00" in password or len(set(password)) < 3:
        raise Invalid(
            "That password is too easy to guess: use more than two different characters, and none that are NUL."
        )


def is_outdated(stored: str) -> bool:
    """Whether the hash was made with other parameters than ours: then a sign-in makes it anew."""
    return not stored.startswith(f"$argon2id$v=19$m={_MEMORY},t={_PASSES},p={_LANES}$")


async def _in_thread(work: Callable[[str, str], T], password: str, stored: str) -> T:
    global _waiting
    if _waiting >= _WAITING:
        raise Unavailable("Very many people are signing in right now. Try again in some seconds.", retry_after=5)
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(_threads, work, password, stored)
    finally:
        _waiting -= 1


def _hash(password: str, _: str = "") -> str:
    kdf = Argon2id(salt=os.urandom(16), length=32, iterations=_PASSES, lanes=_LANES, memory_cost=_MEMORY)
    return kdf.derive_phc_encoded(password.encode())


def _verify(password: str, stored: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode(errors="replace"), stored or _dummy())
    except InvalidKey:
        return False
    return True


@cache
def _dummy() -> str:
    """A hash that no password has: checked for names that do not exist, so that timing tells nothing."""
    return _hash(secrets.token_urlsafe(32))
