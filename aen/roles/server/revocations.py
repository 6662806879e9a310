"""Revocations: the numbered log of what is no longer allowed, which every gateway follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aen.model.route import Revocation, RevocationKind

from aen.roles.server.domain import Part
from aen.service import Service

if TYPE_CHECKING:


class Revocations(Part):
    """The log. Numbers have no gaps: a gateway that misses one asks for it."""

    async def begin(self, service: Service) -> None:
        """See Part."""

    async def add(self, kind: RevocationKind, subject: str) -> Revocation:
        """Revoke: on disk when this returns, and the gateways are told.

        `subject`: a login id (LOGIN), a user name (USER: all issued before now), "<project id> <user>" (MEMBER).
        """
        raise NotImplementedError

    async def after(self, number: int, limit: int = 500) -> tuple[int, list[Revocation]]:
        """The newest number there is, and what was revoked after `number`, oldest first."""
        raise NotImplementedError
