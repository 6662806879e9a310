"""Links: how this gateway's data plane reaches the apps of compute nodes on other hosts."""

from __future__ import annotations

import ssl

from aen.certificates import Resuming
from aen.errors import Denied
from aen.proxy.peers import Stranger
from aen.roles.trust import Trust


class Links:
    """See aen.proxy.nodes.Nodes. `here` is the compute node in this very process, or empty."""

    def __init__(self, trust: Trust, here: str = "") -> None:
        self.trust, self.here = trust, here

    @property
    def context(self) -> Resuming:
        """See Nodes."""
        return self.trust.tls.client

    def meet(self, peer: ssl.SSLObject, node: str) -> None:
        """See Nodes."""
        try:
            self.trust.meet(peer, "compute", node)
        except Denied as denied:
            self.context.forget(node)
            raise Stranger(denied.message) from denied

    def met(self, peer: ssl.SSLObject, node: str) -> None:
        """See Nodes."""
        self.context.remember(node, peer)
