"""Prefixes that conda packages hold: which files, as their records say, and how one is put in place of another.

Standard library only, and nothing of the rest: the launcher's clone works with it too.
"""

from __future__ import annotations

import json


def held(record: str | bytes) -> dict[str, int]:
    """From a package's record: the files that hold the prefix. 0: a text; else the longest prefix that a binary has room for.

    One that can't be read as such tells nothing: it is not conda's.
    """
    try:
        paths = json.loads(record)["paths_data"]["paths"]
        found = [path for path in paths if path.get("prefix_placeholder")]
        return {
            path["_path"]: len(path["prefix_placeholder"].encode()) if path.get("file_mode") == "binary" else 0
            for path in found
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def patched(data: bytes, old: bytes, new: bytes, room: int) -> bytes:
    """A binary with another prefix and not a byte moved: each C string that holds it ends in NULs for the longest prefix.

    Raises ValueError when `new` is longer than what was left room for.
    """
    if len(new) > room:
        raise ValueError(f"the project's path is too long for this environment: {len(new)} bytes, {room} are the most")
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
