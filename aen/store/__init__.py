"""The store: a small contract that every engine fulfils exactly. Documents are JSON objects with string `id` and int `rev`.

No multi-document transactions; no engine's operators outside this package. Values: str, int (< 2**53), float, bool, None, list, dict;
keys are strings without '.', not beginning with '$'. What an index, a prefix or a range looks at is a string of at most 900 bytes,
a whole number, a bool or None (a missing field is None); the order is None, numbers, strings by code point, False, True.
Anything else is Invalid on every engine (`values.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from aen.errors import Conflict

Doc = dict[str, Any]


class Duplicate(Conflict):
    """The id, or the value of a unique index, is taken. `index` names it (`id` for the id)."""

    def __init__(self, message: str, index: str) -> None:
        super().__init__(message)
        self.index = index


class Stale(Conflict):
    """The document is gone, or its `rev` is not the one that was read: read it again and decide anew."""


@dataclass(frozen=True)
class Index:
    """One declared index: the fields in their order. The last may be the sort field.

    `unique` values must be non-empty strings in every document. `array` says that the first field is a list and is matched by contains.
    """

    name: str
    fields: tuple[str, ...]
    unique: bool = False
    array: bool = False


@dataclass(frozen=True)
class Collection:
    """One declared collection. `prefix` and `text` are the string fields that prefix and word search run on."""

    name: str
    indexes: tuple[Index, ...] = ()
    prefix: tuple[str, ...] = ()
    text: tuple[str, ...] = ()


@dataclass(frozen=True)
class Query:
    """What to find. Everything named must stand on a declared index, else the store raises Invalid.

    `equal`: field → value (for an array index: the list contains it); these are the first fields of an index.
    `sort`: the field that follows them and ends the index (ties go by id), or `id`; `descending` turns all of it round.
    `low`/`high`: inclusive range on the sort field. `prefix`: field → beginning, which must be the sort field, too.
    `limit`: 1 to 10,000. A cursor belongs to its query: the same but for the limit.
    `shared`: the documents are looked at and never changed, so an engine may give the same ones to other readers.
    """

    equal: tuple[tuple[str, Any], ...] = ()
    low: Any = None
    high: Any = None
    prefix: tuple[str, str] | None = None
    sort: str = "id"
    descending: bool = False
    limit: int = 100
    cursor: str = ""
    shared: bool = False


@dataclass(frozen=True)
class Page:
    """One page of documents; `next` is the cursor of the following one, empty at the end."""

    items: list[Doc]
    next: str = ""


class Store(AbstractAsyncContextManager["Store"], Protocol):
    """What every engine does. Writes are answered only once they are on disk; a cancelled or timed-out write is unknown."""

    async def get(self, collection: str, id: str) -> Doc | None:
        """The document, or None."""

    async def get_many(self, collection: str, ids: Sequence[str], *, shared: bool = False) -> list[Doc]:
        """Those of the documents that exist, in the order of `ids`, each once. `shared` as in Query."""

    async def insert(self, collection: str, doc: Doc) -> Doc:
        """Add a document (stored with rev 1) and return it. Raises Duplicate."""

    async def replace(self, collection: str, doc: Doc) -> Doc:
        """Replace the whole document if its stored rev is `doc["rev"]`; returns it with the next rev. Raises Stale, Duplicate."""

    async def delete(self, collection: str, id: str, rev: int | None = None) -> bool:
        """Remove the document (only at `rev`, if given: else Stale). False when there was none."""

    async def find(self, collection: str, query: Query) -> Page:
        """Documents that match, sorted, a page at a time. A cursor goes on where its page ended, whatever changed since."""

    async def count(self, collection: str, equal: tuple[tuple[str, Any], ...] = ()) -> int:
        """How many documents match; `equal` as in Query."""

    async def search(
        self, collection: str, words: str, visible_to: tuple[str, Any] | None = None, limit: int = 20
    ) -> list[Doc]:
        """Documents that hold all words (the last may be unfinished), best first; only those with `visible_to` (field, value), if given.

        Of more than 1,000 that match, an engine may take any 1,000 (the newest) to choose the best of.
        """

    async def restore(self, collection: str, doc: Doc) -> None:
        """Put a document of another store as it is, its rev too; doing it again is fine. Raises Duplicate. For copies only."""

    async def others(self) -> list[str]:
        """Who else has this store open, in words; always empty where only one can."""

    async def check(self) -> list[str]:
        """What is wrong with the stored data, in sentences; empty when all is well."""

    def health(self) -> dict[str, Any]:
        """The engine's health in its own words."""


