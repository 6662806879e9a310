"""Prefixes that a conda environment holds, read through its directory descriptor. Standard library only: the launcher's clone works with it."""

from __future__ import annotations

import os

from aen.environments.user_side.aen_environments import prefix

_O_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_O_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LARGEST_RECORD = 64 << 20  # bytes of a package's record in conda-meta


class Untrusted(Exception):
    """In the source lies something that neither root nor the service account owns, or that can't be used."""


def holding_prefix(source: int) -> dict[str, int]:
    """From `conda-meta`: the files that hold the environment's prefix. 0: a text; else the longest prefix that a binary has room for."""
    found: dict[str, int] = {}
    try:
        folder = os.open("conda-meta", _O_DIRECTORY, dir_fd=source)
    except FileNotFoundError:
        return found
    try:
        for name in os.listdir(folder):
            if name.endswith(".json"):
                with open(os.open(name, _O_READ, dir_fd=folder), "rb") as file:
                    found |= prefix.held(file.read(_LARGEST_RECORD))
    finally:
        os.close(folder)
    return found


def patched(data: bytes, old: bytes, new: bytes, room: int) -> bytes:
    """See `prefix.patched`. Raises Untrusted when `new` is longer than what was left room for."""
    try:
        return prefix.patched(data, old, new, room)
    except ValueError as error:
        raise Untrusted(f"It can't be cloned: {error}.") from None
