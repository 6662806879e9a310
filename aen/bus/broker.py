"""The managed broker: a nats-server that AEN runs beside a server or gateway, and that outlives AEN's restarts.

It is found again by process id and start time, never started twice, started again when it dies, and told of every
change of the nodes and of renewed certificates. Ending AEN leaves it running; `stop` ends it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from aen import nkeys
from aen.bus import ports
from aen.bus import running as processes
from aen.bus.broker_config import Known, Layout, stale, text
from aen.config import Config
from aen.config.checks import split_listen
from aen.errors import Conflict, Invalid, Unavailable

if TYPE_CHECKING:
    from aen.credentials import Credentials

START_SECONDS = 10.0
LOOK_SECONDS = 5.0  # between two looks at the certificate
LONGEST_PAUSE = 5.0  # between two starts of a broker that dies

log = structlog.get_logger(__name__)


def folder_of(data_dir: Path) -> Path:
    """Where a managed broker keeps its files."""
    return data_dir / "broker"


async def stop(data_dir: Path, seconds: float = 10.0) -> bool:
    """End the managed broker of a data directory, if one runs. AEN itself must not run: it would start it again."""
    found = processes.find(folder_of(data_dir))
    if found is None:
        return False
    await processes.end(found, seconds)
    processes.forget(folder_of(data_dir))
    return True


class Broker:
    """The broker of one node: of a server (the hub), of a gateway (a leaf for its data center), or both in one.

    `holder` says who has a port, for messages.
    """

    def __init__(
        self,
        config: Config,
        roles: tuple[str, ...],
        credentials: Credentials,
        holder: Callable[[int], str] = lambda port: "",
    ) -> None:
        """Raises Invalid when the credentials can't be used."""
        joined = credentials.joined
        self._folder = folder_of(config.data_dir)
        self._config, self._roles, self._credentials, self._holder = config, roles, credentials, holder
        self._me = Known(joined.node, roles, joined.datacenter, _public(credentials))
        self._nodes: list[Known] = []
        self._running: processes.Running | None = None
        self._port = 0  # where our own bus connects
        self._meant = 0  # the process that we end ourselves
        self._facts = {"starts": 0, "adopted": 0, "reloads": 0}
        self._why = ""
        self._seen: list[int] = []  # the certificate files as the broker has them
        self._keeping: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where this node's own bus connects."""
        host = split_listen(self._listen)[0]
        host = "127.0.0.1" if host in ("*", "0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
        return f"tls://{f'[{host}]' if ':' in host else host}:{self._port}"

    async def __aenter__(self) -> Broker:
        """Adopt the one that runs, or start one. Raises Conflict (a port is taken), Unavailable (it doesn't start)."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._nodes = self._kept_nodes()
        await self._adopt()
        if self._running is None:
            await self._start()
        self._keeping = asyncio.create_task(self._keep(), name="broker:keep")
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Leave it running: other nodes talk over it."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def set_nodes(self, nodes: Iterable[Known]) -> None:
        """From now on these nodes (besides this one) belong to the installation; others are cut off at once.

        Raises Invalid when a key is none; then nothing changes.
        """
        new = sorted(set(nodes))
        text(self._layout(), self._me, new)
        before, self._nodes = self._nodes, new
        processes.write(self._folder / "nodes.json", json.dumps(new, indent=1) + "\n")
        self._reload_if_changed()
        if self._running is not None and (why := stale(self._layout(), before, new)):
            log.info("the broker connects anew", why=why)
            self._meant = self._running.pid
            await processes.end(self._running, START_SECONDS)  # `_keep` starts it again at once

    def health(self) -> dict[str, Any]:
        """Which process it is, where it listens, how many nodes it knows."""
        fine = self._running is not None
        return {
            "status": "ok" if fine else "degraded",
            "reason": "" if fine else self._why or "not running",
            "pid": self._running.pid if self._running else 0,
            "listen": self._leaves or self._listen,
            "nodes": len(self._nodes),
            **self._facts,
        }

    # ── how it is laid out ──────────────────────────────────────────────────────────────────────────

    @property
    def _listen(self) -> str:
        """Where nodes connect. Only those of a gateway's data center do from outside: else our own bus alone."""
        return self._config.bus.leaf_listen if "gateway" in self._roles else "127.0.0.1:0"

    @property
    def _leaves(self) -> str:
        return self._config.bus.listen if "server" in self._roles else ""

    def _layout(self) -> Layout:
        mine = self._credentials
        host = split_listen(self._listen)[0]
        return Layout(
            name=f"aen-{self._me.node}",
            folder=self._folder,
            listen=ports.as_given(f"[{host}]:{self._port}" if ":" in host else f"{host}:{self._port}"),
            leaves=ports.as_given(self._leaves) if self._leaves else "",
            certificate=mine.certificate,
            key=mine.key,
            authority=mine.authority,
            seed=mine.nkey.read_text().strip(),
            remotes=() if "server" in self._roles else (mine.joined.bus_url,),
        )

    def _kept_nodes(self) -> list[Known]:
        try:
            found = json.loads((self._folder / "nodes.json").read_text())
            return [Known(node, tuple(roles), place, nkey) for node, roles, place, nkey in found]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            log.error("the list of nodes can't be read: waiting for a new one", why=str(error))
            return []

    def _fixed(self) -> str:
        """What a reload can't change."""
        return hashlib.sha256(text(self._layout(), self._me, []).encode()).hexdigest()

    # ── the process ─────────────────────────────────────────────────────────────────────────────────

    async def _adopt(self) -> None:
        """Go on with the one that runs, if it is as it would be started now."""
        found = processes.find(self._folder)
        if found is None:
            return
        asked = split_listen(self._listen)[1]
        self._port = asked or self._kept_port() or ports.free(self._listen, self._leaves)
        if found.layout != self._fixed() or processes.replaced(found):
            log.info("the broker is started again: its configuration or program has changed", pid=found.pid)
            await processes.end(found, START_SECONDS)
            return
        self._running = found
        self._facts["adopted"] += 1
        self._seen = self._stamp()
        log.info("broker adopted", pid=found.pid)
        processes.write(self._folder / "nats.conf", text(self._layout(), self._me, self._nodes))
        self._reload()  # nobody told it of certificates that were renewed meanwhile

    async def _start(self) -> None:
        self._choose_port()
        self._check_ports()
        self._seen = self._stamp()
        processes.write(self._folder / "nats.conf", text(self._layout(), self._me, self._nodes))
        pid = processes.spawn([processes.program(), "-c", str(self._folder / "nats.conf")], self._folder)
        try:
            running = processes.begun(pid, self._fixed())
            processes.remember(self._folder, running)
            await self._listening(pid)
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            processes.reap(pid)
            processes.forget(self._folder)
            raise
        self._running, self._why = running, ""
        self._facts["starts"] += 1
        log.info("broker started", pid=pid, url=self.url, leaves=self._leaves)

    async def _listening(self, pid: int) -> None:
        """Wait until it listens. Raises Unavailable with what it said when it doesn't."""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                while processes.find(self._folder) is not None:
                    if (self._folder / f"nats-server_{pid}.ports").exists():
                        return
                    await asyncio.sleep(0.02)
        raise Unavailable(f"The broker (nats-server) doesn't start: {processes.last_words(self._folder)}")

    def _choose_port(self) -> None:
        """Our own bus looks for it at one place for as long as it can: a private port is kept over restarts."""
        asked = split_listen(self._listen)[1]
        kept = self._kept_port()
        self._port = asked or (
            kept if kept and not ports.taken(f"127.0.0.1:{kept}") else ports.free(self._listen, self._leaves)
        )
        processes.write(self._folder / "port", f"{self._port}\n")

    def _kept_port(self) -> int:
        with suppress(OSError, ValueError):
            return int((self._folder / "port").read_text())
        return 0

    def _check_ports(self) -> None:
        layout = self._layout()
        for option, place in (("bus.leaf_listen", layout.listen), ("bus.listen", layout.leaves)):
            if place and ports.taken(place):
                port = split_listen(place)[1]
                who = self._holder(port) or "another program"
                raise Conflict(
                    f"{option}: port {port} is taken by {who}. End it, or choose another port with {option}."
                )

    def _reload_if_changed(self) -> None:
        path, new = self._folder / "nats.conf", text(self._layout(), self._me, self._nodes)
        if path.exists() and path.read_text() == new:
            return
        processes.write(path, new)
        self._reload()

    def _reload(self) -> None:
        if self._running is not None and processes.find(self._folder) == self._running:
            os.kill(self._running.pid, signal.SIGHUP)
            self._facts["reloads"] += 1

    async def _keep(self) -> None:
        """For life: start it again when it dies; tell it of renewed certificates."""
        pause = 0.1
        while True:
            if self._running is None or await processes.ends(self._running, LOOK_SECONDS):
                pid = self._running.pid if self._running else 0
                self._running = None
                if pid != self._meant:
                    said = processes.last_words(self._folder)
                    log.error("the broker has ended: starting it again", pid=pid, said=said)
                processes.reap(pid)
                pause = min(pause * 2, LONGEST_PAUSE) if not await self._started() else 0.1
                if self._running is None:
                    await asyncio.sleep(pause)
            elif self._stamp() != self._seen:
                self._seen = self._stamp()
                log.info("the broker takes up a new certificate")
                self._reload()

    async def _started(self) -> bool:
        try:
            await self._start()
        except Exception as error:
            self._why = str(error)
            log.error("the broker can't be started", why=self._why)
            return False
        return True

    def _stamp(self) -> list[int]:
        files = (self._credentials.certificate, self._credentials.authority)
        return [path.stat().st_mtime_ns if path.exists() else 0 for path in files]


def _public(credentials: Credentials) -> str:
    try:
        return nkeys.public(credentials.nkey.read_bytes())
    except OSError as error:
        raise Invalid(f"{credentials.nkey} can't be read: {error.strerror}. Let the node join again.") from error