#: Every collection AEN has. An engine makes what is missing when it is opened.
SCHEMA: tuple[Collection, ...] = (
    Collection(
        "users",
        (
            Index("by_created", ("created",)),
            Index("by_last_login", ("last_login",)),
            Index("by_admin", ("admin", "id")),
            Index("by_staff", ("staff", "id")),
            Index("by_locked", ("locked", "id")),
            Index("by_email", ("email", "id")),
            Index("by_starred", ("starred", "id"), array=True),
        ),
        prefix=("id", "full_name", "email"),
        text=("search",),
    ),
    Collection(
        "logins",
        (
            Index("by_user", ("user", "created")),
            Index("by_token_hash", ("token_hash", "id")),
            Index("by_expires", ("expires",)),
        ),
    ),
    Collection("invitations", (Index("by_creator", ("created_by", "created")), Index("by_expires", ("expires",)))),
    Collection(
        "projects",
        (
            Index("by_slug", ("slug",), unique=True),
            Index("by_member", ("members", "updated"), array=True),
            Index("by_watcher", ("watchers", "updated"), array=True),
            Index("by_owner", ("owner", "updated")),
            Index("by_visibility", ("visibility", "updated")),
            Index("by_tag", ("tags", "updated"), array=True),
            Index("by_state", ("state", "updated")),
            Index("by_datacenter", ("datacenter", "id")),
            Index("by_updated", ("updated",)),
            Index("by_stars", ("stars",)),
            Index("by_size", ("size",)),
            Index("by_pending", ("pending", "id"), array=True),
        ),
        prefix=("slug", "name"),
        text=("search",),
    ),
    Collection(
        "sessions",
        (
            Index("by_project", ("project", "created")),
            Index("by_user", ("user", "created")),
            Index("by_phase", ("phase", "id")),
            Index("by_node", ("node", "phase", "id")),
            Index("by_datacenter", ("datacenter", "phase", "id")),
            Index("by_created", ("created",)),
        ),
    ),
    Collection(
        "contents",
        (Index("by_project", ("project", "id")), Index("by_readers", ("readers", "id"), array=True)),
        text=("search",),
    ),
    Collection("libraries", (Index("by_library", ("libraries", "id"), array=True),)),
    Collection("team_links", (Index("by_project", ("project", "expires")),)),
    Collection("searches", (Index("by_user", ("user", "created")),)),
    Collection("shares", (Index("by_project", ("project", "created")),)),
    Collection("schedules", (Index("by_project", ("project", "created")), Index("by_due", ("due",)))),
    Collection(
        "runs",
        (
            Index("by_user", ("user", "created")),
            Index("by_schedule", ("schedule", "created")),
            Index("by_project", ("project", "created")),
            Index("by_active", ("active", "created")),
            Index("by_schedule_active", ("schedule", "active", "id")),
        ),
    ),
    Collection("publications", (Index("by_project", ("project", "created")), Index("by_user", ("user", "created")))),
    Collection("published_pages", (Index("by_publication", ("publication", "id")),)),
    Collection("errands", (Index("by_project", ("project", "id")),)),
    Collection(
        "jobs",
        (
            Index("by_active", ("active", "created")),
            Index("by_subject", ("subject", "created")),
            Index("by_creator", ("created_by", "created")),
            Index("by_state", ("state", "created")),
            Index("by_kind", ("kind", "created")),
            Index("by_created", ("created",)),
        ),
    ),
    Collection(
        "activity",
        (
            Index("by_who", ("who", "at")),
            Index("by_project", ("project", "at")),
            Index("by_security", ("security", "at")),
            Index("by_security_who", ("security", "who", "at")),
            Index("by_security_actor", ("security", "actor", "at")),
            Index("by_security_act", ("security", "act", "at")),
            Index("by_security_address", ("security", "address", "at")),
            Index("by_at", ("at",)),
        ),
    ),
    Collection("nodes", (Index("by_datacenter", ("datacenter", "id")),)),
    Collection("datacenters"),
    Collection("node_invitations", (Index("by_expires", ("expires",)),)),
    Collection("memberships"),
    Collection("revocations", (Index("by_number", ("number",)), Index("by_subject", ("subject", "number")))),
    Collection("settings"),
    Collection("claims"),
    Collection("proofs", (Index("by_user", ("user", "created")), Index("by_expires", ("expires",)))),
    Collection("mails", (Index("by_state", ("state", "due")), Index("by_created", ("created",)))),
    Collection("faults", (Index("by_unread", ("unread", "last")), Index("by_last", ("last",)))),
    Collection("pictures"),
    Collection("picture_data"),
    Collection("days"),
    Collection("loads"),
)
