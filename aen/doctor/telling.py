"""Telling: a running node examines itself at its start and when it is asked (the server asks once a day), and tells the server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from dataclasses import asdict

import structlog

from aen import __version__
from aen.bus import Bus
from aen.config.load import Loaded
from aen.config.show import values
from aen.doctor import Finding, Patient, examine, worst_first
from aen.errors import AenError
from aen.messages import ExamineNodes, NodeExamined
from aen.messages.nodes import FoundWord, OptionWord
from aen.model import now
from aen.service import Service

log = structlog.get_logger(__name__)

_FIRST_SECONDS = 3.0  # after the start: roles are up then
_MOST = 200  # findings in one message


class Telling(Service):
    """For life. `loaded`: the configuration as it was given, for where each value comes from."""

    name = "doctor"

    def __init__(self, bus: Bus, patient: Patient, node: str, loaded: Loaded | None) -> None:
        super().__init__()
        self._bus, self._patient, self._node, self._loaded = bus, patient, node, loaded
        self._asked = asyncio.Event()
        self._last: NodeExamined | None = None

    async def open(self) -> None:
        """See Service."""
        self._stack.callback(self._bus.subscribe(ExamineNodes, self._examine).cancel)
        self.spawn(self._tell_for_life(), "doctor")

    async def _examine(self, event: ExamineNodes) -> None:
        if event.node in ("", self._node):
            self._last = None if event.anew else self._last
            self._asked.set()

    async def _tell_for_life(self) -> None:
        pause: float | None = _FIRST_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), pause)
            self._asked.clear()
            pause = None
            try:
                self._last = self._last or await self._found()
                await self._bus.publish(self._last)
            except AenError as error:
                log.warning("what was found could not be told", reason=error.message)

    async def _found(self) -> NodeExamined:
        findings = worst_first(await _examined(self._patient))
        origin = self._loaded.origin if self._loaded is not None else lambda path: ""
        return NodeExamined(
            node=self._node,
            host=socket.gethostname()[:253],
            roles=list(self._patient.roles),
            version=__version__,
            at=now(),
            findings=[FoundWord(**{key: text[:1000] for key, text in asdict(one).items()}) for one in findings[:_MOST]],
            options=[
                OptionWord(path=path, value=str(value)[:1000], origin=origin(path)[:300])
                for path, value in values(self._patient.config).items()
            ],
        )


async def _examined(patient: Patient) -> list[Finding]:
    """In a thread that nobody waits for when AEN ends: a slow disk, or one that hangs, would hold that up for minutes."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Finding]] = loop.create_future()

    def tell(findings: list[Finding]) -> None:
        if not found.done():
            found.set_result(findings)

    def look() -> None:
        findings = examine(patient)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, findings)

    threading.Thread(target=look, name="doctor", daemon=True).start()
    return await found
