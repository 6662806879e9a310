"""Programs of the benchmark of apps on other hosts: `python -m tests.bench.peers.far endpoint|gateway FOLDER PORT`."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import sys
from pathlib import Path

import uvloop

from aen.bus.local import LocalBus
from aen.ca import Authority
from aen.credentials import Credentials
from aen.proxy import Limits
from aen.proxy.plane import Plane
from aen.proxy.routes import RouteTable
from aen.proxy.sites import Sites
from aen.roles.compute.endpoint import Endpoint
from aen.roles.gateway.accesslog import AccessLog
from aen.roles.gateway.admission import Doorman, Revoked
from aen.roles.gateway.links import Links
from aen.roles.trust import Trust
from aen.tickets import Signer
from tests.bench.peers.servers import ORIGIN, route
from tests.far import joined, record


def papers(folder: Path) -> None:
    """An authority, a gateway and a compute node of it."""
    authority = Authority.make(folder / "authority")
    joined(folder, authority, "gateway", "g1")
    joined(folder, authority, "compute", "n1")


def _trust(folder: Path, node: str) -> Trust:
    credentials = Credentials.load(folder / node)
    assert credentials is not None
    return Trust(credentials)


async def _endpoint(folder: Path, port: int) -> None:
    sessions = {"s0": record(f"unix:{folder}/app", session="s0")}
    bound = socket.create_server(("127.0.0.1", port))
    await Endpoint(bound, _trust(folder, "n1"), sessions.get).start()


async def _gateway(folder: Path, port: int) -> None:
    table, doorman = RouteTable(), Doorman(LocalBus(), Revoked())
    doorman.use_keys(Signer.load_or_make(folder / "key.pem").public_keys())
    upstream = f"node:127.0.0.1:{(folder / 'endpoint.port').read_text()}"
    table.add(route(folder / "app", 0).model_copy(update={"upstream": upstream}))
    plane = Plane(
        doorman,
        table,
        Sites(ORIGIN),
        cookie=b"aen-gateway",
        pages=(f"unix:{folder}/none", os.getuid()),
        page_token="x",
        limits=Limits(connections=10_000),
        write_access=AccessLog(folder / f"access-{port}.log").write,
        nodes=Links(_trust(folder, "g1")),
    )
    await plane.start()
    await plane.listen(socket.create_server(("127.0.0.1", port), backlog=4096))


async def _serve(kind: str, folder: Path, port: int) -> None:
    await {"endpoint": _endpoint, "gateway": _gateway}[kind](folder, port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    logging.disable()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
