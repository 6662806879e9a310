"""People: users as the store has them, kept for a moment in memory; names, e-mail claims, who is administrator."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import structlog
from pydantic import Field

from aen import names
from aen.errors import Conflict, Invalid
from aen.model import Word, new_id
from aen.model.user import User
from aen.roles.server.changes import change
from aen.roles.server.domain import Part
from aen.roles.server.several import alone
from aen.store import Duplicate, Query, Stale

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)
T = TypeVar("T")
KEPT = 2.0  # seconds: how long another server's change may stay unseen here
_MOST_KEPT = 20_000


class Profile(Word):
    """What a person says of themselves."""

    full_name: str = Field("", max_length=200)
    email: str = Field("", max_length=254)
    company: str = Field("", max_length=200)
    location: str = Field("", max_length=200)
    url: str = Field("", max_length=500)
    language: str = Field("", max_length=16)
    theme: Literal["system", "light", "dark"] = "system"


class Kept(Generic[T]):
    """Documents kept in memory for `KEPT` seconds; a change here drops its entry at once."""

    def __init__(self, read: Callable[[str], Awaitable[T | None]]) -> None:
        self._read = read
        self._entries: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._drops = 0

    async def get(self, id: str) -> T | None:
        """The entry: the kept one if it is fresh, else read now."""
        entry = self._entries.get(id)
        if entry is not None and time.monotonic() - entry[0] < KEPT:
            return entry[1]
        drops = self._drops
        value = await self._read(id)
        if value is not None and drops == self._drops:  # else it may be the one from before a change
            self._put(id, value)
        return value

    def drop(self, id: str) -> None:
        """Forget an entry."""
        self._drops += 1
        self._entries.pop(id, None)

    def _put(self, id: str, value: T) -> None:
        self._entries[id] = (time.monotonic(), value)
        self._entries.move_to_end(id)
        while len(self._entries) > _MOST_KEPT:
            self._entries.popitem(last=False)


class People(Part):
    """What all of accounts stands on."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._users = Kept(self._read_user)

    def _administrators(self) -> AbstractAsyncContextManager[None]:
        """Held so that the last administrator is never lost between a count and a change, on whichever server."""
        return alone(self.store, "administrators")

    async def find(self, name: str) -> User | None:
        """The user of that name, unasked for permission: for the other parts of the domain."""
        return await self._users.get(name) if plausible(name) else None

    async def _read_user(self, name: str) -> User | None:
        found = await self.store.get_many("users", [name], shared=True)
        return User.model_validate(found[0]) if found else None

    async def by_name(self, names: Iterable[str]) -> dict[str, User]:
        """These people, only to be looked at, by user name; who is not there (any more) is left out."""
        asked = sorted({name for name in names if plausible(name)})
        docs = await self.store.get_many("users", asked, shared=True) if asked else []
        return {doc["id"]: self.domain.seen.read(User, doc) for doc in docs}

    async def change_user(self, name: str, edit: Callable[[User], Awaitable[None] | None]) -> User:
        """Read, let `edit` change it in place, store it (again when somebody was faster). NotFound, Conflict.

        What an awaitable `edit` looks up, it looks up after this revision was read: both held together at that moment.
        """

        async def edit_and_index(user: User) -> None:
            waiting = edit(user)
            if waiting is not None:
                await waiting
            user.search = search_text(user)

        try:
            return await change(self.store, "users", User, name, edit_and_index)
        finally:
            self._users.drop(name)

    async def has_other_administrator(self, name: str) -> bool:
        """Whether somebody besides `name` can administer."""
        cursor = ""
        while True:
            page = await self.store.find("users", Query(equal=(("admin", True),), sort="id", cursor=cursor))
            if any(not doc["locked"] and doc["id"] != name for doc in page.items):
                return True
            if not page.next:
                return False
            cursor = page.next

    def check_name(self, name: str) -> str:
        """`name`, if a new person may be called that. Raises Invalid."""
        names.user(name)
        if name == self.domain.config.service_account and self.domain.config.accounts.mode != "single":
            raise Invalid(
                f"{name!r} is the account that AEN itself runs as; nobody can be called that. Choose another."
            )
        if name == self.domain.config.sharing.public_account:
            raise Invalid(f"{name!r} is the account that shows public projects to everybody. Choose another.")
        return name

    async def add_user(
        self,
        name: str,
        password_hash: str,
        profile: Profile,
        *,
        admin: bool = False,
        by: Mapping[str, Any] = MappingProxyType({}),
    ) -> User:
        """Store a new person. `by`: how they sign in, if not by that password. Conflict when name or e-mail address is taken."""
        user = User(id=name, incarnation=new_id(), password=password_hash, admin=admin, **profile.model_dump(), **by)
        user.email = email_address(user.email)
        user.search = search_text(user)
        await self.claim_email(user.email, name)
        try:
            stored = await self.store.insert("users", user.model_dump(mode="json"))
        except Duplicate:
            await self._let_go_unless_held(user.email, name)
            raise Conflict(f"The user name {name!r} is taken. Choose another.") from None
        self._users.drop(name)
        return User.model_validate(stored)

    async def claim_email(self, email: str, name: str) -> None:
        """Make `email` the address of `name` and nobody else. Conflict when somebody has it."""
        if not email:
            return
        id = f"email:{email}"
        try:
            await self.store.insert("claims", {"id": id, "user": name})
        except Duplicate:
            claim = await self.store.get("claims", id)
            holder = await self.store.get("users", claim["user"]) if claim else None
            if claim is None or (claim["user"] != name and holder is not None and holder.get("email") == email):
                raise Conflict("That e-mail address belongs to another account.") from None
            try:  # left behind by a change that was cut off: it is nobody's
                await self.store.replace("claims", {**claim, "user": name})
            except Stale:
                raise Conflict("That e-mail address is being taken by another account.") from None

    async def release_email(self, email: str, name: str) -> None:
        """Give up the claim of `name` on `email`."""
        claim = await self.store.get("claims", f"email:{email}") if email else None
        if claim is not None and claim["user"] == name:
            await self.store.delete("claims", claim["id"])

    async def _let_go_unless_held(self, email: str, name: str) -> None:
        holder = await self.store.get("users", name)
        if holder is None or holder.get("email") != email:
            await self.release_email(email, name)


def plausible(id: str) -> bool:
    """Whether anything of ours can have this id or name: what else comes from outside is not looked up."""
    return 0 < len(id) <= 100 and id.isascii() and id.isprintable()


def search_text(user: User) -> str:
    """What the search for people runs on."""
    return " ".join(part for part in (user.id, user.full_name, user.email, user.company) if part).lower()


def email_address(text: str) -> str:
    """An e-mail address in the form in which it is compared; empty stays empty. Raises Invalid."""
    email = text.strip().lower()
    if not email:
        return ""
    local, at, host = email.partition("@")
    plain = all(c.isprintable() and not c.isspace() for c in email)
    if not (local and at and host) or "@" in host or not plain or len(email) > 254:
        raise Invalid("That is no e-mail address: it has the form name@example.org.")
    return email
