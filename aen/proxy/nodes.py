"""Nodes: apps on other hosts, reached through their compute node's endpoint over mutual TLS.

One TLS connection is one connection to an app: `AEN1 <session> <generation>\\n` → `OK\\n` or `ERR <code>\\n`, then bytes.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from aen.model.route import Route
from aen.proxy import reasons
from aen.proxy.peers import Stranger, notice_silent_ends
from aen.proxy.upstream import Upstream

if TYPE_CHECKING:
    from aen.proxy.pool import Pool

KIND = "node:"
_LONGEST_ANSWER = 64
#: What a node may answer: status and text for the person.
_ANSWERS = {
    "unknown-session": (503, reasons.SESSION_ENDED),
    "old-generation": (503, reasons.SESSION_ENDED),
    "no-app": (503, reasons.AWAY),
    "stranger": (502, reasons.TAKEN),
    "draining": (503, reasons.NODE_DRAINS),
    "busy": (503, reasons.NODE_BUSY),
    "refused": (502, reasons.NODE_REFUSES),
}
_OTHER = (502, reasons.NODE_LEADS_NOWHERE)


class Unreached(Exception):
    """A node can't be reached or doesn't lead to the app. `why` is for the person, `label` for counting."""

    def __init__(self, status: int, why: str, label: str) -> None:
        super().__init__(f"{label}: {why}")
        self.status, self.why, self.label = status, why, label


class Nodes(Protocol):
    """What is known of nodes; given by whoever runs the data plane."""

    here: str  # the compute node in this very process, whose sockets may be used; empty: there is none

    @property
    def context(self) -> ssl.SSLContext:
        """How we speak to them, as ourselves."""

    def meet(self, peer: ssl.SSLObject, node: str) -> None:
        """Whether it is this compute node at the other end. Raises Stranger."""

    def met(self, peer: ssl.SSLObject, node: str) -> None:
        """It is, and has let us in: the next connection to it may be cheaper."""


@dataclass(frozen=True)
class Far:
    """An app on another host: who leads to it, and which start of which session."""

    nodes: Nodes
    node: str
    session: str
    generation: int

    @classmethod
    def of(cls, nodes: Nodes | None, route: Route) -> Far | None:
        """How to reach a route's app when it is not on this host; None: directly.

        A node on another host could name any socket of this one: so those count from the node in this process alone.
        """
        if nodes is None or (nodes.here == route.node and not route.upstream.startswith(KIND)):
            return None
        return cls(nodes, route.node, route.session, route.generation)

    async def reach(self, pool: Pool) -> Upstream:
        """A new connection to the app. Raises Unreached, Stranger."""
        address = pool.address
        host, _, port = address.removeprefix(KIND).rpartition(":")
        if not address.startswith(KIND) or not host or not port.isdigit():
            raise Stranger(f"{self.node} is on another host and can't name {address}")
        loop = asyncio.get_running_loop()
        greeter = Greeter(self, pool, loop.create_future())
        try:
            await loop.create_connection(
                lambda: greeter, host.strip("[]"), int(port), ssl=self.nodes.context, server_hostname=self.node
            )
            return await greeter.done
        except ssl.SSLCertVerificationError as error:
            raise Stranger(f"{address}: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise Unreached(*_ANSWERS["refused"], "refused") from error
        except OSError as error:
            why = f"The compute node {self.node} can't be reached. It may just be starting."
            raise Unreached(503, why, "node") from error
        finally:
            greeter.leave()


class Greeter(asyncio.Protocol):
    """Speaks the first lines of a connection to a node, then hands it over to what serves exchanges."""

    __slots__ = ("_answer", "_far", "_pool", "_transport", "done")

    def __init__(self, far: Far, pool: Pool, done: asyncio.Future[Upstream]) -> None:
        self._far, self._pool, self.done = far, pool, done
        self._answer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        notice_silent_ends(transport.get_extra_info("socket"))
        far = self._far
        try:
            far.nodes.meet(transport.get_extra_info("ssl_object"), far.node)
        except Stranger as stranger:
            self._fail(stranger)
            return
        transport.write(f"AEN1 {far.session} {far.generation}\n".encode())

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self.done.done() or self._transport is None:
            return
        self._answer += data
        if self._answer == b"OK\n":
            self._far.nodes.met(self._transport.get_extra_info("ssl_object"), self._far.node)
            made = Reached(self._pool)
            made.connection_made(self._transport)
            self._transport.set_protocol(made)
            self.done.set_result(made)
        elif b"\n" in self._answer or len(self._answer) > _LONGEST_ANSWER:
            code = self._answer.removeprefix(b"ERR ").strip().decode("ascii", "replace")
            status, why = _ANSWERS.get(code, _OTHER)
            self._fail(
                Stranger(code) if code == "stranger" else Unreached(status, why, code if code in _ANSWERS else "node")
            )

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._fail(error if isinstance(error, OSError) else ConnectionResetError("the node ended the connection"))

    def leave(self) -> None:
        """Whoever waited is gone, or has what they waited for."""
        if not self.done.done():
            self.done.cancel()
        if self._transport is not None and (self.done.cancelled() or self.done.exception() is not None):
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class Reached(Upstream):
    """A connection to an app through its node. An end counts as one only if the node itself has said it."""

    __slots__ = ("_ended",)

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._ended = False

    def eof_received(self) -> None:
        """See asyncio.Protocol: with TLS, only after the other side's own word (close_notify)."""
        self._ended = True

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol. Somebody on the way could end the TCP connection and so make half an answer look whole."""
        super().connection_lost(error if error or self._ended else ConnectionResetError("cut off on the way"))
