"""Opening a MongoDB database as a store: waited for, recognised, its indexes made, every trouble one sentence that names store.url."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from pymongo import errors

from aen.errors import Invalid, Unavailable
from aen.store import Doc
from aen.store.mongo_layout import Declared, Layout

APPLICATION = "AEN1"
FORMAT = 1
OWN = "aen_store"  # the collection with what the store knows of itself
PRESENCE_SECONDS = 10.0  # between two signs of life of one that has the store open
GONE_SECONDS = 45.0  # without a sign: it has ended without saying so
_RETRY_SECONDS = 0.5

log = structlog.get_logger(__name__)


async def answering(ping: Callable[[], Awaitable[Any]], where: str, seconds: float) -> None:
    """Wait until MongoDB answers. Raises Unavailable after `seconds`, Invalid when it refuses the login."""
    deadline = time.monotonic() + seconds
    told = False
    while True:
        try:
            await ping()
            return
        except errors.OperationFailure as error:
            raise Invalid(
                f"store.url: MongoDB at {where} refuses AEN (error {error.code}). Check user, password and authSource in store.url."
            ) from error
        except errors.PyMongoError as error:
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"store.url: MongoDB at {where} does not answer. Check that it runs (systemctl status mongod), that "
                    "this machine may reach its port, and that store.url names the right hosts and replica set; then start AEN again."
                ) from error
        if not told:
            told = True
            log.warning("waiting for the store", where=where, seconds=seconds)
        await asyncio.sleep(_RETRY_SECONDS)


async def recognise(database: Any) -> None:
    """Make the database ours, or see that it is. Raises Invalid when it is another program's or a newer AEN's."""
    own = database[OWN]
    found = await own.find_one({"_id": "format"})
    if found is None:
        names = [name for name in await database.list_collection_names() if not name.startswith("system.")]
        if [name for name in names if name != OWN]:
            raise Invalid(
                f"store.url: the database {database.name!r} holds other data, not a store of AEN. Name another database in store.url."
            )
        await once(own, {"_id": "format", "application": APPLICATION, "format": FORMAT})
        return
    if found.get("application") != APPLICATION:
        raise Invalid(f"store.url: the database {database.name!r} is not a store of AEN. Name another database.")
    if found.get("format", 0) > FORMAT:
        raise Invalid(
            f"store.url: the database {database.name!r} was written by a newer AEN (format {found['format']}, this one knows {FORMAT}). Update AEN."
        )


async def secret(database: Any) -> bytes:
    """The secret that seals cursors, the same for every server."""
    made = await once(database[OWN], {"_id": "cursor", "value": secrets.token_hex(32)})
    return bytes.fromhex(made["value"])


async def once(collection: Any, doc: Doc) -> Doc:
    """The document of that id: this one, unless somebody was faster."""
    try:
        await collection.insert_one(doc)
    except errors.DuplicateKeyError:
        found: Doc | None = await collection.find_one({"_id": doc["_id"]})
        return found or doc
    return doc


async def make(database: Any, layouts: list[Layout]) -> list[str]:
    """Make missing indexes, bring what stands beside documents up to date, drop indexes no longer declared; says what was done.

    Several servers may do this at once. Raises Invalid when stored documents don't fit a new unique index.
    """
    done = []
    for layout in layouts:
        name, own = layout.collection.name, database[OWN]
        made = await once(own, {"_id": f"indexes:{name}", "names": []})
        before, wanted = set(made["names"]), set(layout.indexes)
        await _indexes(database[name], layout, wanted - before, unique=False)
        renewed = await _renew(database[name], layout)
        await _indexes(database[name], layout, wanted - before, unique=True)  # of values that are right now
        for gone in sorted(before - wanted):
            await _drop(database[name], gone)
        if before != wanted:
            await own.replace_one({"_id": made["_id"]}, {"_id": made["_id"], "names": sorted(wanted)})
            done.append(f"{name}: {len(wanted)} indexes")
        if renewed:
            done.append(f"{name}: {renewed} documents brought up to date")
    return done


async def _indexes(collection: Any, layout: Layout, names: set[str], *, unique: bool) -> None:
    for name in sorted(names):
        if layout.indexes[name].unique == unique:
            await _index(collection, name, layout.indexes[name])


async def _renew(collection: Any, layout: Layout) -> int:
    """Rewrite what stands beside documents of another version; a document that is changed meanwhile is looked at again."""
    count = 0
    while True:
        stored = await collection.find({"v": {"$ne": layout.version}}).limit(500).to_list(None)
        for one in stored:
            doc = plain(one)
            again = {**layout.stored(doc, one.get("op", "")), "rev": one["rev"]}
            found = await collection.replace_one({"_id": one["_id"], "rev": one["rev"]}, again)
            count += found.matched_count
        if not stored:
            return count


async def _index(collection: Any, name: str, index: Declared) -> None:
    try:
        await collection.create_index([(column, 1) for column in index.columns], name=name, unique=index.unique)
    except errors.OperationFailure as error:
        if not index.unique:
            raise
        raise Invalid(
            f"store.url: what is stored in {collection.name} doesn't fit a new unique index ({', '.join(index.columns)}): two documents have the same value."
        ) from error


async def _drop(collection: Any, name: str) -> None:
    try:
        await collection.drop_index(name)
    except errors.OperationFailure as error:
        if error.code != 27:  # it is gone already
            raise


def plain(stored: Doc) -> Doc:
    """The document as the contract has it."""
    doc: Doc = stored["doc"]
    return doc


class Presence:
    """The sign that this process has the store open: `aen store copy` looks for others."""

    def __init__(self, database: Any) -> None:
        self._own = database[OWN]
        self._id = f"open:{secrets.token_hex(8)}"
        self._who = f"{socket.gethostname()} process {os.getpid()}"

    async def show(self) -> None:
        """Say that we are there."""
        sign = {"_id": self._id, "who": self._who, "seen": int(time.time())}
        if (await self._own.replace_one({"_id": self._id}, sign)).matched_count == 0:
            await once(self._own, sign)

    async def keep(self) -> None:
        """Say so again and again."""
        while True:
            await asyncio.sleep(PRESENCE_SECONDS)
            try:
                await self.show()
            except errors.PyMongoError as error:
                log.debug("the store did not take a sign of life", error=type(error).__name__)

    async def leave(self) -> None:
        """Say that we are gone."""
        try:
            await self._own.delete_one({"_id": self._id})
        except errors.PyMongoError as error:
            log.debug("the store did not take a sign of leaving", error=type(error).__name__)

    async def others(self) -> list[str]:
        """Who else has the store open; those that ended long ago without saying so are forgotten."""
        found = []
        for sign in await self._own.find({"_id": {"$gte": "open:", "$lt": "open;"}}).to_list(None):
            if sign["_id"] == self._id:
                continue
            if time.time() - sign["seen"] > GONE_SECONDS:
                await self._own.delete_one({"_id": sign["_id"]})
                continue
            found.append(sign["who"])
        return found
