"""Brokers for tests: a real nats-server of its own, on a free port, with the buses of the nodes that talk over it."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from aen.bus import Bus
from aen.bus.nats import NatsBus
from aen.config.model import BusOptions, Compute, Config, Gateway
from tests.waiting import until

PROGRAM = Path(sys.executable).parent / "nats-server"


class PlainBroker:
    """A nats-server without TLS and without keys, on loopback. `start` again after `kill`: same port."""

    def __init__(self, folder: Path, options: str = "") -> None:
        self.folder, self.port = folder, -1
        self.options = options
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it, and wait until it says its ports."""
        config = self.folder / "nats.conf"
        config.write_text(f"listen: 127.0.0.1:{self.port}\nports_file_dir: {str(self.folder)!r}\n{self.options}")
        with (self.folder / "nats.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(PROGRAM, "-c", config, stdout=log, stderr=log)
        self.port = urlsplit(await until(self._listening, 20, "nats-server says its port")).port or 0

    async def kill(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        for file in self.folder.glob("*.ports"):
            file.unlink()

    async def _listening(self) -> str | None:
        assert self.process is not None
        assert self.process.returncode is None, (self.folder / "nats.log").read_text()
        for file in self.folder.glob(f"*_{self.process.pid}.ports"):
            found: list[str] = json.loads(file.read_text() or "{}").get("nats", [])
            return found[0] if found else None
        return None


@asynccontextmanager
async def plain_broker(options: str = "") -> AsyncIterator[PlainBroker]:
    """One that runs."""
    with tempfile.TemporaryDirectory(prefix="aen-broker-") as folder:
        broker = PlainBroker(Path(folder), options)
        try:
            await broker.start()
            yield broker
        finally:
            await broker.kill()


def node_bus(url: str, *roles: str, node: str = "n1", datacenter: str = "main") -> NatsBus:
    """The bus of one node without credentials."""
    config = Config(
        bus=BusOptions(mode="external", url=url), gateway=Gateway(datacenter=datacenter), compute=Compute(name=node)
    )
    return NatsBus(config, roles)


@asynccontextmanager
async def nats_bus() -> AsyncIterator[Bus]:
    """One bus over a broker of its own: a node that has every role."""
    async with plain_broker() as broker, node_bus(broker.url, "server", "gateway", "compute") as bus:
        yield bus
