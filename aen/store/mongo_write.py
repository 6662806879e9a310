"""Single writes of documents in MongoDB, each safe to do again when its answer was lost.

Every write has a name (`op`) that stays in the document: a repeated one finds what the earlier attempt did. Who created a
thing is decided by `insert_one` and DuplicateKeyError alone. Where the outcome can't be told any more, it is Unknown.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pymongo import errors

from aen.store import Doc, Duplicate, Stale
from aen.store.mongo_layout import Layout
from aen.store.mongo_link import Unknown

T = TypeVar("T")
Attempt = Callable[[bool], Coroutine[Any, Any, T]]

_SEEN = {"rev": 1, "op": 1}


def adding(table: Any, layout: Layout, doc: Doc) -> Attempt[None]:
    """Add a document, with the rev it has. Raises Duplicate."""
    op = secrets.token_hex(8)
    stored = layout.stored(doc, op)

    async def attempt(again: bool) -> None:
        try:
            await table.insert_one(stored)
        except errors.DuplicateKeyError:
            there = await table.find_one({"_id": doc["id"]}, _SEEN)
            if there is None:  # so it was a unique value
                raise await _taken(table, layout, doc) from None
            if there["op"] == op:
                return  # an earlier attempt, whose answer was lost
            if again and there["rev"] > doc["rev"]:
                raise Unknown from None  # it may have been ours, and changed since
            raise Duplicate(f"{layout.collection.name}: the id {doc['id']!r} is taken.", "id") from None

    return attempt


def replacing(table: Any, layout: Layout, doc: Doc) -> Attempt[None]:
    """Put `doc` in the place of the document of the rev before. Raises Stale, Duplicate."""
    id, rev, op = doc["id"], doc["rev"] - 1, secrets.token_hex(8)
    stored = layout.stored(doc, op)

    async def attempt(again: bool) -> None:
        try:
            changed = await table.replace_one({"_id": id, "rev": rev}, stored)
        except errors.DuplicateKeyError:
            raise await _taken(table, layout, doc) from None
        if changed.matched_count:
            return
        there = await table.find_one({"_id": id}, _SEEN)
        if there is not None and there["op"] == op:
            return  # an earlier attempt, whose answer was lost
        if again and (there is None or there["rev"] > rev):
            raise Unknown  # it may have been done, and changed once more since
        raise _stale(layout, id, there is None)

    return attempt


def deleting(table: Any, layout: Layout, id: str, rev: int | None) -> Attempt[bool]:
    """Remove a document; False when there was none. Raises Stale."""
    where: Doc = {"_id": id} if rev is None else {"_id": id, "rev": rev}

    async def attempt(again: bool) -> bool:
        if (await table.delete_one(where)).deleted_count:
            return True
        there = await table.find_one({"_id": id}, _SEEN)
        if there is None and again:
            raise Unknown  # by us or by somebody else: of those who take a thing away, one is told so
        if there is not None and rev is not None:
            raise _stale(layout, id, gone=False)
        return False

    return attempt


async def _taken(table: Any, layout: Layout, doc: Doc) -> Duplicate:
    """Which unique value is taken: looked up, for servers name their indexes as they like."""
    beside = layout.beside(doc)
    taken = layout.unique[0]  # should it have been let go of meanwhile
    for index in layout.unique:
        where = {f"k_{field}": beside[f"k_{field}"] for field in index.fields}
        if any(one["_id"] != doc["id"] for one in await table.find(where, {"_id": 1}, limit=2).to_list(None)):
            taken = index
            break
    values = ", ".join(f"{field} {doc.get(field)!r}" for field in taken.fields)
    return Duplicate(f"{layout.collection.name}: {values} is taken.", taken.name)


def _stale(layout: Layout, id: str, gone: bool) -> Stale:
    what = "is gone" if gone else "was changed by somebody else in the meantime"
    return Stale(f"{layout.collection.name}: {id!r} {what}. Read it again.")
