"""Several servers over one store: what they must have in common, and what only one of them may do at a time."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from aen.errors import Conflict, Invalid, TooMany
from aen.model import now
from aen.store import Duplicate, Stale, Store

_KEYS = "server:keys"
_ONE = "one-server"
_HELD = 15.0  # seconds; after this a server that died in the midst of it holds it no more
_WAIT = 20.0
_LOOK_SECONDS = 0.03


async def same_keys(store: Store, *keys: str) -> None:
    """See that every server that has the store open signs and encrypts with the same keys. Raises Invalid."""
    print_ = hashlib.sha256("\0".join(keys).encode()).hexdigest()
    stored = await store.get("settings", _KEYS)
    if stored is not None and stored["print"] == print_:
        return
    if stored is not None and await store.others():
        raise Invalid(
            "Another server uses this store with other keys, so logins and tickets of one would be refused by the other. "
            "Copy secret-key and signing-key.pem from that server's data_dir to this one's (mode 0600), or set the same "
            "server.secret_key, then start again."
        )
    try:
        doc = {"id": _KEYS, "print": print_}
        await (store.insert("settings", doc) if stored is None else store.replace("settings", {**stored, **doc}))
    except Conflict:  # another server starts at this moment
        await same_keys(store, *keys)


async def one_server(store: Store, mark: str) -> None:
    """With a broker that AEN runs (bus.mode: managed) there is one server. Raises Invalid for a second one."""
    stored = await store.get("settings", _ONE)
    if stored is not None and stored["mark"] != mark and await store.others():
        raise Invalid(
            f"Another server ({stored['mark']}) uses this store, and bus.mode managed lets in one only: for several servers "
            "run a NATS cluster and set bus.mode: external and bus.url on every node (docs/install.md)."
        )
    doc = {"id": _ONE, "mark": mark}
    if stored is None or stored["mark"] != mark:
        with contextlib.suppress(Conflict):
            await (store.insert("settings", doc) if stored is None else store.replace("settings", {**stored, **doc}))


@contextlib.asynccontextmanager
async def alone(store: Store, what: str) -> AsyncIterator[None]:
    """Hold `what` against every other server (and every other task here), for a few seconds at most. Raises TooMany."""
    id, mine = f"alone:{what}", secrets.token_hex(8)
    deadline, seen = time.monotonic() + _WAIT, Seen()
    while not await _taken(store, id, mine, seen):
        if time.monotonic() > deadline:
            raise TooMany("Many do this at the same time. Try again in a moment.", retry_after=2.0)
        await asyncio.sleep(_LOOK_SECONDS)
    try:
        yield
    finally:
        held = await store.get("claims", id)
        if held is not None and held["by"] == mine:
            with contextlib.suppress(Stale):
                await store.delete("claims", id, held["rev"])


@dataclass
class Seen:
    """Whose a claim is, and since when we see that: clocks of two servers are never compared."""

    by: str = ""
    since: float = 0.0

    def over(self, by: str) -> bool:
        """Whether it has been theirs for so long that they must have died in the midst of it."""
        if by != self.by:
            self.by, self.since = by, time.monotonic()
        return time.monotonic() - self.since > _HELD


async def _taken(store: Store, id: str, mine: str, seen: Seen) -> bool:
    claim = {"id": id, "by": mine, "until": now() + round(_HELD * 1000)}  # read by servers of the version before
    try:
        await store.insert("claims", claim)
    except Duplicate:
        held = await store.get("claims", id)
        if held is None or not seen.over(held["by"]):
            return False
        try:
            await store.replace("claims", {**claim, "rev": held["rev"]})
        except Stale:
            return False
    return True
