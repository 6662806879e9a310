"""Revocations: the numbered log of what is no longer allowed, which every gateway follows."""

from __future__ import annotations

import asyncio

import structlog

from aen.errors import Conflict
from aen.messages import Revoked
from aen.model import now
from aen.model.route import Revocation, RevocationKind
from aen.roles.server.background import again_and_again
from aen.roles.server.domain import Part
from aen.service import Service
from aen.store import Duplicate, Query

log = structlog.get_logger(__name__)

KEPT_MS = 14 * 24 * 3600 * 1000  # longer than any grant lives
_PRUNE_EVERY = 3600.0  # seconds
_TRIES = 200


class Revocations(Part):
    """The log. Numbers have no gaps: a gateway that misses one asks for it."""

    async def begin(self, service: Service) -> None:
        """See Part."""
        service.spawn(again_and_again("revocations", self._pruned, _PRUNE_EVERY), "revocations")

    async def add(self, kind: RevocationKind, subject: str) -> Revocation:
        """Revoke: on disk when this returns, and the gateways are told.

        `subject`: a login id (LOGIN), a user name (USER: all issued before now), "<project id> <user>" (MEMBER).
        """
        for _ in range(_TRIES):
            number = await self.latest() + 1
            entry = Revocation(number=number, kind=kind, subject=subject, at=now())
            try:
                # The id decides who gets the number: two can't insert the same one.
                await self.store.insert("revocations", {"id": _id(number), **entry.model_dump(mode="json")})
            except Duplicate:
                await asyncio.sleep(0)
                continue
            await self.bus.publish(Revoked(revocation=entry))
            return entry
        raise Conflict("Very many things are being revoked at the same time. Try again in a moment.", retry_after=1)

    async def latest(self) -> int:
        """The newest number there is; 0 when nothing was ever revoked."""
        page = await self.store.find("revocations", Query(sort="number", descending=True, limit=1))
        return int(page.items[0]["number"]) if page.items else 0

    async def ended(self, user: str) -> int:
        """Until when everything issued to a person counts for nothing (ms since 1970); 0: nothing was ever ended."""
        page = await self.store.find(
            "revocations", Query(equal=(("subject", user),), sort="number", descending=True, limit=1)
        )
        return int(page.items[0]["at"]) if page.items else 0

    async def after(self, number: int, limit: int = 500) -> tuple[int, list[Revocation]]:
        """The newest number there is, and what was revoked after `number`, oldest first."""
        latest = await self.latest()
        if latest <= number:
            return latest, []
        page = await self.store.find("revocations", Query(sort="number", low=number + 1, limit=limit))
        return latest, [_entry(doc) for doc in page.items]

    async def prune(self) -> int:
        """Drop what is older than any grant; returns how many. The newest stays, since the next number comes from it."""
        latest, dropped = await self.latest(), 0
        while True:
            page = await self.store.find("revocations", Query(sort="number", high=latest - 1, limit=200))
            old = [doc for doc in page.items if doc["at"] < now() - KEPT_MS]
            for doc in old:
                await self.store.delete("revocations", doc["id"])
            dropped += len(old)
            if len(old) < 200:
                return dropped

    async def _pruned(self) -> None:
        dropped = await self.prune()
        if dropped:
            log.info("old revocations pruned", count=dropped)


def _id(number: int) -> str:
    return f"{number:016d}"


def _entry(doc: dict[str, object]) -> Revocation:
    return Revocation.model_validate({key: value for key, value in doc.items() if key not in ("id", "rev")})
