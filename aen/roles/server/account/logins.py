"""Logins: signing in and out, and who a cookie or token stands for."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING, Any

import structlog

from aen import names
from aen.errors import Denied, Invalid, NotFound, NotSignedIn, TooMany, Unavailable
from aen.logins import Identity
from aen.logins.local import LocalLogin, hashed, is_outdated
from aen.model import now
from aen.model.route import RevocationKind
from aen.model.user import Login, LoginKind, User
from aen.roles.server.account.backends import LOCAL, WRONG, Backends
from aen.roles.server.account.limits import Attempts
from aen.roles.server.account.people import Kept, plausible
from aen.roles.server.permissions import Actor, Permission, check
from aen.store import Query, Stale

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)
DAY = 86_400_000  # ms
_SEEN_EVERY = 60_000  # ms: last_seen is written no more often
_MOST_LOGINS = 200  # of one person; the oldest browser logins go
_HALF_DAYS = 10 / 1440  # ten minutes to find the code


class Logins(Backends):
    """The part of accounts that knows who is signed in."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._logins = Kept(self._read_login)
        told = domain.company
        self.attempts = Attempts(domain.config.server.login.attempts, tell=lambda *who: told.tell("failed", *who))
        told.hear("failed", lambda event: self.attempts.failed_elsewhere(event.topic, event.kind))

    async def sign_in(self, name: str, password: str, address: str, agent: str) -> Login:
        """A new login, HALF when a second factor is waited for.

        NotSignedIn (never says which of the two was wrong), TooMany with retry_after, Denied (locked, or not let in by rule).
        """
        account = names.typed(name)[0]
        await self.may_try(account, address)
        try:
            proved = await self.prove(name[:200], password)
        except (Denied, Unavailable) as error:  # right, and in no group that may come in; or nobody could be asked
            await self.domain.refusals.note("login.refused", account, address, error.message)
            raise
        if proved is None:
            self.attempts.failed(account, address)
            await self._say("login.failed", account, address)
            raise NotSignedIn(WRONG)
        return await self.enter(*proved, address=address, agent=agent, password=password, account=account)

    async def may_try(self, account: str, address: str) -> None:
        """Raise TooMany while this account or address must wait, and let it stand in the log."""
        try:
            self.attempts.check(account, address)
        except TooMany:
            await self.domain.refusals.note("login.held_up", account, address)
            raise

    async def enter(
        self, identity: Identity, backend: str, *, address: str, agent: str, password: str = "", account: str = ""
    ) -> Login:
        """A new login for who proved who they are. Denied when they are locked or no account is theirs."""
        try:
            user = await self.account_of(identity, backend, address)
            if user.locked:
                raise Denied("This account is locked. Ask an administrator to unlock it.")
        except Denied as error:
            await self._say("login.refused", identity.user, address, detail=error.message)
            raise
        self.attempts.succeeded(account or user.id, address)
        user = await self._renewed(user, password) if backend == LOCAL else user
        if self.wants_code(user):
            return await self.add_login(user, LoginKind.HALF, _HALF_DAYS, address, agent, backend=backend)
        return await self.begin_login(user, address, agent, backend)

    async def _renewed(self, user: User, password: str) -> User:
        """The hash made anew where it is of old parameters."""
        if not password or not user.password or not is_outdated(user.password):
            return user
        renewed = await hashed(password)

        def edit(stored: User) -> None:
            if stored.password == user.password:
                stored.password = renewed

        return await self.change_user(user.id, edit)

    async def begin_login(self, user: User, address: str, agent: str, backend: str) -> Login:
        """The login itself, once everything is proved."""

        def signed_in(stored: User) -> None:
            stored.last_login = now()

        user = await self.change_user(user.id, signed_in)
        visited = self.visit(backend)
        days = min(visited.days if visited else math.inf, self.domain.config.server.login.days)
        login = await self.add_login(user, LoginKind.BROWSER, days, address, agent, backend=backend)
        await self._say(
            "login.succeeded", user.id, address, Actor(user, login), detail="" if backend == LOCAL else backend
        )
        return login

    def wants_code(self, user: User) -> bool:
        """Whether a second factor is asked of this person: they have one, or must."""
        return user.second_factor is not None or self.must_have_code(user)

    def must_have_code(self, user: User) -> bool:
        """Whether the administrator asks this person for a second factor."""
        rule = self.domain.config.server.login.second_factor
        return rule == "everybody" or (rule == "administrators" and (user.admin or user.staff))

    async def visit_failed(self, backend: str, address: str, why: str) -> None:
        """Note that a provider's answer was not taken."""
        await self._say("login.failed", f"({backend})", address, detail=why)

    async def add_login(
        self, user: User, kind: LoginKind, days: float, address: str = "", agent: str = "", **more: Any
    ) -> Login:
        login = Login(
            id=secrets.token_hex(16),
            user=user.id,
            incarnation=user.incarnation,
            kind=kind,
            csrf=secrets.token_urlsafe(32) if kind is LoginKind.BROWSER else "",
            expires=now() + int(days * DAY),
            last_seen=now() if kind is LoginKind.BROWSER else 0,  # a token is seen when it is used
            address=address.removeprefix("::ffff:")[:64],  # IPv4 at a listener on all interfaces
            agent=agent[:200],
            **more,
        )
        stored = Login.model_validate(await self.store.insert("logins", login.model_dump(mode="json")))
        await self._thin_out(user.id)
        return stored

    async def _thin_out(self, user: str) -> None:
        """Nobody needs hundreds of logins: a script that signs in again and again must not fill the store."""
        if await self.store.count("logins", (("user", user),)) <= _MOST_LOGINS:
            return
        oldest = await self.store.find("logins", Query(equal=(("user", user),), sort="created", limit=20))
        for doc in oldest.items:
            if doc["kind"] != LoginKind.TOKEN:
                await self._end(Login.model_validate(doc))

    async def actor_of_login(self, login_id: str) -> Actor | None:
        """Who a login cookie stands for; None when the login has ended, expired, or its user is locked or gone."""
        return await self.actor_by(login_id, LoginKind.BROWSER)

    async def actor_now(self, actor: Actor) -> Actor | None:
        """The same actor as they are now; None when their login has ended since."""
        if actor.login is None:
            return actor if actor.local else None
        return await self.actor_by(actor.login.id, actor.login.kind)

    async def actor_by(self, login_id: str, kind: LoginKind) -> Actor | None:
        login = await self._logins.get(login_id) if plausible(login_id) else None
        if login is None or login.kind is not kind or login.expires <= now():
            return None
        user = await self.find(login.user)
        if user is None or user.locked or user.incarnation != login.incarnation:
            return None
        if login.acting and not await self._still_acting(login):
            return None
        await self._seen(login)
        return Actor(user, login)

    async def _still_acting(self, login: Login) -> bool:
        """Whether the administrator behind a login for support is still one, and signed in where it was begun."""
        administrator = await self.find(login.acting)
        own = await self._logins.get(login.behind)
        fine = administrator is not None and administrator.admin and not administrator.locked
        return fine and own is not None and own.user == login.acting and own.expires > now()

    async def _read_login(self, id: str) -> Login | None:
        found = await self.store.get_many("logins", [id], shared=True)
        return Login.model_validate(found[0]) if found else None

    async def _seen(self, login: Login) -> None:
        if now() - login.last_seen < _SEEN_EVERY:
            return
        login.last_seen = now()  # in the kept copy too: once a minute, whatever the store says
        try:
            stored = await self.store.replace("logins", login.model_dump(mode="json"))
        except Stale:
            self._logins.drop(login.id)
        else:
            login.rev = int(stored["rev"])

    async def sign_out(self, login_id: str) -> None:
        """End one login; every grant made from it is revoked. Fine when it has ended already."""
        doc = await self.store.get("logins", login_id)
        if doc is not None:
            login = Login.model_validate(doc)
            await self._end(login)
            await self._say("login.ended", login.user, login.address)

    async def _end(self, login: Login) -> None:
        await self.store.delete("logins", login.id)
        self._logins.drop(login.id)
        await self.domain.revocations.add(RevocationKind.LOGIN, login.id)
        self.domain.events.publish(f"user:{login.user}", "login.ended", {"login": login.id})

    async def end_all(self, user: str, *, tokens: bool) -> None:
        """End the logins of `user`, with API tokens or without, and every grant made before now."""
        while True:
            page = await self.store.find("logins", Query(equal=(("user", user),), sort="created", limit=500))
            ending = [doc for doc in page.items if tokens or doc["kind"] != LoginKind.TOKEN]
            for doc in ending:
                await self.store.delete("logins", doc["id"])
                self._logins.drop(doc["id"])
                if doc["kind"] != LoginKind.TOKEN:  # by name as well: a grant may be of a time when the clock was ahead
                    await self.domain.revocations.add(RevocationKind.LOGIN, doc["id"])
            if not ending or not page.next:
                break
        if tokens:  # one entry for everything that was issued before
            await self.domain.revocations.add(RevocationKind.USER, user)
        self.domain.events.publish(f"user:{user}", "login.ended", {"login": "*"})

    async def sign_out_everywhere(self, actor: Actor, user: str) -> None:
        """End all logins of `user` (API tokens stay): themselves or an administrator."""
        self.check_self(actor, user)
        await self.end_all(user, tokens=False)
        await self.domain.activity.record(actor, "login.ended_everywhere", user, who=user, security=True)

    async def set_password(self, actor: Actor, user: str, new: str, old: str = "") -> None:
        """Change a password and end all logins and tokens of that person. They give the old one; administrators need not."""
        self.check_self(actor, user)
        stored = await self.find(user)
        if stored is None:
            raise NotFound(f"There is no user {user[:40]!r}.")
        if stored.login_backend != "local":
            raise Invalid(f"{user} signs in by {stored.login_backend}: the password is changed there.")
        if actor.name == user and stored.password:
            await self._prove_old(stored, old, actor)
        new_hash = await hashed(new)

        def edit(person: User) -> None:
            person.password = new_hash

        await self.change_user(user, edit)
        await self.end_all(user, tokens=True)
        await self.domain.activity.record(actor, "password.changed", user, who=user, security=True)

    async def _prove_old(self, user: User, old: str, actor: Actor) -> None:
        key = f"{user.id} password change"
        self.attempts.check(key, "")
        if await LocalLogin().check(user.id, old, user) is None:
            self.attempts.failed(key, "")
            await self.domain.activity.record(actor, "password.wrong", user.id, who=user.id, security=True)
            raise Denied("The old password is wrong. The password was not changed.")
        self.attempts.succeeded(key, "")

    async def logins(self, actor: Actor, user: str) -> list[Login]:
        """Somebody's browser logins and API tokens that are still good, newest first: themselves or administrators."""
        self.check_self(actor, user, Permission.SIGNED_IN)
        query = Query(equal=(("user", user),), sort="created", descending=True, limit=500)
        page = await self.store.find("logins", query)
        found = [Login.model_validate(doc) for doc in page.items if doc["expires"] > now()]
        return [login for login in found if login.kind is not LoginKind.HALF]

    async def end_login(self, actor: Actor, login_id: str) -> None:
        """End one login or withdraw one API token of one's own (administrators: of anybody). NotFound."""
        check(actor, Permission.ACCOUNT)
        doc = await self.store.get("logins", login_id) if plausible(login_id) else None
        if doc is None or (doc["user"] != actor.name and not actor.admin):
            raise NotFound("There is no such login or API token; it may have ended already.")
        login = Login.model_validate(doc)
        await self._end(login)
        act = "token.withdrawn" if login.kind is LoginKind.TOKEN else "login.ended"
        await self.domain.activity.record(actor, act, login.title, who=login.user, security=True)

    def check_self(self, actor: Actor, user: str, permission: Permission = Permission.ACCOUNT) -> None:
        """Return if `actor` is `user` and may change their account, or is an administrator. NotFound: others' accounts."""
        check(actor, permission)
        if actor.name == user:
            return
        if not actor.admin:
            raise NotFound(f"There is no user {user[:40]!r}, or you may not see them.")
        check(actor, Permission.ADMIN)

    async def _say(self, act: str, who: str, address: str, actor: Actor | None = None, detail: str = "") -> None:
        log.info("login", act=act, user=who[:64], address=address.removeprefix("::ffff:"))
        await self.domain.activity.record(
            actor or Actor(), act, who, who=who, address=address, detail=detail, security=True
        )
