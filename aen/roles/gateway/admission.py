"""Admission: who may come in. Grants are checked by public key, API tokens asked once; both until they are revoked."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from aen import names
from aen.errors import Denied, NotSignedIn
from aen.messages import CheckToken, Command, RedeemTicket, RenewGrant, SignedGrant
from aen.model import now, scopes
from aen.model.route import Revocation, RevocationKind, TokenLogin
from aen.proxy import By, Visitor
from aen.tickets import Verifier

_MOST_KNOWN = 50_000  # logins remembered; more and all are checked anew
_MOST_BAD = 10_000
_BAD_SECONDS = 2.0  # a token that was no good is not asked about again for so long
#: Whatever comes through here can run code as the person.
_NARROW = "This API token may not use apps: it needs the scope 'run' (or sessions:write). Make another one."
_KEPT_MS = 14 * 24 * 3600 * 1000  # longer than any grant lives
_AT_ONCE = 1  # ms since 1970
_LATER_MS = 60_000  # after a renewal that could not be had


@dataclass(frozen=True)
class Since:
    """When a person's logins were all ended: by time and by number in the log."""

    at: int  # ms since 1970, the server's clock, as in grants
    number: int


class Revoked:
    """What of the numbered log counts here: logins that ended, people whose earlier logins ended."""

    def __init__(self) -> None:
        self.latest = 0
        self.logins: dict[str, int] = {}
        self.users: dict[str, Since] = {}

    def take(self, entry: Revocation) -> None:
        """Take in the next entry."""
        self.latest = max(self.latest, entry.number)
        if entry.kind is RevocationKind.LOGIN:
            self.logins[entry.subject] = entry.at
        elif entry.kind is RevocationKind.USER:
            self.users[entry.subject] = Since(entry.at, entry.number)
        if len(self.logins) > _MOST_KNOWN:
            old = now() - _KEPT_MS
            self.logins = {login: at for login, at in self.logins.items() if at > old}

    def allows(self, visitor: Visitor) -> bool:
        """Whether a login is still good. A grant's `issued` is a time, a token's the log's number when it was asked."""
        since = self.users.get(visitor.user)
        if visitor.login in self.logins:
            return False
        if since is None:
            return True
        return visitor.issued > (since.at if visitor.by is By.COOKIE else since.number - 1)


class Asked(Protocol):
    """What a doorman needs of a bus."""

    async def request(self, address: str, command: Command, timeout: float = 10.0) -> Any:
        """See aen.bus.Bus."""


