"""Tokens: API tokens, that scripts send: made, recognised, told to gateways; and what has expired is taken out."""

from __future__ import annotations

import hashlib
import secrets
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aen.errors import Denied, Invalid, NotFound, NotSignedIn
from aen.model import now, scopes
from aen.model.route import TokenLogin
from aen.model.user import Login, LoginKind
from aen.roles.server.account.second_factor import SecondFactors
from aen.roles.server.permissions import Actor
from aen.store import Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

_ALPHABET = string.ascii_letters + string.digits
_MOST_KEPT = 50_000


class Tokens(SecondFactors):
    """The part of accounts that knows API tokens."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._tokens: dict[str, str] = {}  # sha256 → login id: that never changes

    async def actor_of_token(self, token: str, address: str = "") -> Actor | None:
        """Who an API token (`aen_…`) stands for, or None."""
        actor = await self._actor_of_hash(token_hash(token)) if len(token) <= 100 and token.startswith("aen_") else None
        if actor is None:
            await self.domain.refusals.note("token.refused", "", address)
        return actor

    async def check_token(self, token_hash: str, address: str = "") -> TokenLogin:
        """What the API token with this sha256 (hex) may do, for gateways. NotSignedIn when there is none."""
        actor = await self._actor_of_hash(token_hash)
        if actor is None or actor.user is None or actor.login is None:
            await self.domain.refusals.note("token.refused", "", address)
            raise NotSignedIn(
                "This API token is not valid: it was withdrawn, has expired, or never was. Make a new one."
            )
        login = actor.login
        return TokenLogin(login=login.id, user=actor.user.id, scope=login.scope, expires=login.expires)

    async def _actor_of_hash(self, digest: str) -> Actor | None:
        if not digest:
            return None
        id = self._tokens.get(digest)
        if id is None:
            page = await self.store.find("logins", Query(equal=(("token_hash", digest),), limit=1))
            if not page.items:
                return None
            id = str(page.items[0]["id"])
            if len(self._tokens) > _MOST_KEPT:
                self._tokens.clear()
            self._tokens[digest] = id
        return await self.actor_by(id, LoginKind.TOKEN)

    async def new_token(
        self, actor: Actor, user: str, title: str = "", days: float = 90, scope: Sequence[str] = ()
    ) -> tuple[Login, str]:
        """A new API token, shown only now: `aen_` and 40 characters. `scope`: see `model/scopes.py`; none: all."""
        self.check_self(actor, user)
        scope = scopes.checked(scope)
        if not 0 < days <= 3660 or len(title) > 100:
            raise Invalid("A token has a title of at most 100 characters and is good for 0 to 3660 days.")
        if actor.scope and not (scope and all(scopes.covers(actor.scope, each) for each in scope)):
            raise Denied("A narrowed API token can't make a token that may do more than itself.")
        person = await self.find(user)
        if person is None:
            raise NotFound(f"There is no user {user[:40]!r}.")
        token = "aen_" + "".join(secrets.choice(_ALPHABET) for _ in range(40))
        more: dict[str, Any] = {"token_hash": token_hash(token), "title": title or "API token", "scope": list(scope)}
        login = await self.add_login(person, LoginKind.TOKEN, days, **more)
        await self.domain.activity.record(actor, "token.created", login.title, who=user, security=True)
        return login, token

    async def remove_expired(self) -> None:
        """Take out what expired: nothing stands on it any more."""
        for collection in ("logins", "invitations", "proofs"):
            while True:
                page = await self.store.find(collection, Query(sort="expires", high=now(), limit=500))
                for doc in page.items:
                    await self.store.delete(collection, doc["id"])
                if not page.next:
                    break


def token_hash(token: str) -> str:
    """The sha256 (hex) by which an API token is stored and asked for."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
