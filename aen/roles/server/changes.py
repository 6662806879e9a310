"""Changing documents: the one retry loop for compare and set that all parts of the server use, and reading all pages."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from aen.errors import Conflict, NotFound
from aen.model import Document
from aen.store import Doc, Duplicate, Query, Stale, Store

D = TypeVar("D", bound=Document)
_TRIES = 50


async def change(
    store: Store, collection: str, kind: type[D], id: str, edit: Callable[[D], Awaitable[None] | None]
) -> D:
    """Read the document, let `edit` change it in place, replace it; again when somebody else was faster.

    `edit` may run several times, may raise to give up, and writes nothing when it changes nothing.
    Raises NotFound when there is no such document, Conflict when others are faster for very long.
    """
    for attempt in range(_TRIES):
        stored = await store.get(collection, id)
        if stored is None:
            raise NotFound("It is no longer there: somebody removed it meanwhile.")
        document = kind.model_validate(stored)
        before = document.model_dump(mode="json")
        waiting = edit(document)
        if waiting is not None:
            await waiting
        wanted = document.model_dump(mode="json")
        if wanted == before:
            return document
        try:
            return kind.model_validate(await store.replace(collection, wanted))
        except Stale:
            await asyncio.sleep(random.uniform(0, 0.002 * min(attempt + 1, 20)))  # noqa: S311
    raise Conflict("Many people are changing this at the same time. Try again in a moment.", retry_after=1)


async def put(store: Store, collection: str, document: D) -> D:
    """Store the document whatever stands there: for what is a picture of something real, where the last word counts."""
    for attempt in range(_TRIES):
        stored = await store.get(collection, document.id)
        doc = document.model_dump(mode="json")
        try:
            if stored is None:
                return type(document).model_validate(await store.insert(collection, doc))
            return type(document).model_validate(await store.replace(collection, {**doc, "rev": stored["rev"]}))
        except (Stale, Duplicate):
            await asyncio.sleep(random.uniform(0, 0.002 * min(attempt + 1, 20)))  # noqa: S311
    raise Conflict("Many are changing this at the same time. Try again in a moment.", retry_after=1)


async def every(store: Store, collection: str, query: Query = Query()) -> AsyncIterator[Doc]:  # noqa: B008 (frozen)
    """Every document that matches, page by page; `query.limit` is the size of a page."""
    while True:
        page = await store.find(collection, query)
        for doc in page.items:
            yield doc
        if not page.next:
            return
        query = replace(query, cursor=page.next)
