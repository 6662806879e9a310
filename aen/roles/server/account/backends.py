"""Back ends: whom to ask for a name, and which account an answer opens. The one place where outside and inside names meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from aen import names, plugins
from aen.errors import Conflict, Denied, Invalid, NotSignedIn, Unavailable
from aen.launchers import Launcher
from aen.logins import Identity, LoginBackend, Means, PasswordBackend, Rechecked, VisitBackend
from aen.logins.local import LocalLogin
from aen.model.user import User
from aen.roles.server.account.people import People, Profile, email_address
from aen.roles.server.permissions import Actor

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)
LOCAL = "local"
#: Right or state → the act of giving it and of taking it.
RIGHTS = {
    "admin": ("user.made_admin", "user.no_longer_admin"),
    "staff": ("user.made_staff", "user.no_longer_staff"),
    "locked": ("user.locked", "user.unlocked"),
}
WRONG = "The name or the password is wrong. Check both and try again."


class Backends(People):
    """The part of accounts that knows who may prove what."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._backends: dict[str, LoginBackend] = {LOCAL: LocalLogin()}
        self._visits: list[VisitBackend] = []  # asked for at every answer: forms may lead there

    def use_backends(self, launcher: Launcher | None) -> None:
        """Make the configured back ends. Raises Invalid when one can't work as configured."""
        config = self.domain.config
        means = Means(config, launcher.check_password if launcher is not None else None)
        wanted = config.server.login.backends
        self._backends = {name: plugins.load("aen.logins", name)(means) for name in wanted}
        self._visits = [backend for backend in self._backends.values() if isinstance(backend, VisitBackend)]

    def visits(self) -> list[VisitBackend]:
        """Back ends with a button on the login page."""
        return self._visits

    def visit(self, name: str) -> VisitBackend | None:
        """The back end of a button."""
        return next((backend for backend in self.visits() if backend.name == name), None)

    def takes_passwords(self) -> bool:
        """Whether anybody but a local administrator signs in by a form here."""
        return any(isinstance(backend, PasswordBackend) for backend in self._backends.values())

    def rechecked(self, name: str) -> Rechecked | None:
        """The back end, if it can be asked about people who are not there."""
        backend = self._backends.get(name)
        return backend if isinstance(backend, Rechecked) else None

    async def prove(self, typed: str, password: str) -> tuple[Identity, str] | None:
        """Who that is, and by which back end. None: nobody; Unavailable: nobody said yes and one could not be asked.

        Whoever has an account is asked of that account's back end alone: what another says of the same name is not theirs.
        """
        name, domain = names.typed(typed)
        user = await self.find(name) if not domain else None
        local = await LocalLogin().check(
            name, password, user
        )  # first for everybody: it takes its time for no name, too
        if user is not None and user.login_backend == LOCAL:
            return (local, LOCAL) if local is not None and self._local_may(user) else None
        down: Unavailable | None = None
        for backend in self._backends.values():
            if backend.name == LOCAL or not isinstance(backend, PasswordBackend):
                continue
            if user is not None and backend.name != user.login_backend:
                continue
            try:
                identity = await backend.check(typed.strip().lower(), password, user)
            except Unavailable as error:
                down = error
                continue
            if identity is not None:
                return identity, backend.name
        if down is not None:
            raise down
        return None

    def _local_may(self, user: User) -> bool:
        """Local administrators always may: when the directory is down or set up wrongly, somebody must be able to mend it."""
        return user.admin or LOCAL in self._backends

    async def account_of(self, identity: Identity, backend: str, address: str = "") -> User:
        """The account that this proof opens, made by rule at the first login. Denied, with why, when it opens none."""
        user = await self.find(identity.user)
        if user is None:
            return await self._first(identity, backend, address)
        if user.login_backend != backend:
            raise Denied(
                f"The user name {identity.user!r} belongs to an account that signs in another way. "
                "If it is yours, ask an administrator to link it."
            )
        if backend == LOCAL:
            return user
        if user.login_subject and identity.subject != user.login_subject:
            raise Denied(
                f"The account {user.id!r} belongs to another person of that name. Ask an administrator to link it to you."
            )
        return await self._follow(user, identity, backend)

    async def _first(self, identity: Identity, backend: str, address: str) -> User:
        options = self.domain.config.server.login
        if not options.create:
            raise Denied("You have no account here yet. Ask an administrator to make one.")
        email = email_address(identity.email) if _plausible_email(identity.email) else ""
        if options.domains and not (identity.email_verified and _within(email, options.domains)):
            raise Denied("Accounts are made only for e-mail addresses of this organisation. Ask an administrator.")
        try:
            self.check_name(identity.user)
            user = await self._made(identity, backend, email)
        except Invalid as error:
            raise Denied(error.message) from None
        await self.domain.activity.record(
            Actor(user), "user.signed_up", user.id, detail=f"first login by {backend}", address=address, security=True
        )
        return user

    async def _made(self, identity: Identity, backend: str, email: str) -> User:
        profile = Profile(full_name=identity.full_name[:200], email=email)
        rights: dict[str, Any] = {
            "admin": bool(identity.admin),
            "by": _by(identity, backend) | {"staff": bool(identity.staff)},
        }
        try:
            user = await self.add_user(identity.user, "", profile, **rights)
        except Conflict:  # somebody has the e-mail address, which proves nothing: the account comes without it
            bare = profile.model_copy(update={"email": ""})
            user = await self.add_user(identity.user, "", bare, **rights)
        return user

    async def _follow(self, user: User, identity: Identity, backend: str) -> User:
        """What the back end says counts from this login on: the subject, once; rights, always; the name, if none is there."""
        said = {"admin": identity.admin, "staff": identity.staff}
        rights = {right: value for right, value in said.items() if value not in (None, getattr(user, right))}
        if rights.get("admin") is False and not await self.has_other_administrator(user.id):
            log.warning("a group would take away the last administrator; kept", user=user.id)
            del rights["admin"]
        if not rights and user.login_subject and (user.full_name or not identity.full_name):
            return user

        def edit(stored: User) -> None:
            stored.login_subject = stored.login_subject or identity.subject
            stored.login_name = stored.login_name or identity.known_as
            stored.full_name = stored.full_name or identity.full_name[:200]
            for right, value in rights.items():
                setattr(stored, right, value)

        user = await self.change_user(user.id, edit)
        for right, value in rights.items():
            act = RIGHTS[right][not value]
            detail = f"by a group of {backend}"
            await self.domain.activity.record(None, act, user.id, who=user.id, detail=detail, security=True)
        return user

    def refuse_visit(self, name: str) -> NotSignedIn:
        """What is said of a button that is not there."""
        return NotSignedIn(f"Nobody signs in by {name[:30]!r} here.")


def _by(identity: Identity, backend: str) -> dict[str, Any]:
    return {"login_backend": backend, "login_subject": identity.subject, "login_name": identity.known_as}


def _plausible_email(text: str) -> bool:
    try:
        return bool(email_address(text))
    except Invalid:
        return False


def _within(email: str, domains: list[str]) -> bool:
    """Exactly one of the domains, not one that ends like it."""
    return email.rpartition("@")[2] in {domain.strip().lower().lstrip("@") for domain in domains}
