"""Moving a whole installation from one store to another: copied, compared by counts and content hashes, safe to begin again."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from aen.errors import Conflict, Unavailable
from aen.store import SCHEMA, Collection, Doc, Query, Store

UNFINISHED = "store:unfinished-copy"  # the document in `settings` of a target that is not whole yet
_PAGE = 500

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Content:
    """What a collection holds: how many documents, and a hash over all of them in the order of their ids."""

    name: str
    count: int
    digest: str


async def copy(source: Store, target: Store, tell: Tell, schema: Sequence[Collection] = SCHEMA) -> list[Content]:
    """Copy everything, with ids and revs, and see that both hold the same; says what was copied.

    Raises Conflict when somebody has one of them open, the target holds something else, or the source changed meanwhile.
    Begun again after an interruption, it goes on with what is missing.
    """
    await _refuse_company(source, target)
    await refuse_unfinished(source)
    await _begin(target, schema)
    for collection in schema:
        await _copied(source, target, collection.name, tell)
        await _without_more(source, target, collection.name)
    contents = []
    for collection in schema:
        mine, theirs = await content(source, collection.name), await content(target, collection.name)
        if mine != theirs:
            raise Conflict(
                f"{collection.name}: the copy ({theirs.count} documents) is not what the source holds ({mine.count}): "
                "was it changed meanwhile? Stop whatever uses it, and start this command again."
            )
        contents.append(mine)
        tell(f"{mine.name}: {mine.count} documents, the same on both sides ({mine.digest[:12]})")
    await _refuse_company(source, target)
    await target.delete("settings", UNFINISHED)
    return contents


async def refuse_unfinished(store: Store) -> None:
    """Raises Unavailable when the store is the target of a copy that was not finished."""
    if await store.get("settings", UNFINISHED) is not None:
        raise Unavailable(
            "store.url names the target of an `aen store copy` that was not finished: not everything is in it. "
            "Start that command again, or set store.url back to where everything still is."
        )


async def content(store: Store, collection: str) -> Content:
    """What a collection holds."""
    count, digest = 0, hashlib.sha256()
    async for page in _pages(store, collection):
        for doc in page:
            if doc["id"] != UNFINISHED:
                count += 1
                digest.update(json.dumps(doc, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return Content(collection, count, digest.hexdigest())


async def _begin(target: Store, schema: Sequence[Collection]) -> None:
    """Mark the target as not whole yet. Raises Conflict when it holds anything, but for what we began ourselves."""
    if await target.get("settings", UNFINISHED) is not None:
        return
    held = [collection.name for collection in schema if await target.count(collection.name)]
    if held:
        raise Conflict(
            f"The target is not empty (it holds {', '.join(held)}): nothing was copied. Name an empty database or a new file."
        )
    await target.insert("settings", {"id": UNFINISHED})


async def _copied(source: Store, target: Store, collection: str, tell: Tell) -> None:
    total, done = await source.count(collection), 0
    async for page in _pages(source, collection):
        have = {doc["id"]: doc for doc in await target.get_many(collection, [doc["id"] for doc in page])}
        missing = [doc for doc in page if have.get(doc["id"]) != doc]
        for doc in missing:
            if doc["id"] in have:  # of an earlier attempt; the source has gone on since
                await target.delete(collection, doc["id"])
        await asyncio.gather(*(target.restore(collection, doc) for doc in missing))
        done += len(page)
        if done < total:
            tell(f"{collection}: {done} of {total}")


async def _without_more(source: Store, target: Store, collection: str) -> None:
    """Take away what an earlier attempt brought and the source has no more."""
    async for page in _pages(target, collection):
        kept = {doc["id"] for doc in await source.get_many(collection, [doc["id"] for doc in page])}
        for doc in page:
            if doc["id"] not in kept and doc["id"] != UNFINISHED:
                await target.delete(collection, doc["id"])


async def _pages(store: Store, collection: str) -> AsyncIterator[list[Doc]]:
    cursor = ""
    while True:
        page = await store.find(collection, Query(limit=_PAGE, cursor=cursor))
        yield page.items
        cursor = page.next
        if not cursor:
            return


async def _refuse_company(*stores: Store) -> None:
    for store in stores:
        others = await store.others()
        if others:
            raise Conflict(f"The store is in use by {', '.join(others)}: stop every AEN server first.")
