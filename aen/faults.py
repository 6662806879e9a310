"""Faults of AEN itself: noticed where they are logged, told to the server over the bus. Bounded, without secrets."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import sys
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any

from aen.errors import AenError
from aen.log import on_fault
from aen.messages.faults import FaultReported
from aen.model import now

_WAITING = 100  # faults that wait to be told; more are counted only
_AGAIN = 5.0  # seconds until what the bus did not take is told again
_A_MINUTE = 20  # faults of one kind that are told with their trace in a minute
_FRAMES, _LONGEST = 30, 8_000  # frames and characters of a trace
_SECRETS = (
    re.compile(
        r"(?i)\b(password|passwd|secret|token|cookie|authorization|ticket|grant|csrf|key)\b(\s*[=:]\s*|['\"]\s*:\s*)(['\"]?)[^\s'\",)}]+"
    ),
    re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"),
    re.compile(r"(?<=://)[^/\s@]+@"),
    re.compile(r"\b[\w-]{20,}\.[\w-]{20,}\.[\w-]{20,}\b"),
)


class Collector:
    """Takes what the log says of faults, and gives it on. `node` is filled in by who tells it."""

    def __init__(self) -> None:
        self._waiting: deque[FaultReported] = deque(maxlen=_WAITING)
        self._lately: dict[str, tuple[float, int]] = {}
        self._wake: Callable[[], None] | None = None

    def notice(self, event: MutableMapping[str, Any]) -> None:
        """One event of the log: kept if it is an error with an exception. Never raises: it is on every error's way."""
        error = _error(event.get("exc_info"))
        if error is None or isinstance(error, asyncio.CancelledError | KeyboardInterrupt | SystemExit):
            return
        fault = describe(
            error,
            str(event.get("event", "")),
            str(event.get("error_id") or event.get("id") or event.get("request") or ""),
        )
        if self._too_often(fault.fingerprint):
            return
        self._waiting.append(fault)
        if self._wake is not None:
            self._wake()

    def _too_often(self, fingerprint: str) -> bool:
        moment = time.monotonic()
        began, count = self._lately.get(fingerprint, (moment, 0))
        if moment - began > 60:
            began, count = moment, 0
        if len(self._lately) > 1000:
            self._lately.clear()
        self._lately[fingerprint] = (began, count + 1)
        return count >= _A_MINUTE

    async def tell(self, node: str, publish: Callable[[FaultReported], Awaitable[None]]) -> None:
        """Publish what is noticed, for life; what can't be told now waits."""
        loop, noticed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(noticed.set)

        self._wake = wake
        try:
            while True:
                while self._waiting:
                    await self._first(node, publish)
                noticed.clear()
                await noticed.wait()
        finally:
            self._wake = None

    async def _first(self, node: str, publish: Callable[[FaultReported], Awaitable[None]]) -> None:
        fault = self._waiting[0]
        try:
            await publish(fault.model_copy(update={"node": node}))
        except AenError:
            await asyncio.sleep(_AGAIN)
            return
        if self._waiting and self._waiting[0] is fault:
            self._waiting.popleft()

    @contextlib.asynccontextmanager
    async def told(self, publish: Callable[[FaultReported], Awaitable[None]], node: str) -> AsyncIterator[None]:
        """Hear the log and tell of faults as long as this is held."""
        on_fault(self.notice)
        task = asyncio.create_task(self.tell(node, publish), name="faults")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


FAULTS = Collector()


def describe(error: BaseException, what: str, id: str = "") -> FaultReported:
    """A fault in words that may be kept: where, of which type, and the way there, without what looks like a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/aen/" in frame.filename.replace("\\", "/")]
    last = ours[-1] if ours else frames[-1] if frames else None
    place = f"{_short(last.filename)}:{last.name}" if last is not None else "?"
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    lines = [f"  {_short(frame.filename)}:{frame.lineno} in {frame.name}" for frame in frames[-_FRAMES:]]
    message = without_secrets(str(error))[:500]
    cause = error.__cause__ or error.__context__
    if cause is not None:
        lines.append(f"because of {type(cause).__qualname__}: {without_secrets(str(cause))[:300]}")
    return FaultReported(
        fingerprint=hashlib.sha256(f"{kind} {place}".encode()).hexdigest()[:16],
        place=place[:200],
        kind=kind[:200],
        message=message,
        what=what[:200],
        id=id[:64],
        trace="\n".join(lines)[:_LONGEST],
        at=now(),
    )


def without_secrets(text: str) -> str:
    """`text` with what looks like a password, token or key left out."""
    text = _SECRETS[0].sub(lambda found: f"{found[1]}{found[2]}{found[3]}…", text)
    text = _SECRETS[1].sub(lambda found: f"{found[1]} …", text)
    text = _SECRETS[2].sub("…@", text)
    return _SECRETS[3].sub("…", text)


def _short(filename: str) -> str:
    """A path from the package on: where it is installed says nothing."""
    plain = filename.replace("\\", "/")
    for mark in ("/site-packages/", "/lib/python3"):
        if mark in plain:
            return plain.rpartition(mark)[2]
    at = plain.rfind("/aen/")
    return plain[at + 1 :] if at >= 0 else plain.rpartition("/")[2]


def _error(told: Any) -> BaseException | None:
    if isinstance(told, BaseException):
        return told
    if isinstance(told, tuple) and len(told) == 3:
        return _of_tuple(told)
    return sys.exc_info()[1] if told else None


def _of_tuple(
    told: tuple[type[BaseException] | None, BaseException | None, TracebackType | None],
) -> BaseException | None:
    return told[1]