class Doorman:
    """Fulfils `aen.proxy.Admission`."""

    def __init__(self, bus: Asked, revoked: Revoked) -> None:
        self._bus = bus
        self.on_postponed: Callable[[str], None] | None = None  # told each login that `postpone` is
        self.revoked = revoked
        self.keys: dict[str, str] = {}
        self._verifier = Verifier({})
        self._grants: dict[tuple[bytes, bytes], Visitor] = {}
        self._tokens: dict[str, Visitor] = {}
        self._chose: dict[str, int] = {}  # when people chose another language, as far as was heard
        self._bad: dict[str, tuple[float, str]] = {}  # until when (monotonic), and why if it is good elsewhere

    def use_keys(self, keys: dict[str, str]) -> bool:
        """Check grants with these keys (PEM by id); True when they differ from before."""
        if keys == self.keys:
            return False
        self.keys, self._verifier = dict(keys), Verifier(keys)
        self._grants.clear()
        return True

    # ── what the data plane asks ────────────────────────────────────────────────────────────────────

    def by_grant(self, grant: bytes, origin: bytes) -> Visitor | None:
        """See Admission."""
        known = self._grants.get((grant, origin))
        if known is None:
            return self._verify(grant, origin)
        return known if not known.ended and known.expires > time.time() * 1000 else None

    def by_token(self, token: bytes) -> Visitor | None:
        """See Admission."""
        known = self._tokens.get(hashlib.sha256(token).hexdigest())
        return known if known is not None and not known.ended and known.expires > time.time() * 1000 else None

    async def ask(self, token: bytes, address: str) -> Visitor | None:
        """See Admission."""
        hashed = hashlib.sha256(token).hexdigest()
        until, why = self._bad.get(hashed, (0.0, ""))
        if until > time.monotonic():
            if why:
                raise Denied(why)
            return None
        number = self.revoked.latest
        try:
            command = CheckToken(token_hash=hashed, address=address)
            login: TokenLogin = await self._bus.request(names.address("server"), command, timeout=5)
        except NotSignedIn:
            self._keep_out(hashed)
            return None
        projects, looks = scopes.may_run(login.scope), scopes.may_look(login.scope)
        if looks is not None and not looks:
            self._keep_out(hashed, _NARROW)
            raise Denied(_NARROW)
        visitor = Visitor(
            login.user, login.login, By.TOKEN, login.expires, issued=number, projects=projects, looks=looks
        )
        if not self.revoked.allows(visitor):
            return None
        if len(self._tokens) >= _MOST_KNOWN:
            self._tokens.clear()
        self._tokens[hashed] = visitor
        return visitor

    def _keep_out(self, hashed: str, why: str = "") -> None:
        """Ask no more of this token for a moment."""
        if len(self._bad) >= _MOST_BAD:
            self._bad.clear()
        self._bad[hashed] = (time.monotonic() + _BAD_SECONDS, why)

    # ── what the pages and the revocation log ask ───────────────────────────────────────────────────

    async def redeem(self, ticket: str, audience: str, nonce: str) -> str:
        """The grant for a ticket. Raises NotSignedIn, Unavailable, TimedOut."""
        command = RedeemTicket(ticket=ticket, audience=audience, nonce=nonce)
        answer: SignedGrant = await self._bus.request(names.address("server"), command)
        return answer.grant

    async def renew(self, user: str, login: str, audience: str) -> str:
        """A new grant for a login that is still good. Raises NotSignedIn, Unavailable, TimedOut."""
        command = RenewGrant(login=login, user=user, audience=audience)
        answer: SignedGrant = await self._bus.request(names.address("server"), command, timeout=5)
        return answer.grant

    def postpone(self, login: str) -> None:
        """Don't renew this login again for a while."""
        later = now() + _LATER_MS
        for visitor in self._all():
            if visitor.login == login and visitor.renew_at:
                visitor.renew_at = later
        if self.on_postponed is not None:
            self.on_postponed(login)

    def chose(self, user: str, at: int) -> None:
        """They read another language since: what they have from before is renewed as they next go to a page."""
        if len(self._chose) >= _MOST_KNOWN:
            self._chose.clear()
        self._chose[user] = at
        for visitor in self._grants.values():
            if visitor.user == user and visitor.issued <= at:
                visitor.renew_at = _AT_ONCE

    def begin_anew(self) -> None:
        """The log is another one: tokens are known by numbers of the old one, so each is asked about again."""
        self.revoked.latest = 0
        for visitor in self._tokens.values():
            visitor.ended, visitor.issued = True, 0
        self._tokens.clear()

    def end_revoked(self) -> None:
        """End every login that the log no longer allows."""
        for visitor in self._all():
            visitor.ended = visitor.ended or not self.revoked.allows(visitor)

    def _all(self) -> Iterator[Visitor]:
        visitors: Iterable[Visitor]
        for visitors in (self._grants.values(), self._tokens.values()):
            yield from visitors

    def _verify(self, text: bytes, origin: bytes) -> Visitor | None:
        try:
            grant = self._verifier.grant(text.decode("ascii"), origin.decode("ascii"))
        except (NotSignedIn, UnicodeDecodeError):
            return None
        halfway = grant.issued + (grant.expires - grant.issued) // 2
        renew_at = halfway if grant.issued > self._chose.get(grant.user, 0) else _AT_ONCE
        visitor = Visitor(
            grant.user,
            grant.login,
            By.COOKIE,
            grant.expires,
            issued=grant.issued,
            renew_at=renew_at,
            language=grant.language,
        )
        if not self.revoked.allows(visitor):
            return None
        if len(self._grants) >= _MOST_KNOWN:
            self._grants.clear()
        self._grants[(text, origin)] = visitor
        return visitor
