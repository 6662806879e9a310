"""Gateways: what the server answers them: tickets, grants, tokens, keys, routes, revocations, and who may open what."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain
    from aen.roles.server.permissions import Actor


class Gateways:
    """The server's side of every gateway."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain

    def listen(self) -> None:
        """Answer at the bus address `server`. Called once, before the server answers."""

    async def enter(self, actor: Actor, audience: str, nonce_hash: str, next: str) -> str:
        """Where to send a signed-in browser that a gateway sent: `<audience>/.aen/enter?ticket=…&next=…`.

        Raises NotSignedIn, Invalid (not one of our gateways, bad nonce hash or next).
        """
        raise NotImplementedError
