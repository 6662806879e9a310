"""How a node joins, keeps its certificate, and is told who no longer belongs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aen.messages.kinds import Command, Event
from aen.model import Word

Name = Annotated[str, Field(max_length=253)]


class JoinNode(Command):
    """A host asks to become a node. By HTTP at the server; a compute node's comes through its gateway.

    The keys stay on the host: what is sent are their public halves, and the proof of having the first.
    """

    token: str = Field(max_length=200)
    node: str = Field(max_length=63)  # the name it would like to have
    csr: str = Field(max_length=8192)  # PEM; its names are those that the node is reached by
    nkey: str = Field(max_length=64)  # public
    addresses: dict[Literal["broker", "compute"], Name] = Field(
        default_factory=dict, max_length=4
    )  # broker, compute → host:port to reach it
    version: str = Field("", max_length=40)
    datacenter: str = ""  # of the gateway that passes it on; empty: it came by itself
    address: str = ""  # where it came from, as seen by whoever took it


class NodeJoined(Word):
    """What a node is given. Nothing of it is secret."""

    node: str
    roles: list[str]
    datacenter: str
    server_url: str
    bus_url: str
    certificate: str  # PEM
    authority: str  # PEM, one certificate or two
    revoked: list[str] = Field(default_factory=list)  # serial numbers, hex
    now: int  # the server's clock, ms since 1970
    unreached: dict[str, str] = Field(default_factory=dict)  # of its addresses → why they can't be reached from outside


class RenewCertificate(Command):
    """What a node asks now and then: what has changed about the authority, and with `csr` a new certificate."""

    node: str
    csr: str = Field("", max_length=8192)


class KnownNode(Word):
    """A node that belongs, as brokers know it."""

    node: str
    roles: list[str]
    datacenter: str
    nkey: str  # public


class CertificateRenewed(Word):
    """The answer; `certificate` is empty when none was asked for."""

    certificate: str = ""
    authority: str
    revoked: list[str]
    nodes: list[KnownNode] = Field(default_factory=list)  # for a gateway: those of its data center


class NodesChanged(Event):
    """Nodes joined or left in a data center: its gateways ask who belongs."""

    datacenter: str


class NodeRemoved(Event):
    """A node belongs to AEN no more: its certificates count for nothing, and nothing leads to it."""

    node: str
    datacenter: str
    revoked: list[str]  # every serial number that counts for nothing, hex


class FoundWord(Word):
    """What `aen doctor` found of one thing."""

    what: str = Field(max_length=1000)
    state: Literal["ok", "warning", "problem"]
    message: str = Field(max_length=1000)
    cure: str = Field("", max_length=1000)


class OptionWord(Word):
    """One option as it is in force on a node; secrets hidden."""

    path: str = Field(max_length=200)
    value: str = Field(max_length=1000)
    origin: str = Field("", max_length=300)  # file:line, a variable, or default


class ExamineNodes(Event):
    """An administrator wants to know how the nodes are: each (or that one) examines itself and tells.

    Not `anew`: a server that was started wants to hear what was found last.
    """

    node: str = Field("", max_length=63)
    anew: bool = True


class NodeExamined(Event):
    """What a node found when it examined itself, and its configuration."""

    node: str = Field(max_length=63)
    host: str = Field("", max_length=253)
    roles: list[str] = Field(max_length=3)
    version: str = Field("", max_length=40)
    at: int
    findings: list[FoundWord] = Field(max_length=200)
    options: list[OptionWord] = Field(max_length=400)


class RenewLease(Command):
    """A node with shared storage asks to keep its projects for so many seconds more, counted from before it asked.

    `fresh`: nothing of it runs there. Conflict: the lease has ended, its projects may run elsewhere; it must end its apps.
    """

    node: str
    seconds: float = Field(gt=0, le=3600)
    fresh: bool = False


class LeaseGiven(Word):
    """The answer to RenewLease."""


RenewLease.answer = LeaseGiven
JoinNode.answer = NodeJoined
RenewCertificate.answer = CertificateRenewed
