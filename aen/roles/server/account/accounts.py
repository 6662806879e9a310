"""Accounts: people, how they come, sign in, change and go. Users here; logins, tokens and sign-up in what it builds on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from aen.errors import Conflict, Denied, Invalid, NotFound
from aen.logins.local import hashed
from aen.messages import LanguageChosen
from aen.model import Word, now
from aen.model.job import Job
from aen.model.user import User
from aen.roles.server.account.backends import RIGHTS
from aen.roles.server.account.people import Profile, email_address
from aen.roles.server.account.signup import SignUp
from aen.roles.server.background import again_and_again
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service
from aen.store import Query

__all__ = ["Accounts", "NewUser", "Profile", "UserPage", "UserPatch"]

_SORTS = ("id", "created", "last_login")
_EQUAL: dict[str, tuple[tuple[str, object], ...]] = {
    "": (),
    **{name: ((name, True),) for name in ("admin", "staff", "locked")},
}
_CLEAN_EVERY = 3600.0  # seconds


class UserPatch(Word):
    """What of a person is to change; what is None stays. `admin`, `staff`, `locked` and `login_backend` are for administrators."""

    full_name: str | None = Field(None, max_length=200)
    email: str | None = Field(None, max_length=254)
    company: str | None = Field(None, max_length=200)
    location: str | None = Field(None, max_length=200)
    url: str | None = Field(None, max_length=500)
    language: str | None = Field(None, max_length=16)
    theme: Literal["system", "light", "dark"] | None = None
    admin: bool | None = None
    staff: bool | None = None
    locked: bool | None = None
    login_backend: str | None = Field(None, max_length=31)


class NewUser(Profile):
    """A person whom an administrator makes. Without a password they can't sign in by password until one is set."""

    name: str
    password: str = ""
    admin: bool = False
    staff: bool = False


@dataclass(frozen=True)
class UserPage:
    """One page of users; `total` counts all that match the filter (not the search)."""

    items: list[User]
    next: str
    total: int


