"""The link to MongoDB: what its errors mean for people, writes that are settled, and whether it answers at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import structlog
from pymongo import errors

from aen.errors import AenError, Invalid, TimedOut, Unavailable

T = TypeVar("T")

SETTLE_SECONDS = 20.0  # how long a write whose answer was lost is asked for again
PROBE_SECONDS = 0.25  # between two looks at a server that does not answer
_CONFLICTS = 40  # attempts of a write that the server gives up in favour of another (112)
_WRITE_CONFLICT = 112
_REFUSED = {13: "not authorized", 18: "authentication failed", 8000: "authentication failed"}

log = structlog.get_logger(__name__)


class Unknown(TimedOut):
    """A write whose answer was lost, and what is stored now does not tell whether it was done."""

    def __init__(self) -> None:
        super().__init__(
            "The store did not answer in time: whether this was saved is unknown. Look whether it is there before you try again."
        )


class Link:
    """Runs reads and writes; while MongoDB does not answer, everybody is told at once instead of after a wait."""

    def __init__(self, where: str, ping: Callable[[], Awaitable[Any]]) -> None:
        self.where = where  # hosts, without user and password
        self.trouble = ""  # why it can't be used right now
        self.reads = 0
        self.writes = 0
        self._ping = ping
        self._back = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[Any]] = set()

    async def read(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` answers; a lost connection is tried once more. Raises Unavailable."""
        self._check()
        self.reads += 1
        try:
            try:
                return await work()
            except errors.ServerSelectionTimeoutError:
                raise
            except (errors.AutoReconnect, errors.CursorNotFound):
                return await work()
        except errors.PyMongoError as error:
            raise self.told(error) from error

    async def write(self, attempt: Callable[[bool], Coroutine[Any, Any, T]]) -> T:
        """What `attempt(again)` answers, once it is known; it goes on when the caller is cancelled.

        `again` says that an earlier attempt may have been done. Raises Unavailable (not done) or Unknown.
        """
        self._check()
        self.writes += 1
        task = asyncio.ensure_future(self._settled(attempt))
        self._under_way.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Wait for the writes under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        if self._probing is not None:
            self._probing.cancel()
            with suppress(asyncio.CancelledError):
                await self._probing

    def told(self, error: errors.PyMongoError) -> AenError:
        """A driver's error as ours, saying what to look at; a server that is gone is looked for from now on."""
        if isinstance(error, errors.DocumentTooLarge):
            return Invalid("This is over the 16 MB that one document may have in MongoDB.")
        if isinstance(error, errors.ServerSelectionTimeoutError):
            self._lost(error)
            return self._gone()
        if isinstance(error, errors.ConnectionFailure):
            return self._gone()
        code = getattr(error, "code", None)
        log.error("an operation of the store failed", code=code, exc_info=error)
        if code in _REFUSED:
            return Unavailable(
                f"MongoDB at {self.where} refuses AEN's user ({_REFUSED[code]}): give it readWrite on the database, or correct store.url."
            )
        return Unavailable(
            f"The store (MongoDB at {self.where}) can't be used right now: error {code}. See the server's log and MongoDB's."
        )

    async def _settled(self, attempt: Callable[[bool], Coroutine[Any, Any, T]]) -> T:
        again, conflicts = False, 0
        deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
        while True:
            try:
                return await attempt(again)
            except errors.PyMongoError as error:
                if getattr(error, "code", None) == _WRITE_CONFLICT and conflicts < _CONFLICTS:
                    conflicts += 1
                    await asyncio.sleep(0.002 * conflicts)
                    continue
                again = again or _unknown(error)
                told = self.told(error)
                if not again:
                    raise told from error
            if asyncio.get_running_loop().time() > deadline or not await self._answers_by(deadline):
                raise Unknown

    async def _answers_by(self, deadline: float) -> bool:
        """Whether MongoDB answers before the deadline."""
        if not self.trouble:
            await asyncio.sleep(PROBE_SECONDS / 10)
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await self._back.wait()
        return not self.trouble

    def _check(self) -> None:
        if self.trouble:
            raise self._gone()

    def _gone(self) -> Unavailable:
        return Unavailable(
            f"The store (MongoDB at {self.where}) does not answer right now. AEN goes on by itself as soon as it does: try again in a moment.",
            retry_after=2.0,
        )

    def _lost(self, error: errors.PyMongoError) -> None:
        if self.trouble:
            return
        self.trouble = f"MongoDB at {self.where} does not answer"
        self._back.clear()
        log.error("the store does not answer", where=self.where, error=type(error).__name__)
        self._probing = asyncio.create_task(self._probe(), name="store-probe")

    async def _probe(self) -> None:
        while self.trouble:
            try:
                await self._ping()
            except errors.PyMongoError:
                await asyncio.sleep(PROBE_SECONDS)
                continue
            self.trouble = ""
            self._back.set()
            log.info("the store answers again", where=self.where)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # taken, should the asker have gone away


def _unknown(error: errors.PyMongoError) -> bool:
    """Whether a write that raised this may have been done."""
    if isinstance(error, errors.ServerSelectionTimeoutError):
        return False  # nothing was sent
    return isinstance(error, errors.ConnectionFailure | errors.WriteConcernError)
