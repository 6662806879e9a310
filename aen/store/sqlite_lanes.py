"""Lanes: threads that SQLite's work is done in. One writes, with group commit; others read."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import structlog

from aen.errors import AenError, Unavailable

WRITES = 256  # most writes in one commit

Work = Callable[[sqlite3.Connection], Any]
Item = tuple[Work, "asyncio.Future[Any]"]
Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]
Doing = Callable[[sqlite3.Connection, Work, "asyncio.Future[Any]"], Outcome | None]

log = structlog.get_logger(__name__)


class Lane:
    """Threads with a connection each that take work from one queue."""

    def __init__(self, name: str, connections: list[sqlite3.Connection], batch: int = 1) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._batch = batch
        self._closed = False
        self._connections = connections
        self._threads = [
            threading.Thread(target=self._run, args=(connection,), name=f"store-{name}-{number}", daemon=True)
            for number, connection in enumerate(connections)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Work) -> Any:
        """What `work` returns. Once it is queued it is done, even when the caller is cancelled."""
        return await self.put(work)

    def put(self, work: Work) -> asyncio.Future[Any]:
        """Queue it: what `work` returns, later."""
        if self._closed:
            raise Unavailable("The store is closed: this server is stopping.")
        future = self._loop.create_future()
        self._queue.put((work, future))
        return future

    def waiting(self) -> int:
        """How much is queued."""
        return self._queue.qsize()

    async def close(self) -> None:
        """Finish what is queued, then end the threads and close their connections."""
        if self._closed:
            return
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()
        for connection in self._connections:
            connection.close()

    def _run(self, connection: sqlite3.Connection) -> None:
        ending = False
        while not ending:
            batch, ending = self._take()
            if batch:
                outcomes = self._work(connection, batch)
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    self._loop.call_soon_threadsafe(_deliver, outcomes)

    def _take(self) -> tuple[list[Item], bool]:
        """The next work, and whether it is the last."""
        batch: list[Item] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) >= self._batch:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _work(self, connection: sqlite3.Connection, batch: list[Item]) -> list[Outcome]:
        return [_outcome(connection, work, future) for work, future in batch]


class Writer(Lane):
    """The one lane that writes. What waits is committed together; nobody is answered before the commit is on disk.

    Work that raises an AenError must not have written anything yet. Then a batch needs no savepoints, which would
    cost more than the writes; should anything else go wrong, the batch is rolled back and done again with them.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.writes = 0
        self.commits = 0
        self.trouble = ""  # why the last commit failed
        super().__init__("write", [connection], WRITES)

    def _work(self, connection: sqlite3.Connection, batch: list[Item]) -> list[Outcome]:
        try:
            outcomes = self._committed(connection, batch, _plainly)
            if outcomes is None:
                outcomes = self._committed(connection, batch, _apart)
        except Exception as error:  # the batch as a whole: none of it was written
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            self.trouble = str(error)
            log.error("writing to the store failed", writes=len(batch), exc_info=error)
            return [(future, None, failure(error)) for _, future in batch]
        self.writes += len(batch)
        self.commits += 1
        self.trouble = ""
        return outcomes or []

    def _committed(self, connection: sqlite3.Connection, batch: list[Item], one: Doing) -> list[Outcome] | None:
        """What came of a batch, once it is on disk; None when it was rolled back because something unforeseen happened."""
        connection.execute("BEGIN IMMEDIATE")
        outcomes = []
        for work, future in batch:
            outcome = one(connection, work, future)
            if outcome is None:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                return None
            outcomes.append(outcome)
        connection.execute("COMMIT")
        return outcomes


def _plainly(connection: sqlite3.Connection, work: Work, future: asyncio.Future[Any]) -> Outcome | None:
    """Do work without a savepoint; None when anything but an AenError is raised."""
    try:
        return future, work(connection), None
    except AenError as error:
        return future, None, error
    except Exception:
        return None  # told when it happens again, apart from its neighbours


def _apart(connection: sqlite3.Connection, work: Work, future: asyncio.Future[Any]) -> Outcome:
    """Do work in a savepoint of its own, so that its failure leaves its neighbours alone."""
    connection.execute("SAVEPOINT one")
    outcome = _outcome(connection, work, future)
    if outcome[2] is not None:
        if not connection.in_transaction:  # a full disk, for one, ends the whole transaction
            raise outcome[2]
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")
    return outcome


def failure(error: BaseException) -> BaseException:
    """An engine's error as ours, saying what to look at."""
    if not isinstance(error, sqlite3.Error):
        return error
    if "malformed" in str(error) or "not a database" in str(error):
        return Unavailable(f"The store (store.url) is damaged: {error}. Stop AEN and restore the file from a backup.")
    return Unavailable(
        f"The store (store.url) can't be used right now: {error}. Look at the disk's free space and permissions."
    )


def _outcome(connection: sqlite3.Connection, work: Work, future: asyncio.Future[Any]) -> Outcome:
    try:
        return future, work(connection), None
    except AenError as error:
        return future, None, error
    except Exception as error:
        log.error("an operation of the store failed", exc_info=error)
        return future, None, failure(error)


def _deliver(outcomes: list[Outcome]) -> None:
    for future, result, error in outcomes:
        if future.done():  # whoever asked has gone away
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
