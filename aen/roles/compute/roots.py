"""Root environments of this node: built at the first start, found again later; who needs one waits for it here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from aen.environments import Backend, RootEnvironment
from aen.environments.old import note_use, remove_old
from aen.errors import AenError, Unavailable

log = structlog.get_logger(__name__)

NAMES = ("root", "apps")
_DAY = 86400.0
_AGAIN_SECONDS = 60.0  # after a build that failed
_LOGGED_STEPS = 5  # of progress, for each environment


class Roots:
    """`root` is cloned into projects, `apps` runs the app servers. `ensure_for_life` builds them."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.message = "Looking for the environments that apps run in"
        self.progress = 0.0  # 0 to 1, over both
        self._found: dict[str, RootEnvironment] = {}
        self._failure = ""
        self._changed = asyncio.Event()  # set, and made anew, at every change
        self._wanted = asyncio.Event()  # somebody waits: try again now

    @property
    def ready(self) -> bool:
        """Whether both are there."""
        return len(self._found) == len(NAMES)

    async def ensure_for_life(self) -> None:
        """Build what is missing; after a failure again every minute, or as soon as somebody needs it."""
        while not await self._ensure():
            self._wanted.clear()
            try:
                await asyncio.wait_for(self._wanted.wait(), _AGAIN_SECONDS)
            except TimeoutError:
                log.info("building environments again")
        while True:
            await asyncio.to_thread(self._tidy)
            await asyncio.sleep(_DAY)

    def _tidy(self) -> None:
        """Those we work with are in use; of the others, the old ones go."""
        newest = [one.path for one in self._found.values()]
        for path in newest:
            note_use(path)
        for top in {path.parent for path in newest}:
            try:
                remove_old(top, newest)
            except OSError as error:
                log.warning("old root environments can't be removed", reason=str(error))

    async def get(self, name: str, note: Callable[[str], None]) -> RootEnvironment:
        """The environment, once it is there; `note` is told of progress. Raises Unavailable when it can't be built."""
        tried = not self._failure
        while name not in self._found:
            changed = self._changed
            if self._failure and tried:
                raise Unavailable(self._failure)
            if self._failure:
                self._failure, tried = "", True
                self._wanted.set()
            note(self.message)
            await changed.wait()
        return self._found[name]

    async def _ensure(self) -> bool:
        try:
            for number, name in enumerate(NAMES):
                self._found[name] = await self.backend.ensure_root(name, self._note(number))
                self._tell("", (number + 1) / len(NAMES))
        except AenError as error:
            self._failure = error.message
            self._tell(error.message, self.progress)
            log.error("environments are not ready", reason=error.message)
            return False
        self._failure = ""
        return True

    def _note(self, number: int) -> Callable[[str, float], None]:
        logged = -1

        def note(message: str, part: float) -> None:
            nonlocal logged
            if int(part * _LOGGED_STEPS) > logged:
                logged = int(part * _LOGGED_STEPS)
                bar = "#" * int(part * 20)
                log.info("building environments", progress=f"[{bar:<20}]", doing=message)
            self._tell(message, (number + part) / len(NAMES))

        return note

    def _tell(self, message: str, progress: float) -> None:
        self.message, self.progress = message, progress
        self._changed.set()
        self._changed = asyncio.Event()
