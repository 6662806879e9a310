"""Prefixes that conda packages hold: which files, as their records say, and how one is put in place of another. Standard library only."""

from __future__ import annotations

import json
import os

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
                found |= _record(os.open(name, _O_READ, dir_fd=folder))
    finally:
        os.close(folder)
    return found


def _record(fd: int) -> dict[str, int]:
    """What one package's record tells. One that can't be read as such tells nothing: it is not conda's."""
    with open(fd, "rb") as file:
        data = file.read(_LARGEST_RECORD)
    try:
        paths = json.loads(data)["paths_data"]["paths"]
        held = [path for path in paths if path.get("prefix_placeholder")]
        return {
            path["_path"]: len(path["prefix_placeholder"].encode()) if path.get("file_mode") == "binary" else 0
            for path in held
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def patched(data: bytes, old: bytes, new: bytes, room: int) -> bytes:
    """A binary with another prefix and not a byte moved: each C string that holds it ends in NULs for the longest prefix.

    Raises Untrusted when `new` is longer than what was left room for.
    """
    if len(new) > room:
        raise Untrusted(f"The project's path is too long for this environment: {len(new)} bytes, {room} are the most.")
    made = bytearray(data)
    at = data.find(old)
    while at >= 0:
        end = data.find(b"\0", at)
        end = len(data) if end < 0 else end
        text = data[at:end]
        free = text.count(old) * (room - len(old))  # NULs that conda left behind this string
        made[at : end + free] = text.replace(old, new).ljust(len(text) + free, b"\0")
        at = data.find(old, end)
    return bytes(made)
