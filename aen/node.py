"""Node: one `aen serve`. Bus and roles up in order, down in reverse; signals; the operations page."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from enum import StrEnum
from typing import Any

import structlog

from aen import founding, listeners, plugins
from aen import log as logs
from aen.belonging import Belonging
from aen.bus import Bus
from aen.bus.broker import Broker
from aen.config import Config
from aen.credentials import Credentials
from aen.doctor import Patient
from aen.doctor.telling import Telling
from aen.faults import FAULTS
from aen.ground import Ground
from aen.launchers.process import ProcessLauncher
from aen.operations import Operations
from aen.roles import ROLES, Context, Role

log = structlog.get_logger(__name__)

STOP_SECONDS = 10.0  # a role that takes longer is named in the log and left behind

#: Objects more than before until the youngest are looked through (2 ms), such passes until the next older are (6 ms), and
#: those until all are. With more at a time nothing is saved, and whoever asks just then waits for 50 ms.
_COLLECT = (2_000, 10, 500)

SAME_SIGNAL_SECONDS = 1.0  # `timeout` and terminals signal a process and then its group: that is one wish


class Phase(StrEnum):
    """Where a node is in its life."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


def _spare_the_collector(roles: tuple[str, ...]) -> None:
    """What is there after the start stays: looking through it for garbage again and again held everybody up for half a second."""
    gc.collect()
    gc.freeze()
    if "server" in roles:  # it comes to hold far more; with few objects, rarer passes cost a few MB for nothing
        gc.set_threshold(*_COLLECT)


