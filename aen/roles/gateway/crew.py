"""Crew: the workers of a gateway with `gateway.workers` above 1: kept running, and told all that leads them.

Each is told of routes, logins and revocations in order, by number, and acknowledges each. One that does not within
ACK_SECONDS is killed: so a revocation holds in every worker, whatever became of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

import structlog

from aen import names
from aen.bus import Bus
from aen.config import Config
from aen.errors import AenError
from aen.messages import CheckToken
from aen.model.route import Revocation, Route
from aen.proxy.routes import RouteTable
from aen.roles.gateway import ending
from aen.roles.gateway.admission import Doorman
from aen.roles.gateway.figures import Figures, from_wire, total
from aen.roles.gateway.mirror import Source
from aen.roles.gateway.pipe import MOST_WAITING, Message, Pipe
from aen.service import Service

log = structlog.get_logger(__name__)
ACK_SECONDS = 3.0
_BEGIN_SECONDS = 30.0  # a new worker may take so long for what its gateway knows
_LOOK_SECONDS = 0.5
_AT_ONCE = 500  # routes in one message
_SHORT_LIFE, _PAUSE_SECONDS = 5.0, 1.0


class Member:
    """One worker: its process, and what it was told and has acknowledged."""

    def __init__(self, process: asyncio.subprocess.Process, pipe: Pipe) -> None:
        self.process, self.pipe = process, pipe
        self.told = self.acknowledged = 0
        self.since = time.monotonic()  # when it last had nothing outstanding, or acknowledged something
        self.open = False  # it takes connections
        self.figures = Figures()

    def tell(self, message: Message) -> None:
        """Send it something to take in."""
        if self.told == self.acknowledged:
            self.since = time.monotonic()
        self.told += 1
        self.pipe.send({**message, "n": self.told})

    def heard(self, number: int) -> None:
        """It has taken in what had this number."""
        self.acknowledged, self.since = number, time.monotonic()
        self.open = self.open or number == self.told

    @property
    def stuck(self) -> bool:
        """Whether it has left us waiting for too long."""
        patience = ACK_SECONDS if self.open else _BEGIN_SECONDS
        late = self.acknowledged < self.told and time.monotonic() - self.since > patience
        return late or self.pipe.waiting > MOST_WAITING


class Crew(Service):
    """See following.Led. `setup` is what each worker is told first; `doors` are the listeners, one for each."""

    name = "gateway workers"

    def __init__(self, setup: Message, doors: Sequence[socket.socket], bus: Bus, doorman: Doorman) -> None:
        super().__init__()
        self.routes: RouteTable = Source(self._route_changed)
        self._setup, self._doors, self._bus, self._doorman = setup, doors, bus, doorman
        self._members: dict[int, Member] = {}
        self._past = Figures()  # what workers that are gone had counted
        self._asked: set[asyncio.Task[None]] = set()
        self._ending = False
        self.replaced = 0

    async def open(self) -> None:
        """Begin all of them; ready when each takes connections."""
        self._stack.push_async_callback(self._end)
        begun = [asyncio.Event() for _ in self._doors]
        for number, ready in enumerate(begun):
            self.spawn(self._keep(number, ready), f"worker {number}")
        self.spawn(self._watch(), "watch")
        async with asyncio.timeout(_BEGIN_SECONDS * 2):
            await asyncio.gather(*(ready.wait() for ready in begun))

    # ── what it is told by Following ────────────────────────────────────────────────────────────────

    def keys_changed(self) -> None:
        """See Led."""
        self._tell_all({"kind": "keys", "keys": self._doorman.keys})

    def forget(self, route: Route) -> None:
        """See Led: the workers were told when the route went."""

    def begin_anew(self) -> None:
        """See Led."""
        self._doorman.begin_anew()
        self._tell_all({"kind": "anew"})

    def revoke(self, entry: Revocation) -> int:
        """See Led."""
        ending.take_in(entry, self._doorman, self.routes)
        self._tell_all({"kind": "revoked", "entry": entry.model_dump(mode="json")})
        return 0

    def chose(self, user: str, at: int) -> None:
        """See Led."""
        self._doorman.chose(user, at)
        self._tell_all({"kind": "chose", "user": user, "at": at})

    def postpone(self, login: str) -> None:
        """Don't lead this login to a renewal for a while."""
        self._tell_all({"kind": "postpone", "login": login})

    def _route_changed(self, session: str, route: Route | None) -> None:
        known = None if route is None else route.model_dump(mode="json")
        self._tell_all({"kind": "routes", "routes": {session: known}})

    def _tell_all(self, message: Message) -> None:
        for member in self._members.values():
            member.tell(message)

    # ── what it says ────────────────────────────────────────────────────────────────────────────────

    def figures(self) -> Figures:
        """All that was counted, by those that are gone too."""
        return total((self._past, *(member.figures for member in self._members.values())))

    def health(self) -> dict[str, Any]:
        """See Service."""
        members = [
            {"pid": one.process.pid, "open": one.open, "outstanding": one.told - one.acknowledged}
            for one in self._members.values()
        ]
        fine = len(members) == len(self._doors) and all(one["open"] for one in members)
        return {**super().health(), "status": "ok" if fine else "degraded", "each": members, "replaced": self.replaced}

    async def drain(self, seconds: float) -> None:
        """Take no new connections; each worker finishes what it has."""
        self._ending = True
        self._close_doors()
        members = list(self._members.values())
        for member in members:
            member.tell({"kind": "drain"})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds + 1):
                await asyncio.gather(*(member.process.wait() for member in members))

    # ── each worker ─────────────────────────────────────────────────────────────────────────────────

    async def _keep(self, number: int, ready: asyncio.Event) -> None:
        """Have this worker run; another takes its place when it ends."""
        while True:
            begun = time.monotonic()
            member = await self._begin(number)
            await self._listen(member, ready)
            member.pipe.close()
            status = await member.process.wait()
            self._members.pop(number, None)
            self._past.add(member.figures.ended())
            if self._ending:
                await asyncio.Event().wait()
            self.replaced += 1
            log.error("a worker of the gateway ended: another takes its place", worker=number, status=status)
            await asyncio.sleep(_PAUSE_SECONDS if time.monotonic() - begun < _SHORT_LIFE else 0)

    async def _begin(self, number: int) -> Member:
        ours, theirs = socket.socketpair()
        door = self._doors[number].fileno()
        with theirs:
            argv = ("-P", "-m", "aen.roles.gateway.worker", str(theirs.fileno()))
            process = await asyncio.create_subprocess_exec(sys.executable, *argv, pass_fds=(theirs.fileno(), door))
        member = Member(process, await Pipe.over(ours))
        member.pipe.send({**self._setup, "listener": door})
        # Nothing is awaited from here on, so nothing that changes falls between.
        revoked = self._doorman.revoked
        users = {user: [since.at, since.number] for user, since in revoked.users.items()}
        known = {"latest": revoked.latest, "logins": revoked.logins, "users": users}
        member.tell({"kind": "keys", "keys": self._doorman.keys})
        member.tell({"kind": "revocations", **known})
        routes = self.routes.routes()
        for at in range(0, len(routes), _AT_ONCE):
            some = {route.session: route.model_dump(mode="json") for route in routes[at : at + _AT_ONCE]}
            member.tell({"kind": "routes", "routes": some})
        member.tell({"kind": "open"})
        self._members[number] = member
        return member

    async def _listen(self, member: Member, ready: asyncio.Event) -> None:
        """Hear what a worker says, until it is gone."""
        while (message := await member.pipe.receive()) is not None:
            if "ack" in message:
                member.heard(message["ack"])
                if member.open:
                    ready.set()
            elif "counts" in message:
                member.figures = from_wire(message["counts"])
            elif "ask" in message:
                task = asyncio.create_task(self._ask(member, message))
                self._asked.add(task)
                task.add_done_callback(self._asked.discard)
            elif "drained" in message:
                return

    async def _ask(self, member: Member, message: Message) -> None:
        """Ask the server whose token this is."""
        command = CheckToken(token_hash=message["token_hash"], address=message["address"])
        try:
            login = await self._bus.request(names.address("server"), command, timeout=5)
        except AenError as error:
            member.pipe.send({"answer": message["ask"], "error": error.to_wire()})
        else:
            member.pipe.send({"answer": message["ask"], "login": login.model_dump(mode="json")})

    async def _watch(self) -> None:
        """Kill a worker that does not acknowledge: what was taken from somebody must not go on there."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for number, member in list(self._members.items()):
                if member.stuck:
                    log.error("a worker of the gateway does not listen: it is killed", worker=number)
                    _kill(member)

    def _close_doors(self) -> None:
        """The workers hold them too; the last to close one takes who waits at it."""
        for door in self._doors:
            door.close()

    async def _end(self) -> None:
        self._ending = True
        self._close_doors()
        for member in self._members.values():
            _kill(member)
        for member in list(self._members.values()):
            await member.process.wait()
            member.pipe.close()
        for task in list(self._asked):
            task.cancel()


def _kill(member: Member) -> None:
    with contextlib.suppress(ProcessLookupError):
        member.process.kill()


def setup(config: Config, roles: tuple[str, ...], pages: str, token: str) -> Message:
    """What a worker has to know from the first: no secret but the one of the pages."""
    parts = {"data_dir", "run_dir", "log", "gateway", "compute"}
    known = config.model_dump(mode="json", include=parts)
    return {"config": known, "roles": list(roles), "pages": pages, "token": token}
