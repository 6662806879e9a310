"""Cursors: where a page ended, sealed, so that only what the store gave out comes back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

from aen.errors import Invalid
from aen.store import Query
from aen.store.values import Key

_SEAL = 12  # bytes


@dataclass(frozen=True)
class Place:
    """The last document of a page: its sort value and its id."""

    key: Key
    id: str


def seal(secret: bytes, collection: str, query: Query, place: Place) -> str:
    """The cursor for what follows `place` in `query`."""
    data = json.dumps([place.key, place.id], ensure_ascii=False, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_mac(secret, collection, query, data) + data).decode().rstrip("=")


def unseal(secret: bytes, collection: str, query: Query) -> Place | None:
    """Where the page before ended; None at the beginning. Raises Invalid when the cursor isn't one of this query's."""
    if not query.cursor:
        return None
    try:
        raw = base64.b64decode(query.cursor + "=" * (-len(query.cursor) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    data = raw[_SEAL:]
    if not hmac.compare_digest(raw[:_SEAL], _mac(secret, collection, query, data)):
        raise Invalid("This cursor doesn't belong to this list. Start again without a cursor.")
    key, id = json.loads(data)
    return Place(key, id)


def _mac(secret: bytes, collection: str, query: Query, data: bytes) -> bytes:
    # Everything that decides the order is in it (not the limit), so a cursor of another list is refused.
    asked = [
        collection,
        sorted([field, value] for field, value in query.equal),
        query.low,
        query.high,
        query.prefix,
        query.sort,
        query.descending,
    ]
    text = json.dumps(asked, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
    return hmac.digest(secret, hashlib.sha256(text).digest() + data, "sha256")[:_SEAL]
