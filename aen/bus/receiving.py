"""The receiving side, the same on every carrier: events in order, commands each in its own task and answered once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context
from typing import Generic

import structlog

from aen import __version__
from aen.bus import C, E
from aen.bus.subjects import Speaker, check
from aen.bus.wire import W, decode, encode_answer, encode_error
from aen.errors import AenError, Denied, Internal, Invalid, Unavailable, new_id
from aen.messages.kinds import PROTOCOL, Command, Event
from aen.model import Word

WAITING = 10_000  # events that may wait for one subscriber; more are lost (events are at most once)
REMEMBERED = 4_096  # answers that one responder remembers
REMEMBERED_BYTES = 16 * 1024 * 1024

log = structlog.get_logger(__name__)


def _read(kind: type[W], data: bytes, sender: Speaker | None) -> W:
    """The message, if it is one of `kind` that `sender` may say. Raises Invalid or Denied."""
    message = decode(kind, data)
    if isinstance(message, (Event, Command)) and message.protocol > PROTOCOL:
        raise Invalid(
            f"{kind.__name__} comes in version {message.protocol} of AEN's messages, and this node ({__version__}) understands "
            f"{PROTOCOL} and below: upgrade it, too."
        )
    if sender is not None:
        check(message, sender)
    return message


class Subscriber(Generic[E]):
    """Hands events to one handler, one after the other."""

    def __init__(self, kind: type[E], handler: Callable[[E], Awaitable[None]], gone: Callable[[], None]) -> None:
        self.kind, self._handler, self._gone = kind, handler, gone
        self._queue: asyncio.Queue[tuple[bytes, Speaker | None]] = asyncio.Queue(WAITING)
        self._stopped = False
        self.lost = 0
        self.refused = 0  # unreadable, or not what its sender may say
        # A context of its own: what the sender bound (request id, user) isn't there between machines either.
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name=f"bus:subscriber:{kind.__name__}", context=Context()
        )

    def put(self, data: bytes, sender: Speaker | None = None) -> None:
        """Take an event; never waits. `sender`: who it came from, between machines."""
        try:
            self._queue.put_nowait((data, sender))
        except asyncio.QueueFull:
            self.lost += 1
            if self.lost == 1 or self.lost % 1_000 == 0:
                log.warning("event lost: the subscriber is too slow", kind=self.kind.__name__, lost=self.lost)

    def cancel(self) -> None:
        """Hear no more. Safe to call twice, and from the handler itself."""
        self._gone()
        self._stopped = True
        if asyncio.current_task() is not self._task:
            self._task.cancel()

    async def closed(self) -> None:
        """Cancel, and wait until the handler has ended."""
        self.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        while not self._stopped:
            data, sender = await self._queue.get()
            event = self._read(data, sender)
            if event is None:
                continue
            try:
                await self._handler(event)
            except Exception as error:
                log.error("handling an event failed", kind=self.kind.__name__, exc_info=error)

    def _read(self, data: bytes, sender: Speaker | None) -> E | None:
        try:
            return _read(self.kind, data, sender)
        except AenError as error:
            self.refused += 1
            who = sender.node if sender else ""
            log.warning("event refused", kind=self.kind.__name__, sender=who, why=error.message)
            return None


class Responder(Generic[C]):
    """Answers commands of one kind; a command id seen before is answered as before."""

    def __init__(self, kind: type[C], handler: Callable[[C], Awaitable[Word]], gone: Callable[[], None]) -> None:
        self.kind, self._handler, self._gone = kind, handler, gone
        self._running: dict[str, asyncio.Task[bytes]] = {}
        self._answers: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    async def reply(self, data: bytes, sender: Speaker | None = None) -> bytes:
        """The reply to one command of `sender`. Cancelling the caller doesn't end the work: others may wait for it too."""
        try:
            command = _read(self.kind, data, sender)
        except AenError as error:
            if isinstance(error, Denied):
                log.warning("command refused", kind=self.kind.__name__, sender=sender.node if sender else "")
            return encode_error(error)
        if command.id in self._answers:
            return self._answers[command.id]
        task = self._running.get(command.id)
        if task is None:
            task = self._start(command)
        await asyncio.wait([task])  # unlike awaiting it, this tells our own cancellation from the task's
        if task.cancelled():
            return encode_error(Unavailable(f"Who answers {self.kind.__name__} is stopping. Try again in a moment."))
        return task.result()

    def cancel(self) -> None:
        """Take no more commands; those under way are finished. Safe to call twice."""
        self._gone()

    async def closed(self) -> None:
        """Cancel, end what is under way, and wait for its end."""
        self.cancel()
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    def _start(self, command: C) -> asyncio.Task[bytes]:
        name = f"bus:responder:{self.kind.__name__}:{command.id}"
        task = asyncio.get_running_loop().create_task(self._answer(command), name=name, context=Context())
        self._running[command.id] = task
        task.add_done_callback(lambda done: self._finished(command.id, done))
        return task

    async def _answer(self, command: C) -> bytes:
        structlog.contextvars.bind_contextvars(command=command.id)
        try:
            return encode_answer(await self._handler(command))
        except AenError as error:
            return encode_error(error)
        except Exception as error:
            found = Internal("Something went wrong inside AEN; the log has it under this id.", id=new_id())
            log.error("answering a command failed", kind=self.kind.__name__, id=found.id, exc_info=error)
            return encode_error(found)

    def _finished(self, id: str, task: asyncio.Task[bytes]) -> None:
        self._running.pop(id, None)
        with suppress(asyncio.CancelledError):
            self._remember(id, task.result())

    def _remember(self, id: str, reply: bytes) -> None:
        self._answers[id] = reply
        self._bytes += len(reply)
        while len(self._answers) > REMEMBERED or self._bytes > REMEMBERED_BYTES:
            _, oldest = self._answers.popitem(last=False)
            self._bytes -= len(oldest)
