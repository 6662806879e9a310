"""Following: the server's routes, revocations and keys. Events bring them at once; asking repairs what was missed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import structlog

from aen import names
from aen.bus import Bus
from aen.errors import AenError
from aen.messages import (
    Keys,
    LanguageChosen,
    ReadKeys,
    ReadRevocations,
    Revocations,
    Revoked,
    RouteAdded,
    RouteRemoved,
    Routes,
)
from aen.model.route import Revocation, Route
from aen.proxy.routes import RouteTable
from aen.roles.gateway.admission import Doorman
from aen.roles.gateway.histories import Histories
from aen.roles.gateway.snapshot import Snapshot, encode, save
from aen.roles.gateway.whole import Whole
from aen.service import Service

Ask = Callable[[], Awaitable[None]]
log = structlog.get_logger(__name__)

REVOCATIONS_SECONDS = 2.0
ROUTES_SECONDS = 5.0
KEYS_SECONDS = 60.0
SAVE_SECONDS = 1.0
_ASK_SECONDS = 5.0
_GAP_SECONDS = 0.2
_MOST_PAGES = 10_000


class Led(Protocol):
    """What Following keeps true: the data plane of this process, or those of all workers."""

    @property
    def routes(self) -> RouteTable:
        """All of them."""

    def keys_changed(self) -> None:
        """The doorman checks grants with other keys than before."""

    def forget(self, route: Route) -> None:
        """A session has ended, and stands in `routes` no more."""

    def begin_anew(self) -> None:
        """The server's log is another one, and is read from its beginning."""

    def chose(self, user: str, at: int) -> None:
        """A person reads another language since then."""

    def revoke(self, entry: Revocation) -> int:
        """Take in an entry of the log, also for what is open; how many WebSockets were closed in this process."""


