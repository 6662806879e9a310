"""Resets: links by which a person chooses a new password: made by an administrator, or sent by mail to who forgot it."""

from __future__ import annotations

import hashlib
import secrets

from aen.errors import Conflict, Denied, Invalid, NotFound
from aen.languages import N_
from aen.logins.local import check_policy, hashed
from aen.model import now
from aen.model.user import Proof, User
from aen.roles.server.account.backends import LOCAL
from aen.roles.server.account.people import email_address
from aen.roles.server.account.tokens import Tokens
from aen.roles.server.permissions import LOCAL as LOCAL_ADMINISTRATOR
from aen.roles.server.permissions import Actor, Permission, check
from aen.store import Query

_HOUR = 3_600_000  # ms
_LONGEST_HOURS = 168
_MAIL_HOURS = 1
_GONE = "This link was used, has expired, or is wrong. Ask for a new one."


class Resets(Tokens):
    """The part of accounts that knows reset links. One link of a person is good at a time; the code is kept as a hash."""

    async def reset_link(self, actor: Actor, name: str, hours: float = 24) -> str:
        """The code of a new link, shown only now, for staff. Earlier ones of that person count no more.

        Invalid: the person signs in elsewhere, or `hours` is out of 0 to 168; NotFound; Denied: only administrators may for them.
        """
        check(actor, Permission.STAFF)
        if not 0 < hours <= _LONGEST_HOURS:
            raise Invalid(f"A link is good for more than 0 and at most {_LONGEST_HOURS} hours.")
        user = await self.find(name)
        if user is None:
            raise NotFound(f"There is no user {name[:40]!r}.")
        if not _may(actor.admin, user):
            await self.domain.activity.record(actor, "password.link_refused", name, who=name, security=True)
            raise Denied(f"{name} is of the staff or an administrator: only administrators make such a link for them.")
        if user.login_backend != LOCAL:
            raise Invalid(f"{name} signs in by {user.login_backend}: the password is changed there.")
        code = await self._make(user, actor.name, hours)
        await self.domain.activity.record(actor, "password.link_made", name, who=name, security=True)
        return code

    def send_reset(self, name_or_email: str, address: str) -> None:
        """Write to whoever has that name or e-mail address, if mail is on. In the background: the answer tells nothing."""
        self.attempts.check("reset", address)
        self.attempts.failed(f"reset {name_or_email[:60].lower()}", address)
        work = self._send_reset(name_or_email.strip().lower()[:254], address)
        self.domain.projects.background.spawn(f"reset:{name_or_email[:100].lower()}", work)

    async def _send_reset(self, wanted: str, address: str) -> None:
        user = await self._by_email(wanted) if "@" in wanted else await self.find(wanted)
        if user is None or user.locked or not user.email or user.login_backend != LOCAL or not self.domain.mail.on:
            return
        code = await self._make(user, "", _MAIL_HOURS)
        lines = [
            N_("Somebody, probably you, asked for a new password for the account {name}."),
            N_("The link is good for one hour and works once. If it was not you, do nothing: your password stays."),
        ]
        await self.domain.mail.write(
            user.email,
            "password",
            N_("A new password for AEN"),
            lines,
            f"/forgotten/{code}",
            user=user,
            button=N_("Choose a new password"),
            name=user.id,
        )
        act = "password.link_sent"
        await self.domain.activity.record(None, act, user.id, who=user.id, address=address, security=True)

    async def _by_email(self, text: str) -> User | None:
        try:
            email = email_address(text)
        except Invalid:
            return None
        claim = await self.store.get("claims", f"email:{email}")
        user = await self.find(claim["user"]) if claim else None
        return user if user is not None and user.email == email else None

    async def _make(self, user: User, made_by: str, hours: float) -> str:
        await self._withdraw(user.id)
        code = secrets.token_urlsafe(32)
        proof = Proof(
            id=_id(code),
            user=user.id,
            incarnation=user.incarnation,
            made_by=made_by,
            expires=now() + int(hours * _HOUR),
        )
        await self.store.insert("proofs", proof.model_dump(mode="json"))
        return code

    async def _withdraw(self, user: str) -> None:
        page = await self.store.find("proofs", Query(equal=(("user", user),), sort="created", limit=100))
        for doc in page.items:
            await self.store.delete("proofs", doc["id"])

    async def reset_of(self, code: str) -> User:
        """Whose link this is. NotFound when it is used, expired, or never was."""
        doc = await self.store.get("proofs", _id(code)) if 0 < len(code) <= 100 else None
        proof = Proof.model_validate(doc) if doc is not None else None
        user = await self.find(proof.user) if proof is not None and proof.expires > now() else None
        if user is None or proof is None:
            raise NotFound(_GONE)
        await self._check_counts(proof, user)
        return user

    async def _check_counts(self, proof: Proof, user: User) -> None:
        """NotFound unless the link is this very person's and who made it may make it now, too: it ends with their rights."""
        if user.incarnation != proof.incarnation or user.login_backend != LOCAL:
            raise NotFound(_GONE)
        if not await self._stands_behind(proof.made_by, user):
            raise NotFound(_GONE)

    async def _stands_behind(self, maker: str, user: User) -> bool:
        """Whether who made a link reaches this person now: whoever has more rights by now is out of reach."""
        if maker in ("", LOCAL_ADMINISTRATOR):  # sent to the person's own address, or made on this machine
            return True
        person = await self._read_user(maker)  # of the store: another server may have taken their rights just now
        if person is None or person.locked or not (person.admin or person.staff):
            return False
        return _may(person.admin, user)

    async def use_reset(self, code: str, password: str, address: str = "") -> User:
        """Set the password of whose link this is; all their logins and tokens end. The link counts once."""
        user = await self.reset_of(code)
        _check_unlocked(user)
        check_policy(password)
        new = await hashed(password)
        doc = await self.store.get("proofs", _id(code))
        if doc is None or not await self.store.delete("proofs", _id(code)):  # whoever deletes it goes on
            raise NotFound(_GONE)
        proof = Proof.model_validate(doc)

        async def edit(stored: User) -> None:
            """Asked again of the very revision that gets the password: somebody may have been promoted since."""
            _check_unlocked(stored)
            await self._check_counts(proof, stored)
            stored.password = new

        user = await self.change_user(user.id, edit)
        await self._withdraw(user.id)
        await self.end_all(user.id, tokens=True)
        await self.domain.activity.record(Actor(user), "password.reset", user.id, address=address, security=True)
        return user


def _check_unlocked(user: User) -> None:
    """Conflict for who is locked out."""
    if user.locked:
        raise Conflict("This account is locked. Ask an administrator to unlock it.")


def _may(administrator: bool, user: User) -> bool:
    """Whoever sets a password can be that person: nobody comes by more rights than their own in that way."""
    return administrator or not (user.admin or user.staff)


def _id(code: str) -> str:
    return f"reset:{hashlib.sha256(code.encode(errors='replace')).hexdigest()}"
