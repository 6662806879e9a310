"""Node and data center: where AEN runs and how it is doing."""

from __future__ import annotations

from pydantic import Field

from aen.model import Document, Word, now


class DataCenter(Document):
    """A gateway and the compute nodes behind it. `id` is its name."""

    title: str = ""
    gateway_url: str = ""  # empty: no gateway of it has been heard yet
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
    draining: bool = False  # an administrator wants nothing new to be started there
    project_root: str = ""  # the folder that its projects lie in
    storage: str = ""  # nodes of one data center with the same name here share their project root
    last_seen: int = Field(default_factory=now)
    started: int = Field(default_factory=now)


class NodeInvitation(Document):
    """What lets one host join. `id` is the sha256 of the token; the token itself is never stored."""

    roles: list[str]
    datacenter: str
    node: str = ""  # the name it must have; empty: its own choice
    hosts: list[str] = Field(default_factory=list)  # names and addresses it may be reached by; empty: those it asks for
    again: bool = False  # a node of that name may be replaced
    used_by: str = ""  # the nkey of the host that used it: that one may ask again while the answer may have been lost
    created_by: str
    created: int = Field(default_factory=now)
    expires: int


class GivenCertificate(Word):
    """A certificate that a node has: its serial number (hex), and when it ends."""

    serial: str
    expires: int


class Membership(Document):
    """A node that has joined. `id` is its name."""

    roles: list[str]
    datacenter: str
    nkey: str  # public: what the broker knows it by
    names: list[str] = Field(default_factory=list)  # that its certificate may hold
    addresses: dict[str, str] = Field(default_factory=dict)  # broker, compute → host:port to reach it
    certificates: list[GivenCertificate] = Field(default_factory=list)
    invited_by: str = ""
    joined: int = Field(default_factory=now)
    removed: int = 0  # when; 0: it belongs
