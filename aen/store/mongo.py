"""The store on MongoDB, through Motor: several servers may share it; every answered write is on the disks of a majority."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import structlog
from pymongo import errors
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from aen.errors import Invalid, Unavailable
from aen.store import SCHEMA, Collection, Doc, Duplicate, Page, Query, Store
from aen.store.asking import check_search
from aen.store.cursors import Place, seal, unseal
from aen.store.mongo_find import Step, counting, searching, steps
from aen.store.mongo_layout import Layout, asked_words
from aen.store.mongo_link import Link
from aen.store.mongo_open import Presence, answering, make, plain, recognise, secret
from aen.store.mongo_write import adding, deleting, replacing
from aen.store.values import check_id, checked_rev, encoded

os.environ.setdefault("MOTOR_MAX_WORKERS", "32")  # threads of Motor, read once: a slow list must not delay point reads
from motor.motor_asyncio import AsyncIOMotorClient

START_SECONDS = 30.0  # MongoDB is waited for so long at the start
DATABASE = "aen"  # where store.url names none
_IDS = 1_000  # in one question

#: Unless store.url says otherwise. Milliseconds.
_OPTIONS: dict[str, Any] = {
    "serverSelectionTimeoutMS": 2_000,
    "connectTimeoutMS": 3_000,
    "socketTimeoutMS": 20_000,
    "appname": "aen",
}
_MAJORITY = WriteConcern("majority", j=True, wtimeout=10_000)

log = structlog.get_logger(__name__)


class MongoStore(Store):
    """One database. See the contract for every verb."""

    def __init__(self, url: str, schema: Sequence[Collection] = SCHEMA, start_seconds: float = START_SECONDS) -> None:
        self.url = url
        self.where = urlsplit(url).netloc.rpartition("@")[2]
        self.done: list[str] = []  # what opening it brought up to date
        self._start_seconds = start_seconds
        self._layouts = {collection.name: Layout(collection) for collection in schema}
        self._client: Any = None
        self._database: Any = None
        self._link: Link | None = None
        self._secret = b""
        self._facts: dict[str, Any] = {}
        self._presence: Presence | None = None
        self._keeping: asyncio.Task[None] | None = None

    @classmethod
    def from_url(cls, url: str) -> MongoStore:
        """The store that `mongodb://…/database` names. Raises Invalid."""
        parts = urlsplit(url)
        if parts.scheme not in ("mongodb", "mongodb+srv") or not parts.netloc or parts.fragment:
            raise Invalid("store.url must be as mongodb://user:password@host1,host2/aen?replicaSet=rs0.")
        return cls(url)

    async def __aenter__(self) -> MongoStore:
        self._client = self._connected()
        try:
            await self._open()
        except errors.PyMongoError as error:
            await asyncio.to_thread(self._client.close)  # it waits for threads that ask the server
            raise Unavailable(
                f"store.url: the database at {self.where} can't be opened ({type(error).__name__}: error {getattr(error, 'code', None)}). "
                "AEN's user needs the role readWrite on it."
            ) from error
        except BaseException:
            await asyncio.to_thread(self._client.close)
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        link, self._link = self._link, None
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        if link is not None:
            trouble = link.trouble
            await link.close()
            if self._presence is not None and not trouble:
                await self._presence.leave()
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    async def get(self, collection: str, id: str) -> Doc | None:
        """The document, or None."""
        table, where = self._table(collection), {"_id": check_id(id)}
        found = await self._opened().read(lambda: table.find_one(where, {"doc": 1}))
        return plain(found) if found is not None else None

    async def get_many(self, collection: str, ids: Sequence[str], *, shared: bool = False) -> list[Doc]:
        """Those of the documents that exist, in the order of `ids`, each once; nothing is shared here."""
        wanted = list(dict.fromkeys(check_id(id) for id in ids))
        self._opened()
        found: dict[str, Doc] = {}
        for start in range(0, len(wanted), _IDS):
            some = Step({"_id": {"$in": wanted[start : start + _IDS]}}, [("_id", 1)])
            found |= {doc["id"]: doc for doc in await self._documents(collection, some, _IDS)}
        return [found[id] for id in wanted if id in found]

    async def insert(self, collection: str, doc: Doc) -> Doc:
        """Add a document (stored with rev 1) and return it. Raises Duplicate."""
        return await self._add(collection, {**doc, "rev": 1})

    async def restore(self, collection: str, doc: Doc) -> None:
        """Put a document of another store as it is, its rev too; doing it again is fine. Raises Duplicate."""
        try:
            await self._add(collection, doc)
        except Duplicate:
            if await self.get(collection, doc["id"]) != doc:
                raise

    async def replace(self, collection: str, doc: Doc) -> Doc:
        """Replace the whole document if its stored rev is `doc["rev"]`; returns it with the next rev."""
        layout, following = self._layout(collection), {**doc, "rev": checked_rev(doc) + 1}
        encoded(layout.collection, doc, following["rev"])
        await self._opened().write(replacing(self._table(collection), layout, following))
        return following

    async def delete(self, collection: str, id: str, rev: int | None = None) -> bool:
        """Remove the document (only at `rev`, if given: else Stale). False when there was none."""
        work = deleting(self._table(collection), self._layout(collection), check_id(id), rev)
        return await self._opened().write(work)

    async def find(self, collection: str, query: Query) -> Page:
        """Documents that match, sorted, a page at a time."""
        layout = self._layout(collection)
        self._opened()
        asked = steps(layout, query, unseal(self._secret, collection, query))
        found: dict[str, Doc] = {}  # between two steps a document may have moved: each stands once
        for step in asked:
            for doc in await self._documents(collection, step, query.limit + 1 - len(found)):
                found.setdefault(doc["id"], doc)
            if len(found) > query.limit:
                break
        items = list(found.values())[: query.limit]
        if len(found) <= query.limit:
            return Page(items)
        last = items[-1]
        return Page(items, seal(self._secret, collection, query, Place(last.get(query.sort), last["id"])))

    async def count(self, collection: str, equal: tuple[tuple[str, Any], ...] = ()) -> int:
        """How many documents match."""
        where, table = counting(self._layout(collection), equal), self._table(collection)
        return int(await self._opened().read(lambda: table.count_documents(where)))

    async def search(
        self, collection: str, words: str, visible_to: tuple[str, Any] | None = None, limit: int = 20
    ) -> list[Doc]:
        """Documents that hold all words (the last may be unfinished), best first."""
        layout = self._layout(collection)
        check_search(layout.collection, limit)
        self._opened()
        found: dict[str, Doc] = {}
        for step in searching(layout, asked_words(words), visible_to):
            if len(found) < limit:
                for doc in await self._documents(collection, step, limit + len(found)):
                    found.setdefault(doc["id"], doc)
        return list(found.values())[:limit]

    async def check(self) -> list[str]:
        """What is wrong with the stored data, in sentences; writes go on while it looks."""
        self._opened()
        found = []
        for layout in self._layouts.values():
            table = self._table(layout.collection.name)
            try:
                async for stored in table.find({}, batch_size=500):
                    found += _damage(layout, stored)
            except errors.PyMongoError as error:
                raise self._opened().told(error) from error
        return found

    async def others(self) -> list[str]:
        """Who else has this store open, by host and process."""
        presence = self._presence
        return await self._opened().read(presence.others) if presence is not None else []

    def health(self) -> dict[str, Any]:
        """Whether it answers, which server it is, whether what is written is kept twice."""
        link = self._link
        if link is None:
            return {"status": "degraded", "engine": "mongodb", "message": "not open"}
        health = {"engine": "mongodb", "where": self.where, **self._facts, "reads": link.reads, "writes": link.writes}
        if link.trouble:
            return {"status": "degraded", **health, "message": link.trouble}
        return {"status": "ok", **health}

    def _connected(self) -> Any:
        given = self.url.lower()
        options = {name: value for name, value in _OPTIONS.items() if f"{name.lower()}=" not in given}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", UserWarning)  # the driver would go on without a misspelt tls
                return AsyncIOMotorClient(self.url, io_loop=asyncio.get_running_loop(), **options)
        except (errors.PyMongoError, ValueError, TypeError, UserWarning) as error:
            raise Invalid(  # the driver's own words may hold the password
                f"store.url: this is no MongoDB address ({type(error).__name__}). It looks like mongodb://user:password@host1,host2/aen"
                "?replicaSet=rs0; ':', '/', '@' and '%' in user and password must be percent-encoded."
            ) from None

    async def _open(self) -> None:
        name = urlsplit(self.url).path.strip("/") or DATABASE
        self._database = self._client.get_database(name, write_concern=_MAJORITY, read_concern=ReadConcern("majority"))
        await answering(self._ping, self.where, self._start_seconds)
        await recognise(self._database)
        self._facts = await self._look()
        self.done = await make(self._database, list(self._layouts.values()))
        self._secret = await secret(self._database)
        self._presence = Presence(self._database)
        await self._presence.show()
        self._keeping = asyncio.create_task(self._presence.keep(), name="store-presence")
        self._link = Link(self.where, self._ping)

    async def _ping(self) -> None:
        await self._client.admin.command("ping")

    async def _look(self) -> dict[str, Any]:
        """What is known of the server: its version, and the replica set it belongs to."""
        hello = await self._client.admin.command("hello")
        build = await self._client.admin.command("buildInfo")
        facts = {"database": self._database.name, "version": str(build.get("version", "?"))}
        if hello.get("setName"):
            return {**facts, "replica_set": str(hello["setName"])}
        if hello.get("msg") == "isdbgrid":
            return {**facts, "sharded": True}
        log.warning("the store is a standalone server: one disk is all there is", where=self.where)
        return {**facts, "warning": "a standalone server: make it a replica set, so that one lost disk loses nothing"}

    async def _add(self, collection: str, doc: Doc) -> Doc:
        layout = self._layout(collection)
        encoded(layout.collection, doc, doc["rev"])
        await self._opened().write(adding(self._table(collection), layout, doc))
        return doc

    async def _documents(self, collection: str, step: Step, limit: int) -> list[Doc]:
        table = self._table(collection)

        async def ask() -> list[Doc]:
            cursor = table.find(step.where, {"doc": 1}, sort=step.order, limit=limit)
            return [plain(stored) for stored in await cursor.to_list(None)]

        return await self._opened().read(ask)

    def _opened(self) -> Link:
        if self._link is None:
            raise Unavailable("The store is not open.")
        return self._link

    def _layout(self, collection: str) -> Layout:
        found = self._layouts.get(collection)
        if found is None:
            raise Invalid(f"There is no collection {collection!r}.")
        return found

    def _table(self, collection: str) -> Any:
        self._layout(collection)
        return self._database[collection] if self._database is not None else None


def _damage(layout: Layout, stored: Doc) -> list[str]:
    doc, name = stored.get("doc"), layout.collection.name
    if not isinstance(doc, dict) or doc.get("id") != stored["_id"] or doc.get("rev") != stored.get("rev"):
        return [f"{name}: the document {stored['_id']!r} is damaged."]
    beside = layout.beside(doc)
    if any(stored.get(key) != value for key, value in beside.items()):
        return [
            f"{name}: what {stored['_id']!r} is found by doesn't match the document. Restore it from a backup, or save the document again."
        ]
    return []
