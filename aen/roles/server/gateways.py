"""Gateways: what the server answers them: tickets, grants, tokens, keys, routes, revocations, and who may open what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aen.roles.server.domain import Part
from aen.service import Service

if TYPE_CHECKING:
    from aen.roles.server.permissions import Actor


class Gateways(Part):
    """The server's side of every gateway."""

    async def begin(self, service: Service) -> None:
        """See Part."""

    async def enter(self, actor: Actor, audience: str, nonce_hash: str, next: str) -> str:
        """Where to send a signed-in browser that a gateway sent: `<audience>/.aen/enter?ticket=…&next=…`.

        Raises NotSignedIn, Invalid (not one of our gateways, bad nonce hash or next).
        """
        raise NotImplementedError
