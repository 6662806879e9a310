"""Security log: found by person, act, address and time, and exported as it is read: a million records are fine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from aen.errors import Invalid
from aen.model.activity import Activity
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.store import Doc, Query

_ROUNDS = 20  # pages that are looked through for one page, where several things are asked for
_PAGE = 1000


@dataclass(frozen=True)
class Wanted:
    """Which records; what is empty counts for all. Times in ms since 1970, inclusive."""

    who: str = ""  # the person acted upon
    actor: str = ""  # who did it
    act: str = ""
    address: str = ""
    low: int = 0
    high: int = 0

    def asked(self) -> list[tuple[str, str]]:
        """What is asked for by a field's value; what leaves fewest comes first."""
        return [(name, value) for name in ("who", "actor", "address", "act") if (value := getattr(self, name))]


class Security(Part):
    """The records of what touches security, newest first, for administrators."""

    async def page(self, actor: Actor, wanted: Wanted, limit: int = 50, cursor: str = "") -> tuple[list[Activity], str]:
        """One page (up to twice `limit` where several things are asked for) and the next cursor."""
        check(actor, Permission.ADMIN)
        found: list[Activity] = []
        size, others = limit, wanted.asked()[1:]
        for _ in range(_ROUNDS):
            page = await self.store.find("activity", replace(_query(wanted), limit=size, cursor=cursor, shared=True))
            found += [self.domain.seen.read(Activity, doc) for doc in page.items if _fits(doc, others)]
            cursor = page.next
            if not cursor or len(found) >= limit:
                break
        return found, cursor

    async def export(self, actor: Actor, wanted: Wanted) -> AsyncIterator[list[Activity]]:
        """All of them, a pageful at a time: nothing is kept in memory."""
        check(actor, Permission.ADMIN)
        detail = " ".join(f"{name}={value}" for name, value in vars(wanted).items() if value)
        await self.domain.activity.record(actor, "security.exported", detail=detail, security=True)
        query, others = replace(_query(wanted), limit=_PAGE), wanted.asked()[1:]
        while True:
            page = await self.store.find("activity", query)
            yield [Activity.model_validate(doc) for doc in page.items if _fits(doc, others)]
            if not page.next:
                return
            query = replace(query, cursor=page.next)


def _fits(doc: Doc, others: list[tuple[str, str]]) -> bool:
    """Whether a record is what is asked for besides what the query asks for."""
    return not others or all(doc.get(name, "") == value for name, value in others)


def _query(wanted: Wanted) -> Query:
    """The query on the index that leaves fewest."""
    if wanted.low and wanted.high and wanted.low > wanted.high:
        raise Invalid("The beginning of the time is after its end.")
    return Query(
        (("security", True), *wanted.asked()[:1]),
        low=wanted.low or None,
        high=wanted.high or None,
        sort="at",
        descending=True,
    )
