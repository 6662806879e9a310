"""Second factor: half logins wait for a code; people set it up, and administrators take it away from who lost it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from aen.errors import Denied, Invalid, NotFound, NotSignedIn
from aen.logins import totp
from aen.model import now
from aen.model.user import Login, LoginKind, SecondFactor, User
from aen.roles.server.account.logins import Logins
from aen.roles.server.permissions import Actor
from aen.store import Stale

ISSUER = "AEN"
_MOST_TRIES = 5  # of one half login; then the password is asked for again
_WRONG = "That code is wrong, was used already, or is too old. Take the one that the app shows now."


@dataclass(frozen=True)
class Enrolment:
    """What an authenticator app is given."""

    secret: str
    picture: str  # inline SVG

    @property
    def spaced(self) -> str:
        """The secret as one types it."""
        return " ".join(self.secret[at : at + 4] for at in range(0, len(self.secret), 4))


class SecondFactors(Logins):
    """The part of accounts that knows second factors. A code counts once, over all servers: the account remembers its step."""

    async def half(self, login_id: str) -> tuple[Login, User] | None:
        """The half login of this cookie and whose it is; None when there is none any more."""
        doc = await self.store.get("logins", login_id) if 0 < len(login_id) <= 100 else None
        if doc is None or doc["kind"] != LoginKind.HALF or doc["expires"] <= now():
            return None
        login = Login.model_validate(doc)
        user = await self.find(login.user)
        if user is None or user.locked or user.incarnation != login.incarnation:
            return None
        return login, user

    def enrolment(self, user: User, secret: str = "") -> Enrolment:
        """A secret to set up (a new one, or the one that is being typed over) and its picture."""
        secret = secret if _is_secret(secret) else totp.new_secret()
        return Enrolment(secret, totp.picture(totp.address(secret, user.id, ISSUER)))

    async def complete(self, login_id: str, code: str, address: str, agent: str) -> Login:
        """The whole login for a half one and a code. NotSignedIn (begin anew), Denied (wrong), TooMany."""
        login, user = await self._waiting(login_id)
        if user.second_factor is None:
            raise Denied("Set up your authenticator app first.")
        await self._prove_code(user, code, address, login)
        return await self._whole(login, user, address, agent)

    async def enrol_and_complete(
        self, login_id: str, secret: str, code: str, address: str, agent: str
    ) -> tuple[Login, list[str]]:
        """The same for who must have a second factor and has none yet: it is set up on the way in. Also the recovery codes."""
        login, user = await self._waiting(login_id)
        codes = await self._set(user, secret, code)
        return await self._whole(login, user, address, agent), codes

    async def set_second_factor(self, actor: Actor, secret: str, code: str, password: str) -> list[str]:
        """Set up one's own: the code proves that the app has the secret. The recovery codes, shown only now."""
        user = await self.own_account(actor, password)
        return await self._set(user, secret, code)

    async def new_recovery_codes(self, actor: Actor, password: str) -> list[str]:
        """New recovery codes; the old ones count no more."""
        user = await self.own_account(actor, password)
        if user.second_factor is None:
            raise Invalid("You have no second factor that they could stand for.")
        codes = totp.new_recovery()

        def edit(stored: User) -> None:
            if stored.second_factor is not None:
                stored.second_factor.recovery = totp.recovery_hashes(codes)

        await self.change_user(user.id, edit)
        await self.domain.activity.record(actor, "second_factor.recovery_made", user.id, security=True)
        return codes

    async def remove_second_factor(self, actor: Actor, user: str, password: str = "") -> None:
        """Take it away: one's own with the password; administrators from who lost it (their logins end)."""
        self.check_self(actor, user)
        stored = await self.find(user)
        if stored is None:
            raise NotFound(f"There is no user {user[:40]!r}.")
        own = actor.name == user
        if own:
            await self.own_account(actor, password)

        def edit(person: User) -> None:
            person.second_factor = None

        await self.change_user(user, edit)
        if not own:
            await self.end_all(user, tokens=False)
        await self.domain.activity.record(actor, "second_factor.removed", user, who=user, security=True)

    async def own_account(self, actor: Actor, password: str) -> User:
        """One's own account, by a login in a browser and (where there is one) the password."""
        if actor.user is None or actor.login is None or actor.login.kind is not LoginKind.BROWSER:
            raise Denied("That is done in a browser by the person themselves, not by an API token.")
        user = await self.find(actor.name)
        if user is None:
            raise NotSignedIn("Sign in first.")
        if user.password:
            await self._prove_old(user, password, actor)
        return user

    async def _set(self, user: User, secret: str, code: str) -> list[str]:
        step = totp.step_of(secret, code) if _is_secret(secret) else 0
        if not step:
            raise Denied(_WRONG)
        codes = totp.new_recovery()
        factor = SecondFactor(secret=secret, last=step, recovery=totp.recovery_hashes(codes))

        def edit(stored: User) -> None:
            if stored.second_factor is not None:
                raise Denied("A second factor is set up already. Take it away first.")
            stored.second_factor = factor

        await self.change_user(user.id, edit)
        await self.domain.activity.record(Actor(user), "second_factor.set", user.id, who=user.id, security=True)
        return codes

    async def _waiting(self, login_id: str) -> tuple[Login, User]:
        found = await self.half(login_id)
        if found is None:
            raise NotSignedIn("That took too long. Sign in again.")
        return found

    async def _prove_code(self, user: User, code: str, address: str, login: Login) -> None:
        """Use up a code, or count a failure: five of one half login end it, and all of a person's slow down."""
        key = f"{user.id} code"
        self.attempts.check(key, "")
        self.attempts.failed(key, "")  # before the look: many tries at once are many failures
        used = await self._use_code(user, code)
        if used:
            self.attempts.succeeded(key, "")
            if used != "code":
                act = "second_factor.recovery_used"
                await self.domain.activity.record(Actor(user), act, user.id, address=address, security=True)
            return
        await self._say("login.code_failed", user.id, address)
        login.last_seen += 1  # of a half login: how often it was tried
        if login.last_seen >= _MOST_TRIES:
            await self._end(login)
            raise NotSignedIn("Too many wrong codes. Sign in again.")
        with contextlib.suppress(Stale):  # somebody tries many at once: these were counted above
            await self.store.replace("logins", login.model_dump(mode="json"))
        raise Denied(_WRONG)

    async def _use_code(self, user: User, code: str) -> str:
        """Which kind of code it was (code, recovery), used up by compare and set; empty when it is none."""
        used = ""

        def edit(stored: User) -> None:
            nonlocal used
            used, factor = "", stored.second_factor
            if factor is None:
                return
            step, digest = totp.step_of(factor.secret, code, factor.last), totp.recovery_hash(code)
            if step:
                factor.last, used = step, "code"
            elif digest in factor.recovery:
                factor.recovery.remove(digest)
                used = "recovery"

        await self.change_user(user.id, edit)
        return used

    async def _whole(self, half: Login, user: User, address: str, agent: str) -> Login:
        if not await self.store.delete("logins", half.id):  # whoever deletes it goes on: a half login counts once
            raise NotSignedIn("That took too long. Sign in again.")
        self._logins.drop(half.id)
        return await self.begin_login(user, address, agent, half.backend)


def _is_secret(text: str) -> bool:
    return len(text) == 32 and all(c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" for c in text)