class Node:
    """One process of AEN. `run` returns its exit code: 0 after a signal, 1 after a failure.

    `reread` gives the configuration anew for SIGHUP; it may raise AenErrors.
    """

    def __init__(self, ground: Ground, reread: Callable[[], Config] | None = None) -> None:
        self.ground = ground
        self.config = ground.config
        self.phase = Phase.STARTING
        self.roles: dict[str, Role] = {}
        self.bus: Bus | None = None
        self._broker: Broker | None = None
        self._launcher: ProcessLauncher | None = None
        self._reread = reread
        self._ending = asyncio.Event()
        self._told = 0.0  # when it was first told to end
        self._stack = AsyncExitStack()

    async def run(self) -> int:
        """Live until a signal or the first failure."""
        self._listen_to_signals()
        try:
            if not await self._started():
                return 0
            _spare_the_collector(self.ground.roles)
            self._announce()
            return await self._lived()
        finally:
            await self._end()

    def end(self) -> None:
        """End in order, as SIGTERM asks for; a second call cuts at once."""
        now = asyncio.get_running_loop().time()
        if self._ending.is_set() and now - self._told > SAME_SIGNAL_SECONDS:
            log.error("told twice to end: cutting at once")
            os._exit(1)
        if not self._ending.is_set():
            self._told = now
            self._ending.set()

    async def __aenter__(self) -> Node:
        """Start without signals: for a command that stands in for a server."""
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._end()

    # ── up ──────────────────────────────────────────────────────────────────────────────────────────

    async def _started(self) -> bool:
        """Start everything; False when a signal came first."""
        starting = asyncio.create_task(self._start(), name="node:start")
        ending = asyncio.create_task(self._ending.wait(), name="node:ending")
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not starting.done():
            log.info("told to end while starting")
            starting.cancel()
            await asyncio.wait([starting])
            return False
        await starting
        return True

    async def _start(self) -> None:
        ground = self.ground
        if "ops" in ground.bound:
            page = Operations(ground.bound["ops"], self._not_ready, self.health)
            await self._stack.enter_async_context(page)
        if self.config.bus.mode == "managed" and "server" in ground.roles:
            await asyncio.to_thread(founding.found, self.config, ground.roles, ground.machine)
        self.bus = await self._stack.enter_async_context(await self._carrier())
        await self._belong(self.bus)
        await self._stack.enter_async_context(FAULTS.told(self.bus.publish, self._name()))
        if ground.handle is not None:
            self._launcher = await self._stack.enter_async_context(ProcessLauncher(ground.handle))
        roles = {name: sock for name, sock in ground.bound.items() if name != "ops"}
        context = Context(self.config, ground.roles, self.bus, self._launcher, roles, self._broker)
        for name in (name for name in ROLES if name in ground.roles):
            role = ROLES[name](context)
            role.name = name
            await role.start()
            self.roles[name] = role
            log.info("role started", role=name)
        await self._tell_of_itself(self.bus)

    async def _carrier(self) -> Bus:
        """The bus of this node, not yet open; before it the broker that belongs to a server or gateway."""
        config, roles = self.config, self.ground.roles
        if config.bus.mode == "local":
            local: Bus = plugins.load("aen.buses", "local")()
            return local
        credentials = Credentials.load(config.data_dir)
        own = None
        if config.bus.mode == "managed" and credentials is not None and {"server", "gateway"} & set(roles):
            broker = Broker(config, roles, credentials, listeners.holder)
            self._broker = await self._stack.enter_async_context(broker)
            own = self._own_broker
        between: Bus = plugins.load("aen.buses", "nats")(config, roles, credentials, own)
        return between

    async def _belong(self, bus: Bus) -> None:
        """A node that has joined looks after what it was given; the server does that for itself."""
        credentials = Credentials.load(self.config.data_dir) if self.config.bus.mode != "local" else None
        if credentials is not None and "server" not in self.ground.roles:
            await self._stack.enter_async_context(Belonging(bus, credentials, self._broker))

    async def _tell_of_itself(self, bus: Bus) -> None:
        """A node that serves (no command's stand-in) tells the server what `aen doctor` finds here."""
        ground = self.ground
        if "ops" not in ground.bound and self._reread is None:
            return
        mine = Credentials.load(self.config.data_dir) if self.config.bus.mode != "local" else None
        files = ground.loaded.files if ground.loaded is not None else ()
        patient = Patient(self.config, ground.machine, files, ground.roles, mine, inside=True)
        await self._stack.enter_async_context(Telling(bus, patient, self._name(), ground.loaded))

    def _name(self) -> str:
        """What this node is called on the bus."""
        credentials = Credentials.load(self.config.data_dir) if self.config.bus.mode != "local" else None
        joined = credentials.joined if credentials is not None else None
        return joined.node if joined is not None else self.config.compute.name or "node"

    def _own_broker(self) -> str:
        """Where it is now: its port may be another after it was started again."""
        assert self._broker is not None
        return self._broker.url

    def _announce(self) -> None:
        self.phase = Phase.READY
        config, ports = self.config, listeners.ports(self.ground.bound)
        facts = {
            "pid": os.getpid(),
            "roles": list(self.ground.roles),
            "ports": ports,
            "server": config.server.url,
            "gateway": config.gateway.url,
        }
        place = config.run_dir / "node.json"
        place.write_text(json.dumps(facts) + "\n")
        self._stack.callback(place.unlink, missing_ok=True)
        notify("READY=1")
        log.info("ready", roles=",".join(self.ground.roles), ports=ports)
        if "server" in self.ground.roles:
            print(f"\nAEN is ready: {config.server.url}/\n", flush=True)

    async def _lived(self) -> int:
        """Wait for the end: 0 when told to, 1 when a part failed."""
        parts: dict[str, asyncio.Future[Any]] = {name: role.failed for name, role in self.roles.items()}
        if self._launcher is not None:
            parts["launcher"] = self._launcher.failed
        ending = asyncio.create_task(self._ending.wait(), name="node:ending")
        await asyncio.wait({ending, *parts.values()}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        broken = {name: part.result() for name, part in parts.items() if part.done()}
        for name, error in broken.items():
            log.error("a part failed: the node stops", part=name, error=str(error) or type(error).__name__)
        return 1 if broken else 0

    # ── down ────────────────────────────────────────────────────────────────────────────────────────

    async def _end(self) -> None:
        if self.phase is Phase.STOPPED:
            return
        self.phase = Phase.DRAINING
        notify("STOPPING=1")
        patience = self.config.gateway.drain_seconds + 2
        for name, role in reversed(self.roles.items()):
            await _in_time(role.drain(), patience, name, "drain")
        for name, role in reversed(self.roles.items()):
            await _in_time(role.stop(), STOP_SECONDS, name, "stop")
        await _in_time(self._stack.aclose(), STOP_SECONDS, "bus", "stop")
        self.phase = Phase.STOPPED
        self.ground.release()
        log.info("stopped")

    # ── what others see ─────────────────────────────────────────────────────────────────────────────

    def health(self) -> dict[str, Any]:
        """The health of every part, each in its own words; `status` is the worst of them."""
        parts: dict[str, Any] = {name: role.health() for name, role in self.roles.items()}
        if self.bus is not None:
            parts["bus"] = self.bus.health()
        if self._broker is not None:
            parts["broker"] = self._broker.health()
        if self._launcher is not None:
            parts["launcher"] = self._launcher.health()
        fine = self.phase is Phase.READY and all(part.get("status") == "ok" for part in parts.values())
        return {"status": "ok" if fine else "degraded", "phase": self.phase, "parts": parts}

    def _not_ready(self) -> str:
        return "" if self.phase is Phase.READY else str(self.phase)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _reload(self) -> None:
        """Apply what is marked [live]; say what needs a restart. A wrong configuration changes nothing."""
        if self._reread is None:
            return
        try:
            new = self._reread()
        except Exception as error:  # whatever is wrong with the files, the node goes on as it was
            log.error("configuration not applied", error=str(error))
            return
        logs.set_level(new.log.level)
        old = self.config.model_dump(exclude={"log": {"level"}})
        waiting = [name for name, value in new.model_dump(exclude={"log": {"level"}}).items() if value != old[name]]
        self.config.log.level = new.log.level
        log.info("configuration applied", level=new.log.level, needs_restart=",".join(waiting) or "nothing")


def notify(state: str) -> None:
    """Tell systemd (sd_notify), where it asked to be told."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)
        except OSError as error:
            log.warning("systemd could not be told", state=state, error=str(error))


async def _in_time(work: Any, seconds: float, who: str, what: str) -> None:
    """Do `work`, but no longer than `seconds`: the rest of the node must not wait for one part."""
    try:
        await asyncio.wait_for(work, seconds)
    except TimeoutError:
        log.error("too late: going on without it", part=who, doing=what, seconds=seconds)
    except Exception:
        log.exception("failed while ending", part=who, doing=what)
