"""Writes to a store until it is killed; says on stdout what was answered. Started by test_store_kill.py."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from aen.store.sqlite import SqliteStore
from tests.contract.store_schema import SCHEMA

WRITERS = 20


async def main(path: str, round: str) -> None:
    async with SqliteStore(path, SCHEMA) as store:
        os.write(1, b"open\n")
        await asyncio.gather(*(write(store, f"r{round}w{number}") for number in range(WRITERS)))


async def write(store: SqliteStore, name: str) -> None:
    """Inserts, replacements and deletions; each is told (in one write, so never half a line) only once it was answered."""
    number = 0
    while True:
        id = f"{name}-{number}"
        doc = await store.insert("things", {"id": id, "name": id, "tags": [name], "about": "kept", "size": 0})
        tell(id, 0)
        await store.replace("things", {**doc, "size": 1, "tags": [name, "second"]})
        tell(id, 1)
        if deleted(id):
            await store.delete("things", id)
            tell(id, None)
        number += 1


def deleted(id: str) -> bool:
    """Whether this document is deleted in the end."""
    return id.endswith("0")


def tell(id: str, size: int | None) -> None:
    os.write(1, (json.dumps([id, size]) + "\n").encode())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
