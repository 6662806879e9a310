"""Locks: what of one hashed list does not stand in another: `python -m tests.locks LESS MORE`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_START = re.compile(r"^(?=[A-Za-z0-9])", re.MULTILINE)


def blocks(lock: Path) -> list[str]:
    """Its packages, each with the hashes that follow it."""
    return [block for block in _START.split(lock.read_text()) if block.strip()]


def beyond(less: Path, more: Path) -> list[str]:
    """The packages of `more` that `less` lacks. ValueError when one stands in both and is not the same."""
    known = {_name(block): block for block in blocks(less)}
    for block in blocks(more):
        if known.get(_name(block), block) != block:
            raise ValueError(f"{_name(block)} is not the same in {less} and {more}")
    return [block for block in blocks(more) if _name(block) not in known]


def _name(block: str) -> str:
    first, _, marker = block.splitlines()[0].rstrip("\\ ").partition(";")
    return first.split("==")[0].strip() + ("; " + marker.strip() if marker else "")


if __name__ == "__main__":
    sys.stdout.write("".join(beyond(Path(sys.argv[1]), Path(sys.argv[2]))))
