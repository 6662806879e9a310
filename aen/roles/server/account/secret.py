"""Secret: what login cookies are encrypted with: configured, or made once and kept in the data directory."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from aen.config import Config
from aen.errors import Invalid

SHORTEST = 32  # characters
_OPTION = "server.secret_key"


def secret_of(config: Config) -> str:
    """The configured secret, else that of `<data_dir>/secret-key` (mode 0600), made at first start.

    Raises Invalid when it is short, looks like a default, or others may read the file.
    """
    configured = config.server.secret_key.get_secret_value()
    if configured:
        return _checked(configured, f"{_OPTION} is")
    path = Path(config.data_dir) / "secret-key"
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return _make(path)
    with open(opened) as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise Invalid(f"{path} can be read by others: chmod 600 it, or delete it (everybody then signs in again).")
        return _checked(file.read().strip(), f"What {path} holds is")


def _checked(secret: str, what: str) -> str:
    if len(secret) < SHORTEST:
        raise Invalid(f"{what} too short: use at least {SHORTEST} random characters, or leave {_OPTION} empty.")
    if len(set(secret)) < 10 or "change" in secret.lower() or "secret" in secret.lower():
        raise Invalid(f"{what} easy to guess: use random characters, or leave {_OPTION} empty to have one made.")
    return secret


def _make(path: Path) -> str:
    secret = secrets.token_urlsafe(48)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    return secret
