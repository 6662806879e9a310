"""Trust: which of the other nodes are who they say, by their certificates. Used by the roles that meet nodes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import structlog

from aen.ca import Seen, read_certificate
from aen.certificates import NODE_PROTOCOL, NodeTls
from aen.credentials import Credentials
from aen.errors import Denied, Invalid
from aen.model import now

log = structlog.get_logger(__name__)
LOOK_SECONDS = 1.0  # between two looks at what was renewed or taken away


class Trust:
    """A node's own certificate, the authority, and the certificates that count for nothing any more."""

    def __init__(self, credentials: Credentials) -> None:
        """Raises Invalid when the credentials can't be used."""
        self.credentials, self.datacenter = credentials, credentials.joined.datacenter
        self.tls = NodeTls(credentials.key, credentials.certificate, credentials.authority)
        self.revoked = credentials.revoked()

    def meet(self, peer: ssl.SSLObject | None, role: str, node: str = "") -> Seen:
        """Who is at the other end of a connection: a node with this `role` in our data center, called `node` if given.

        TLS has checked the signature, but not again when a session is resumed: so the times are looked at here.
        Raises Denied with the reason, for the log.
        """
        data = peer.getpeercert(binary_form=True) if peer is not None else None
        if peer is None or data is None or peer.selected_alpn_protocol() != NODE_PROTOCOL:
            raise Denied("no certificate, or another protocol than ours")
        try:
            seen = read_certificate(data)
        except Invalid as error:
            raise Denied(error.message) from error
        who = seen.identity
        if role not in who.roles or who.datacenter != self.datacenter:
            raise Denied(f"{who.node} is no {role} of {self.datacenter}, but {who.uris()}")
        if node and who.node != node:
            raise Denied(f"{who.node} answers where {node} should")
        if seen.serial in self.revoked:
            raise Denied(f"the certificate of {who.node} was taken away")
        if not seen.begins <= now() < seen.expires:
            raise Denied(f"the certificate of {who.node} has ended, or the clocks differ")
        return seen

    async def keep(self, changed: Callable[[], None]) -> None:
        """For life: take up what is renewed or taken away; `changed` is called when something was taken away."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.look():
                changed()

    def look(self) -> bool:
        """Look at the files now; whether other certificates are taken away than before."""
        self.tls.look()
        try:
            revoked = self.credentials.revoked()
        except Invalid as error:
            log.error("certificates that were taken away are not known anew", why=error.message)
            return False
        if revoked == self.revoked:
            return False
        self.revoked = revoked
        return True
