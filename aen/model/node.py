"""Node and data center: where AEN runs and how it is doing."""

from __future__ import annotations

from pydantic import Field

from aen.model import Document, Word, now


class DataCenter(Document):
    """A gateway and the compute nodes behind it. `id` is its name."""

    title: str = ""
    gateway_url: str
    created: int = Field(default_factory=now)


class Load(Word):
    """How busy a compute node is."""

    cpus: int = 1
    load1: float = 0.0
    memory_total: int = 0  # bytes
    memory_free: int = 0
    disk_total: int = 0  # of the project root
    disk_free: int = 0


class NodeRecord(Document):
    """One `aen serve` process as the server last heard of it. `id` is its name."""

    roles: list[str]
    datacenter: str
    version: str
    load: Load = Field(default_factory=Load)
    sessions: int = 0
    isolated: bool = True  # False: every app runs as one user (evaluation mode)
    ready: bool = True  # False: still building what the first start needs
    message: str = ""  # what is being built, or what is wrong
    progress: float = 1.0  # 0 to 1, of what `message` says
    last_seen: int = Field(default_factory=now)
    started: int = Field(default_factory=now)