class Accounts(SignUp):
    """People. All verbs raise AenErrors; times are ms since 1970."""

    async def begin(self, service: Service) -> None:
        """Offer the set-up code if nobody can administer, and take out what expires, for life."""
        await self.offer_setup()
        service.spawn(again_and_again("expired logins", self.remove_expired, _CLEAN_EVERY), "expired logins")
        login = self.domain.config.server.login
        if login.recheck_minutes and any(self.rechecked(name) for name in login.backends):
            service.spawn(self.recheck_for_life(), "directory")

    async def get(self, actor: Actor, name: str) -> User:
        """A user: themselves, or for administrators. NotFound."""
        self.check_self(actor, name, Permission.SIGNED_IN)
        user = await self.find(name)
        if user is None:
            raise NotFound(f"There is no user {name[:40]!r}.")
        return user

    async def list(
        self,
        actor: Actor,
        search: str = "",
        sort: str = "id",
        descending: bool = False,
        limit: int = 50,
        cursor: str = "",
        filter: str = "",
    ) -> UserPage:
        """Users, for administrators. `sort`: id, created, last_login. A search gives its best `limit` without a cursor.

        `filter`: nothing, admin, staff or locked; it sorts by name.
        """
        check(actor, Permission.ADMIN)
        if sort not in _SORTS or filter not in _EQUAL or not 1 <= limit <= 500 or len(search) > 200:
            raise Invalid(f"Sort by {', '.join(_SORTS)}; filter by admin, staff or locked; ask for 1 to 500 at a time.")
        equal = _EQUAL[filter]
        total = await self.store.count("users", equal)
        if search.strip():
            docs = await self.store.search("users", search.strip().lower(), equal[0] if equal else None, limit)
            return UserPage([self.domain.seen.read(User, doc) for doc in docs], "", total)
        by = "id" if equal else sort
        query = Query(equal, sort=by, descending=descending, limit=limit, cursor=cursor, shared=True)
        page = await self.store.find("users", query)
        return UserPage([self.domain.seen.read(User, doc) for doc in page.items], page.next, total)

    async def create(self, actor: Actor, new: NewUser) -> User:
        """Make a person, for administrators. Invalid, Conflict (the name, its Linux account or the e-mail address is taken)."""
        check(actor, Permission.ADMIN)
        self.check_name(new.name)
        await self.domain.linux.check_free(new.name)
        password = await hashed(new.password) if new.password else ""
        profile = Profile.model_validate(new.model_dump(exclude={"name", "password", "admin", "staff"}))
        user = await self.add_user(new.name, password, profile, admin=new.admin, by={"staff": new.staff})
        if new.admin:
            self._setup_done()
        detail = "administrator" if new.admin else "staff" if new.staff else ""
        await self.domain.activity.record(actor, "user.created", user.id, who=user.id, detail=detail, security=True)
        return user

    async def update(self, actor: Actor, name: str, patch: UserPatch) -> User:
        """Change a person: themselves their profile, administrators also `admin`, `staff` and `locked` (never their own)."""
        self.check_self(actor, name)
        before = await self.get(actor, name)
        given: dict[str, Any] = patch.model_dump(exclude_none=True)
        rights: dict[str, bool] = {key: given.pop(key) for key in RIGHTS if key in given}
        rights = {key: value for key, value in rights.items() if value != getattr(before, key)}
        backend = given.pop("login_backend", before.login_backend)
        if rights or backend != before.login_backend:
            self._check_rights(actor, name)
        if backend != before.login_backend:
            before = await self.link(actor, before, backend)
        if given:
            before = await self._change_profile(actor, before, given)
        if rights:
            return await self._change_rights(actor, name, rights)
        return before

    async def _change_profile(self, actor: Actor, before: User, given: dict[str, Any]) -> User:
        old, spoke = before.email, before.language
        if "email" in given:
            given["email"] = email_address(given["email"])
            await self.claim_email(given["email"], before.id)

        def edit(user: User) -> None:
            for key, value in given.items():
                setattr(user, key, value)

        user = await self.change_user(before.id, edit)
        if "email" in given and old != user.email:
            await self.release_email(old, user.id)
        if user.language != spoke:
            await self.bus.publish(LanguageChosen(user=user.id, at=now()))
        await self.domain.activity.record(actor, "user.changed", user.id, who=user.id, detail=", ".join(sorted(given)))
        return user

    def _check_rights(self, actor: Actor, name: str) -> None:
        check(actor, Permission.ADMIN)
        if actor.name == name:
            raise Denied("Nobody changes their own rights. Ask another administrator.")

    async def _change_rights(self, actor: Actor, name: str, rights: dict[str, bool]) -> User:
        def edit(user: User) -> None:
            for key, value in rights.items():
                setattr(user, key, value)

        async with self._administrators():
            before = await self.get(actor, name)
            lost = before.admin and (rights.get("admin") is False or rights.get("locked") is True)
            if lost and not await self.has_other_administrator(name):
                raise Conflict(f"{name} is the last administrator. Make somebody else administrator first.")
            user = await self.change_user(name, edit)
        if rights.get("locked"):
            await self.end_all(name, tokens=True)
            await self.domain.sessions.end_user(name, f"{name} was locked by an administrator.")
        if rights.get("admin") is False:
            await self.end_all(name, tokens=False)
        for key, value in rights.items():
            await self.domain.activity.record(actor, RIGHTS[key][not value], name, who=name, security=True)
        return user

    async def lock(self, actor: Actor, name: str) -> User:
        """Lock somebody out: logins and sessions at gateways end within seconds. Not oneself, not the last administrator."""
        check(actor, Permission.ADMIN)
        return await self.update(actor, name, UserPatch(locked=True))

    async def unlock(self, actor: Actor, name: str) -> User:
        """Let somebody in again."""
        check(actor, Permission.ADMIN)
        return await self.update(actor, name, UserPatch(locked=False))

    async def remove(self, actor: Actor, name: str) -> Job:
        """Remove a person: at once from AEN, and by the job from files and nodes; its message is the report in the end.

        Conflict lists the projects they own: these are passed on or deleted first. `domain.leaving.plan` tells it all before.
        """
        check(actor, Permission.ADMIN)
        if actor.name == name:
            raise Denied("Your own account you delete on the page of your account.")
        return await self._remove(actor, await self.get(actor, name), f"{name} was removed by an administrator.")

    async def delete_own(self, actor: Actor, password: str, typed: str) -> Job:
        """Delete one's own account for good, by a login in a browser and the password. Conflict lists what must be passed on first."""
        user = await self.own_account(actor, password)
        if typed != user.id:
            raise Invalid(f"Nothing was deleted: type {user.id} to confirm.")
        return await self._remove(actor, user, f"{user.id} deleted the account.")

    async def _remove(self, actor: Actor, user: User, why: str) -> Job:
        name = user.id
        await self._check_owns_nothing(name)
        async with self._administrators():
            if user.admin and not await self.has_other_administrator(name):
                raise Conflict(f"{name} is the last administrator. Make somebody else administrator first.")

            def locked(person: User) -> None:
                person.locked, person.admin, person.staff = True, False, False

            await self.change_user(name, locked)  # from here on they can't come in, whatever happens next
        await self.end_all(name, tokens=True)
        await self.domain.sessions.end_user(name, why)
        projects = await self.domain.leaving.projects(name)
        await self.domain.team.forget(name)
        await self.domain.dashboards.forget(name)
        await self.domain.search.forget_all(name)
        await self.domain.pictures.forget(name)
        await self.store.delete("users", name)
        self._users.drop(name)
        await self.release_email(user.email, name)
        await self.domain.activity.record(actor, "user.removed", name, who=name, security=True)
        return await self.domain.leaving.retire(user, projects, actor.name)

    async def _check_owns_nothing(self, name: str) -> None:
        page = await self.store.find("projects", Query((("owner", name),), sort="updated", descending=True, limit=10))
        if page.items:
            owned = ", ".join(doc["slug"] for doc in page.items) + (" and more" if page.next else "")
            raise Conflict(
                f"{name} owns projects: {owned}. Pass them on or delete them first, on each one's page "
                "under Settings, Admin."
            )