class Following(Service):
    """Keeps a data plane and its doorman true. `heard` is when the server last told the log's number (monotonic)."""

    name = "gateway following"

    def __init__(self, bus: Bus, datacenter: str, led: Led, doorman: Doorman, path: Path) -> None:
        super().__init__()
        self._bus, self._datacenter, self._led, self._doorman = bus, datacenter, led, doorman
        self._path = path
        self._histories, self._whole = Histories(led.routes, led.forget), Whole(led.routes, led.forget)
        self._changed, self._missed, self._gap = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._asking_routes = asyncio.Lock()
        self.heard: float | None = None

    async def open(self) -> None:
        """Hear events first, then ask: so nothing falls between."""
        subscriptions = (
            self._bus.subscribe(RouteAdded, self._route_told),
            self._bus.subscribe(RouteRemoved, self._route_told),
            self._bus.subscribe(Revoked, self._revoked),
            self._bus.subscribe(LanguageChosen, self._chose),
        )
        for subscription in subscriptions:
            self._stack.callback(subscription.cancel)
        self._stack.push_async_callback(self._save)
        for ask in (self.read_keys, self.read_revocations, self.read_routes):
            await self._try(ask)
        self.spawn(self._repeat(self.read_revocations, REVOCATIONS_SECONDS, self._missed), "revocations")
        self.spawn(self._keep_routes(), "routes")
        self.spawn(self._repeat(self.read_keys, KEYS_SECONDS), "keys")
        self.spawn(self._keep(), "snapshot")

    def start_from(self, snapshot: Snapshot) -> None:
        """Begin with what was known before a restart."""
        revoked = self._doorman.revoked
        revoked.latest, revoked.logins, revoked.users = snapshot.latest, snapshot.logins, snapshot.users
        self._doorman.use_keys(snapshot.keys)
        for route in snapshot.routes:
            self._led.routes.add(route)

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────

    async def read_keys(self) -> None:
        """Ask for the verification keys."""
        answer: Keys = await self._bus.request(names.address("server"), ReadKeys(), _ASK_SECONDS)
        if self._doorman.use_keys(answer.keys):
            self._led.keys_changed()
            self._changed.set()

    async def read_revocations(self) -> None:
        """Ask for the log's newest number, and fetch what was missed."""
        revoked = self._doorman.revoked
        while True:
            have = revoked.latest
            answer: Revocations = await self._bus.request(
                names.address("server"), ReadRevocations(after=have), _ASK_SECONDS
            )
            if answer.latest < have:  # another log than the one we followed
                log.warning("the server's revocation log is shorter than ours: it is read anew")
                self._led.begin_anew()
                continue
            for entry in answer.entries:
                self._take(entry)
            if not answer.entries or revoked.latest >= answer.latest:
                break
        if answer.latest > revoked.latest:  # what is missing was pruned: it is older than any grant
            revoked.latest = answer.latest
        self.heard = time.monotonic()

    async def read_routes(self) -> None:
        """Ask for what has changed of the routes; of a server that we know nothing of, for all of them."""
        async with self._asking_routes:
            before = self._led.routes.version
            self._histories.begin()
            self._whole.begin()
            for _ in range(_MOST_PAGES):
                command = self._whole.asking(self._histories.asking(self._datacenter))
                answer: Routes = await self._bus.request(names.address("server"), command, _ASK_SECONDS)
                more = self._histories.take(answer) if answer.history else self._whole.take(answer)
                self._changed_since(before)
                if not more:
                    break

    async def _keep_routes(self) -> None:
        """Ask every so often; and soon after an event that shows that one before it was missed."""
        seconds = ROUTES_SECONDS
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gap.wait(), seconds)
                await asyncio.sleep(_GAP_SECONDS)  # what came in another order is no gap
            missed = self._gap.is_set()
            self._gap.clear()
            if not missed or self._histories.behind:
                seconds = min(await self._try(self.read_routes) or ROUTES_SECONDS, ROUTES_SECONDS)

    async def _repeat(self, ask: Ask, seconds: float, sooner: asyncio.Event | None = None) -> None:
        """Ask every so often, and at once when `sooner` is set."""
        while True:
            if sooner is None:
                await asyncio.sleep(seconds)
            else:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(sooner.wait(), seconds)
                sooner.clear()
            await self._try(ask)

    async def _try(self, ask: Ask) -> float | None:
        """Ask; when that can't be: in how many seconds to try again, if the server said so."""
        try:
            await ask()
        except AenError as error:
            log.debug("the server can't be asked", what=getattr(ask, "__name__", ""), why=error.message)
            return error.retry_after
        return None

    # ── hearing ─────────────────────────────────────────────────────────────────────────────────────

    async def _route_told(self, event: RouteAdded | RouteRemoved) -> None:
        if event.datacenter != self._datacenter:
            return
        before = self._led.routes.version
        self._histories.hear(event)
        self._changed_since(before)
        if self._histories.behind:
            self._gap.set()

    def _changed_since(self, version: int) -> None:
        if self._led.routes.version != version:
            self._changed.set()

    async def _revoked(self, event: Revoked) -> None:
        number = self._doorman.revoked.latest + 1
        if event.revocation.number == number:
            self._take(event.revocation)
        elif event.revocation.number > number:
            self._missed.set()

    async def _chose(self, event: LanguageChosen) -> None:
        self._led.chose(event.user, event.at)

    def _take(self, entry: Revocation) -> None:
        """Take in an entry of the log: from now on it counts, also for what is open."""
        gone = self._led.revoke(entry)
        log.info("revoked", kind=entry.kind, number=entry.number, closed=gone)
        self._changed.set()

    # ── keeping ─────────────────────────────────────────────────────────────────────────────────────

    async def _keep(self) -> None:
        """Write the snapshot soon after something changed."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(SAVE_SECONDS)
            await self._save()

    async def _save(self) -> None:
        self._changed.clear()
        revoked = self._doorman.revoked
        routes, keys = self._led.routes.routes(), self._doorman.keys
        snapshot = Snapshot(
            routes=routes, latest=revoked.latest, logins=dict(revoked.logins), users=dict(revoked.users), keys=keys
        )
        parts = []
        for part in encode(snapshot):
            parts.append(part)
            await asyncio.sleep(0)  # of many routes: whoever has sent a request comes between
        try:
            await asyncio.to_thread(save, self._path, b"".join(parts))
        except OSError as error:
            log.error("the gateway's snapshot can't be written", path=str(self._path), why=str(error))
