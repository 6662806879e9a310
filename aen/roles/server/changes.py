"""Changing one document: the one retry loop for compare and set that all parts of the server use."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

from aen.errors import Conflict, NotFound
from aen.model import Document
from aen.store import Stale, Store

D = TypeVar("D", bound=Document)
_TRIES = 50


async def change(store: Store, collection: str, kind: type[D], id: str, edit: Callable[[D], None]) -> D:
    """Read the document, let `edit` change it in place, replace it; again when somebody else was faster.

    `edit` may run several times, may raise to give up, and writes nothing when it changes nothing.
    Raises NotFound when there is no such document, Conflict when others are faster for very long.
    """
    for attempt in range(_TRIES):
        stored = await store.get(collection, id)
        if stored is None:
            raise NotFound("It is no longer there: somebody removed it meanwhile.")
        document = kind.model_validate(stored)
        edit(document)
        wanted = document.model_dump(mode="json")
        if wanted == stored:
            return document
        try:
            return kind.model_validate(await store.replace(collection, wanted))
        except Stale:
            await asyncio.sleep(random.uniform(0, 0.002 * min(attempt + 1, 20)))  # noqa: S311
    raise Conflict("Many people are changing this at the same time. Try again in a moment.", retry_after=1)
