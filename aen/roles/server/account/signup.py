"""Sign-up: the first administrator by set-up code, invitations, open registration."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import structlog

from aen.errors import Conflict, Denied, Invalid, NotFound
from aen.logins.local import check_policy, hashed
from aen.model import now
from aen.model.user import Invitation, User
from aen.roles.server.account.logins import DAY
from aen.roles.server.account.people import Profile, email_address, plausible
from aen.roles.server.account.rechecks import Rechecks
from aen.roles.server.permissions import Actor, Permission, check
from aen.store import Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)
_SHORTEST = 60_000  # ms that an invitation lives at the least: one that has ended when it is made helps nobody
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that looks like something else


class SignUp(Rechecks):
    """The part of accounts by which people come."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self.setup_code = ""  # of the first administrator; empty when there is one
        self.code_file = Path(domain.config.data_dir) / "setup-code"

    def needs_setup(self) -> bool:
        """Nobody can administer yet: the first visitor with the set-up code becomes administrator."""
        return bool(self.setup_code)

    async def offer_setup(self) -> None:
        """Make the set-up code (and its file, mode 0600) if nobody can administer; the same one until it is used."""
        if await self.has_other_administrator(""):
            self._setup_done()
            return
        self.setup_code = _read_code(self.code_file) or _write_code(self.code_file)

    def _setup_done(self) -> None:
        self.setup_code = ""
        self.code_file.unlink(missing_ok=True)

    async def set_up(
        self, code: str, name: str, password: str, profile: Profile | None = None, address: str = ""
    ) -> User:
        """Make the first administrator. Denied when the code is wrong, Conflict when there is one already."""
        self.attempts.check("set-up", address)
        given = code.strip().lower().replace(" ", "").encode(errors="replace")
        if self.setup_code and not hmac.compare_digest(given, self.setup_code.encode()):
            self.attempts.failed("set-up", address)
            await self.domain.refusals.note("set_up.refused", "", address)
            raise Denied(
                "That is not the set-up code. It was printed when AEN started and stands in the data directory."
            )
        async with self._administrators():
            if not self.setup_code or await self.has_other_administrator(""):
                self._setup_done()
                raise Conflict("AEN is set up already. Sign in, or ask an administrator for an invitation.")
            self.check_name(name)
            await self.domain.linux.check_free(name)
            user = await self.add_user(name, await hashed(password), profile or Profile(), admin=True)
            self._setup_done()
        await self.domain.activity.record(Actor(user), "user.set_up", name, address=address, security=True)
        return user

    async def registration_open(self) -> bool:
        """Whether anybody may sign up."""
        return bool(self.domain.settings.value("server.registration.open"))

    async def set_registration(self, actor: Actor, open: bool) -> None:
        """Open or close registration, for administrators."""
        await self.domain.settings.set(actor, "server.registration.open", open)

    async def invite(
        self,
        actor: Actor,
        *,
        email: str = "",
        admin: bool = False,
        project: str = "",
        role: Literal["viewer", "member", "maintainer"] = "member",
        days: float = 7,
    ) -> str:
        """The code of a new invitation, for administrators; used once. `project` (`owner/name`) is joined at sign-up."""
        check(actor, Permission.ADMIN)
        if not 0 < days <= 90:
            raise Invalid("An invitation is good for more than 0 and at most 90 days.")
        project_id = ""
        if project:
            project_id = await self._invited_to(actor, project)
        code = secrets.token_urlsafe(24)
        invitation = Invitation(
            id=_digest(code),
            email=email_address(email),
            admin=admin,
            project=project_id,
            role=role,
            created_by=actor.name,
            expires=now() + max(_SHORTEST, int(days * DAY)),
        )
        await self.store.insert("invitations", invitation.model_dump(mode="json"))
        await self.domain.activity.record(actor, "user.invited", invitation.email, detail=project, security=True)
        return code

    async def _invited_to(self, actor: Actor, slug: str) -> str:
        """The project's id. Invalid instead of NotFound: it is a field of the invitation, not its address."""
        owner, _, name = slug.partition("/")
        try:
            return (await self.domain.projects.allowed(actor, owner, name, Permission.TEAM)).id
        except NotFound:
            raise Invalid(f"There is no project {slug[:100]!r}. Write it as owner/name, or leave it empty.") from None

    async def joins(self, invitation: Invitation | None) -> str:
        """The project, as `owner/name`, that whoever uses the invitation joins; empty for none, or when it was deleted."""
        project = await self.domain.projects.by_id(invitation.project) if invitation and invitation.project else None
        return project.slug if project is not None else ""

    async def invitation(self, code: str) -> Invitation | None:
        """The invitation of this code, or None when it is used, expired or never was."""
        doc = await self.store.get("invitations", _digest(code)) if 0 < len(code) <= 100 else None
        invitation = Invitation.model_validate(doc) if doc else None
        return invitation if invitation is not None and invitation.expires > now() else None

    async def invitations(self, actor: Actor, limit: int = 100, cursor: str = "") -> tuple[list[Invitation], str]:
        """Invitations that are open, soonest to expire first, for administrators."""
        check(actor, Permission.ADMIN)
        query = Query(sort="expires", low=now(), limit=limit, cursor=cursor)
        page = await self.store.find("invitations", query)
        return [Invitation.model_validate(doc) for doc in page.items], page.next

    async def withdraw_invitation(self, actor: Actor, id: str) -> None:
        """Take an invitation back, for administrators. NotFound when it was used or has expired."""
        check(actor, Permission.ADMIN)
        if not plausible(id) or not await self.store.delete("invitations", id):
            raise NotFound("There is no such invitation; it may have been used.")
        await self.domain.activity.record(actor, "invitation.withdrawn", security=True)

    async def sign_up(
        self, name: str, password: str, code: str = "", profile: Profile | None = None, address: str = ""
    ) -> User:
        """Make one's own account. Denied without an open registration or a good code."""
        if self.domain.config.accounts.mode == "existing":  # else who chooses their name chooses whose account they get
            raise Denied(
                "Accounts here stand for Linux accounts that exist already, so nobody signs up by themselves. "
                "Ask an administrator to add yours."
            )
        self.attempts.check("sign-up", address)
        invitation = await self.invitation(code)
        if invitation is None and (code or not await self.registration_open()):
            self.attempts.failed(f"sign-up {code[:20]}", address)
            await self.domain.refusals.note("sign_up.refused", "", address)
            raise Denied(
                "This invitation was used, has expired, or is wrong. Ask for a new one."
                if code
                else "Registration is by invitation here. Ask an administrator for one."
            )
        if invitation is None:
            self._check_domain(profile or Profile())
        self.check_name(name)
        check_policy(password)
        if await self.find(name) is not None:
            raise Conflict(f"The user name {name!r} is taken. Choose another.")
        if await self.domain.linux.is_taken(name):
            self.attempts.failed(f"sign-up {code[:20]}", address)  # nobody tries through what accounts the nodes have
            raise Conflict(
                f"The user name {name!r} is taken: a compute node has a Linux account of that name. "
                "Choose another, or ask an administrator."
            )
        profile = profile or Profile()
        if invitation is not None and invitation.email and (not profile.email or not invitation.created_by):
            profile = profile.model_copy(update={"email": invitation.email})
        password_hash = await hashed(password)
        user = await self._use(invitation, name, password_hash, profile)
        await self.domain.activity.record(Actor(user), "user.signed_up", name, address=address, security=True)
        return user

    def _check_domain(self, profile: Profile) -> None:
        """Registration may be for the e-mail addresses of some domains only; with mail, they are proved first. Denied."""
        domains = self.domain.settings.value("server.registration.domains")
        if not domains:
            return
        listed = ", ".join(domains)
        if profile.email.strip().lower().rpartition("@")[2] not in domains:
            raise Denied(f"Registration is for e-mail addresses of {listed}. Give yours, or ask an administrator.")
        if self.domain.mail.on:
            raise Denied("Have a link sent to your e-mail address first: it leads to registration.")

    async def send_link(self, email: str, address: str = "") -> None:
        """Mail a link for registration to an address, where registration is open. Denied, Invalid, TooMany; silent about the rest."""
        if not self.domain.mail.on or not await self.registration_open():
            raise Denied("Registration is by invitation here. Ask an administrator for one.")
        email = email_address(email)
        domains = self.domain.settings.value("server.registration.domains")
        if not email or (domains and email.rpartition("@")[2] not in domains):
            raise Invalid(f"Give an e-mail address{' of ' + ', '.join(domains) if domains else ''}.")
        for key in ("sign-up link", f"sign-up link {email}"):
            self.attempts.check(key, address)
            self.attempts.failed(key, address)  # each counts: nobody floods an address by us
        if await self.store.get("claims", f"email:{email}") is not None:
            return  # there is an account: whoever asks is told nothing of that
        code = secrets.token_urlsafe(24)
        invitation = Invitation(id=_digest(code), email=email, created_by="", expires=now() + DAY)
        await self.store.insert("invitations", invitation.model_dump(mode="json"))
        lines = ["Follow this link to make your account. It is good for one day and works once."]
        await self.domain.mail.write(email, "sign-up", "Your account at AEN", lines, f"/signup?code={code}")

    async def _use(self, invitation: Invitation | None, name: str, password_hash: str, profile: Profile) -> User:
        """Make the account; the invitation goes first, so that it works once, and comes back when the name was taken."""
        if invitation is None:
            return await self.add_user(name, password_hash, profile)
        if not await self.store.delete("invitations", invitation.id):
            raise Denied("This invitation was used a moment ago. Ask for a new one.")
        try:
            user = await self.add_user(name, password_hash, profile, admin=invitation.admin)
        except (Conflict, Invalid):
            await self.store.insert("invitations", {**invitation.model_dump(mode="json"), "rev": 0})
            raise
        if invitation.admin:
            self._setup_done()
        if invitation.project:
            await self._join(user, invitation)
        return user

    async def _join(self, user: User, invitation: Invitation) -> None:
        project = await self.domain.projects.by_id(invitation.project)
        if project is None:
            return  # deleted since: the account is good all the same
        inviter = await self.find(invitation.created_by)
        actor = Actor(inviter, local=True)  # it was allowed when it was made, and stays so
        await self.domain.team.set(actor, project.owner, project.name, user.id, invitation.role)


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()


def _read_code(path: Path) -> str:
    try:
        code = path.read_text().strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""
    return code if len(code) >= 16 and set(code) <= set(_ALPHABET + "-") else ""


def _write_code(path: Path) -> str:
    code = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(code + "\n")
    return code
