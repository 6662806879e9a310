"""The store on SQLite: JSON documents, write-ahead log, every answered write on disk. No other daemon."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from aen.errors import Invalid, Unavailable
from aen.store import SCHEMA, Collection, Doc, Duplicate, Page, Query, Store
from aen.store import sqlite_read as read
from aen.store import sqlite_write as write
from aen.store.asking import MAX_FOUND, check_search
from aen.store.cursors import Place, seal, unseal
from aen.store.sqlite_answers import Answer, Answers, question
from aen.store.sqlite_check import check
from aen.store.sqlite_decoded import Decoded
from aen.store.sqlite_file import connect, lock, open_writer
from aen.store.sqlite_find import Statement, counting, statements, visible
from aen.store.sqlite_lanes import Lane, Work, Writer, failure
from aen.store.sqlite_layout import Layout
from aen.store.values import check_id, checked_rev, encoded

POINTS = 64  # most point reads answered together
LISTS = 16  # most short lists answered together: pages ask for several at once
SHORT = 200  # documents of a list that never takes long: an index has them in order
QUERIES = 2  # threads for long lists, counts and search, so that a slow one never delays what is quick

A = TypeVar("A", bound=Answer)


class SqliteStore(Store):
    """One file, one process (it is locked). See the contract for every verb."""

    def __init__(self, path: str | Path, schema: Sequence[Collection] = SCHEMA) -> None:
        self.path = Path(path).absolute()
        self._layouts = {collection.name: Layout(collection) for collection in schema}
        self._lock = -1
        self._secret = b""
        self._writer: Writer | None = None
        self._points: Lane | None = None
        self._lists: Lane | None = None
        self._queries: Lane | None = None
        self._decoded = Decoded()
        self._answers = Answers()

    @classmethod
    def from_url(cls, url: str) -> SqliteStore:
        """The store that `sqlite:///path` names. Raises Invalid."""
        parts = urlsplit(url)
        if parts.netloc or parts.query or parts.fragment or not parts.path.strip("/") or parts.path[0] != "/":
            raise Invalid(
                f"store.url: {url!r} must be sqlite:/// and an absolute path, as sqlite:///var/lib/aen/aen.db."
            )
        return cls("/" + unquote(parts.path).lstrip("/"))  # four slashes are common, too

    async def __aenter__(self) -> SqliteStore:
        writer, (points, lists), queries = await asyncio.to_thread(self._open)
        self._writer = Writer(writer)
        self._points = Lane("point", [points], POINTS)
        self._lists = Lane("list", [lists], LISTS)
        self._queries = Lane("query", queries)
        return self

    async def __aexit__(self, *exc: object) -> None:
        # The last connection moves the log into the file.
        for lane in (self._queries, self._lists, self._points, self._writer):
            if lane is not None:
                await lane.close()
        self._answers = Answers()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def get(self, collection: str, id: str) -> Doc | None:
        """The document, or None."""
        table = self._layout(collection).table
        found = await _opened(self._points).run(partial(read.document, table=table, id=check_id(id)))
        return json.loads(found) if found is not None else None

    async def get_many(self, collection: str, ids: Sequence[str], *, shared: bool = False) -> list[Doc]:
        """Those of the documents that exist, in the order of `ids`, each once."""
        wanted = tuple(dict.fromkeys(check_id(id) for id in ids))
        if not shared:
            return (await self._find_many(collection, wanted, json.loads))[0]

        async def find() -> tuple[Page, int]:
            found, size = await self._find_many(collection, wanted, self._decoded.read)
            return Page(found), size + sum(map(len, wanted))  # of those that are not there, too

        return list((await self._known(collection, wanted, find)).items)

    async def _find_many(
        self, collection: str, wanted: Sequence[str], decode: Callable[[str], Doc]
    ) -> tuple[list[Doc], int]:
        """The documents, and their size in characters."""
        table = self._layout(collection).table
        rows = await _opened(self._points).run(partial(read.documents, table=table, ids=wanted))
        found: dict[str, str] = dict(rows)
        return [decode(found[id]) for id in wanted if id in found], sum(map(len, found.values()))

    async def insert(self, collection: str, doc: Doc) -> Doc:
        """Add a document (stored with rev 1) and return it. Raises Duplicate."""
        layout = self._layout(collection)
        stored = {**doc, "rev": 1}
        body = encoded(layout.collection, doc, 1)
        await self._write(layout, partial(write.insert, layout=layout, doc=stored, body=body))
        return stored

    async def replace(self, collection: str, doc: Doc) -> Doc:
        """Replace the whole document if its stored rev is `doc["rev"]`; returns it with the next rev."""
        layout = self._layout(collection)
        rev = checked_rev(doc)
        stored = {**doc, "rev": rev + 1}
        body = encoded(layout.collection, doc, rev + 1)
        await self._write(layout, partial(write.replace, layout=layout, doc=stored, body=body))
        return stored

    async def restore(self, collection: str, doc: Doc) -> None:
        """Put a document of another store as it is, its rev too; doing it again is fine. Raises Duplicate."""
        layout = self._layout(collection)
        body = encoded(layout.collection, doc, checked_rev(doc))
        try:
            await self._write(layout, partial(write.insert, layout=layout, doc=doc, body=body))
        except Duplicate:
            if await self.get(collection, doc["id"]) != doc:
                raise

    async def others(self) -> list[str]:
        """Nobody: the file is locked."""
        _opened(self._writer)
        return []

    async def delete(self, collection: str, id: str, rev: int | None = None) -> bool:
        """Remove the document (only at `rev`, if given: else Stale). False when there was none."""
        layout = self._layout(collection)
        return bool(await self._write(layout, partial(write.delete, layout=layout, id=check_id(id), rev=rev)))

    async def find(self, collection: str, query: Query) -> Page:
        """Documents that match, sorted, a page at a time."""
        asked = question(query) if query.shared else None
        page = await self._known(collection, asked, partial(self._find, collection, query))
        return Page(list(page.items), page.next)

    async def _known(self, collection: str, asked: Hashable | None, find: Callable[[], Awaitable[tuple[A, int]]]) -> A:
        """What it was answered, if nobody has written since; else what `find` says (and its size in characters).

        `asked`: None is never remembered.
        """
        if asked is None:
            return (await find())[0]
        answers = self._answers
        moment = answers.moment(collection)
        known = answers.get(collection, asked)
        if known is None:
            known, size = await find()
            answers.keep(collection, asked, known, size, moment)
        return known  # type: ignore[return-value]  # a question has one kind of answer

    async def _find(self, collection: str, query: Query) -> tuple[Page, int]:
        layout = self._layout(collection)
        after = unseal(self._secret, collection, query)
        decoded = self._decoded if query.shared else None
        work = partial(read.page, steps=statements(layout, query, after), limit=query.limit + 1, decoded=decoded)
        lane = self._lists if query.limit <= SHORT else self._queries
        found, size = await _opened(lane).run(work)
        items: list[Doc] = found[: query.limit]
        if len(found) <= query.limit:
            return Page(items), size
        last = items[-1]
        return Page(items, seal(self._secret, collection, query, Place(last.get(query.sort), last["id"]))), size

    async def count(self, collection: str, equal: tuple[tuple[str, Any], ...] = ()) -> int:
        """How many documents match."""
        statement = counting(self._layout(collection), equal)

        async def count() -> tuple[int, int]:
            return int(await _opened(self._queries).run(partial(read.one, statement=statement))), 0

        asked = question(Query(equal))
        return await self._known(collection, asked and ("count", asked), count)

    async def search(
        self, collection: str, words: str, visible_to: tuple[str, Any] | None = None, limit: int = 20
    ) -> list[Doc]:
        """Documents that hold all words (the last may be unfinished), best first."""
        layout = self._layout(collection)
        check_search(layout.collection, limit)
        wanted = read.match(words)
        condition, params = visible(layout, visible_to) if visible_to else ("1", ())
        if not wanted:
            return []
        # Ranking looks at each match: of a word that nearly all have, the newest are ranked.
        newest = (
            f"SELECT t.n, w.rank AS best FROM {layout.words} AS w CROSS JOIN {layout.table} AS t ON t.n = w.rowid "
            f"WHERE w.words MATCH ? AND {condition} ORDER BY w.rowid DESC LIMIT {MAX_FOUND}"
        )
        sql = f"SELECT d.body FROM ({newest}) AS f CROSS JOIN {layout.table} AS d ON d.n = f.n ORDER BY f.best, d.id LIMIT ?"
        work = partial(read.page, steps=[Statement(sql, (wanted, *params))], limit=limit)
        found: list[Doc] = (await _opened(self._queries).run(work))[0]
        return found

    async def check(self) -> list[str]:
        """What is wrong with the stored data, in sentences; writes go on while it looks."""
        _opened(self._writer)
        return await asyncio.to_thread(self._check)

    def health(self) -> dict[str, Any]:
        """Whether it can be written, how much waits, how large it is."""
        writer = self._writer
        if writer is None or self._lock < 0:
            return {"status": "degraded", "engine": "sqlite", "message": "not open"}
        health = {
            "status": "degraded" if writer.trouble else "ok",
            "engine": "sqlite",
            "path": str(self.path),
            "bytes": self.path.stat().st_size if self.path.exists() else 0,
            "writes": writer.writes,
            "commits": writer.commits,
            "waiting": writer.waiting(),
        }
        return {**health, "message": writer.trouble} if writer.trouble else health

    async def _write(self, layout: Layout, work: Work) -> Any:
        name, answers, future = layout.collection.name, self._answers, _opened(self._writer).put(work)
        answers.writing(name)

        def over(done: asyncio.Future[Any]) -> None:
            answers.written(name)
            if not done.cancelled():
                done.exception()  # seen: whoever asked may have gone away, and then nobody else looks at it

        future.add_done_callback(over)
        return await asyncio.shield(future)  # a caller who is cancelled does not end the write, nor make it over

    def _open(self) -> tuple[sqlite3.Connection, list[sqlite3.Connection], list[sqlite3.Connection]]:
        self._lock = lock(self.path)
        try:
            writer, self._secret = open_writer(self.path, list(self._layouts.values()))
            quick, slow = ([connect(self.path) for _ in range(count)] for count in (2, QUERIES))
            return writer, quick, slow
        except BaseException:
            os.close(self._lock)
            self._lock = -1
            raise

    def _check(self) -> list[str]:
        connection = connect(self.path)
        try:
            return check(connection, list(self._layouts.values()))
        except sqlite3.Error as error:
            raise failure(error) from error
        finally:
            connection.close()

    def _layout(self, collection: str) -> Layout:
        found = self._layouts.get(collection)
        if found is None:
            raise Invalid(f"There is no collection {collection!r}.")
        return found


def _opened(lane: Any) -> Any:
    if lane is None:
        raise Unavailable("The store is not open.")
    return lane
