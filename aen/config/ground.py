"""Options of what everything stands on: the store and the bus."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aen.config.section import Section


class StoreOptions(Section):
    """Where the server keeps its documents."""

    url: str = Field("", description="sqlite:///path or mongodb://… Empty: sqlite in the data directory.")


class BusOptions(Section):
    """How nodes on different hosts talk."""

    mode: Literal["local", "managed", "external"] = Field(
        "local", description="local: one process; managed: AEN runs nats-server; external: a NATS that you run."
    )
    url: str = Field(
        "",
        description="external: tls://host:port, or several with commas; nats://127.0.0.1:port for a broker on this machine.",
    )
    listen: str = Field(
        "*:4222", description="managed, on the server: host:port where the gateways' brokers connect to the server's."
    )
    leaf_listen: str = Field(
        "*:4223", description="managed, on a gateway: host:port where the compute nodes of its data center connect."
    )
