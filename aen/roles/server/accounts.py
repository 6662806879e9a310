"""Accounts: people, how they come, sign in, change and go. Users here; logins, tokens and sign-up in the modules it builds on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from aen.model import Word
from aen.model.route import TokenLogin
from aen.model.user import Invitation, Login, User
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor


class Profile(Word):
    """What a person says of themselves."""

    full_name: str = Field("", max_length=200)
    email: str = Field("", max_length=254)
    company: str = Field("", max_length=200)
    location: str = Field("", max_length=200)
    url: str = Field("", max_length=500)
    language: str = Field("", max_length=16)
    theme: Literal["system", "light", "dark"] = "system"


class UserPatch(Word):
    """What of a person is to change; what is None stays. `admin` and `locked` are for administrators."""

    full_name: str | None = Field(None, max_length=200)
    email: str | None = Field(None, max_length=254)
    company: str | None = Field(None, max_length=200)
    location: str | None = Field(None, max_length=200)
    url: str | None = Field(None, max_length=500)
    language: str | None = Field(None, max_length=16)
    theme: Literal["system", "light", "dark"] | None = None
    admin: bool | None = None
    locked: bool | None = None


class NewUser(Profile):
    """A person whom an administrator makes. Without a password they can't sign in by password until one is set."""

    name: str
    password: str = ""
    admin: bool = False


@dataclass(frozen=True)
class UserPage:
    """One page of users; `total` counts all that match the filter (not the search)."""

    items: list[User]
    next: str
    total: int


class Accounts(Part):
    """People. All verbs raise AenErrors; times are ms since 1970."""

    setup_code: str = ""  # one-time code of the first administrator; empty when there is one

    def needs_setup(self) -> bool:
        """Nobody can administer yet: the first visitor with the set-up code becomes administrator."""
        raise NotImplementedError

    async def set_up(self, code: str, name: str, password: str, profile: Profile | None = None) -> User:
        """Make the first administrator. Denied when the code is wrong, Conflict when there is one already."""
        raise NotImplementedError

    async def sign_in(self, name: str, password: str, address: str, agent: str) -> Login:
        """A new browser login. NotSignedIn (never says which of the two was wrong), TooMany with retry_after, Denied (locked)."""
        raise NotImplementedError

    async def actor_of_login(self, login_id: str) -> Actor | None:
        """Who a login cookie stands for; None when the login has ended, expired, or its user is locked or gone."""
        raise NotImplementedError

    async def actor_of_token(self, token: str) -> Actor | None:
        """Who an API token (`aen_…`) stands for, or None."""
        raise NotImplementedError

    async def check_token(self, token_hash: str, address: str = "") -> TokenLogin:
        """What the API token with this sha256 (hex) may do, for gateways. NotSignedIn when there is none."""
        raise NotImplementedError

    async def sign_out(self, login_id: str) -> None:
        """End one login; every grant made from it is revoked. Fine when it has ended already."""
        raise NotImplementedError

    async def sign_out_everywhere(self, actor: Actor, user: str) -> None:
        """End all logins of `user` (API tokens stay): themselves or an administrator."""
        raise NotImplementedError

    async def set_password(self, actor: Actor, user: str, new: str, old: str = "") -> None:
        """Change a password and end all logins of that person. They give the old one; administrators need not."""
        raise NotImplementedError

    async def find(self, name: str) -> User | None:
        """The user of that name, unasked for permission: for the other parts of the domain."""
        raise NotImplementedError

    async def get(self, actor: Actor, name: str) -> User:
        """A user: themselves, or for administrators. NotFound."""
        raise NotImplementedError

    async def list(
        self,
        actor: Actor,
        search: str = "",
        sort: str = "id",
        descending: bool = False,
        limit: int = 50,
        cursor: str = "",
        filter: Literal["", "admin", "locked"] = "",
    ) -> UserPage:
        """Users, for administrators. `sort`: id, created, last_login. A search gives its best `limit` without a cursor."""
        raise NotImplementedError

    async def create(self, actor: Actor, new: NewUser) -> User:
        """Make a person, for administrators. Invalid, Conflict (the name or e-mail address is taken)."""
        raise NotImplementedError

    async def update(self, actor: Actor, name: str, patch: UserPatch) -> User:
        """Change a person: themselves their profile, administrators also `admin` and `locked` (never their own)."""
        raise NotImplementedError

    async def lock(self, actor: Actor, name: str) -> User:
        """Lock somebody out: logins and sessions at gateways end within seconds. Not oneself, not the last administrator."""
        raise NotImplementedError

    async def unlock(self, actor: Actor, name: str) -> User:
        """Let somebody in again."""
        raise NotImplementedError

    async def remove(self, actor: Actor, name: str) -> None:
        """Remove a person. Conflict lists the projects they own: these are passed on or deleted first."""
        raise NotImplementedError

    async def new_token(
        self, actor: Actor, user: str, title: str = "", days: float = 90, scope: list[str] | None = None
    ) -> tuple[Login, str]:
        """A new API token, shown only now: `aen_` and 40 characters. `scope`: of read, run, write, admin; none: all."""
        raise NotImplementedError

    async def logins(self, actor: Actor, user: str) -> list[Login]:
        """Somebody's browser logins and API tokens that are still good, newest first: themselves or administrators."""
        raise NotImplementedError

    async def end_login(self, actor: Actor, login_id: str) -> None:
        """End one login or withdraw one API token of one's own (administrators: of anybody). NotFound."""
        raise NotImplementedError

    async def registration_open(self) -> bool:
        """Whether anybody may sign up."""
        raise NotImplementedError

    async def set_registration(self, actor: Actor, open: bool) -> None:
        """Open or close registration, for administrators."""
        raise NotImplementedError

    async def invite(
        self,
        actor: Actor,
        *,
        email: str = "",
        admin: bool = False,
        project: str = "",
        role: str = "member",
        days: float = 7,
    ) -> str:
        """The code of a new invitation, for administrators; used once. `project` (`owner/name`) is joined at sign-up."""
        raise NotImplementedError

    async def invitation(self, code: str) -> Invitation | None:
        """The invitation of this code, or None when it is used, expired or never was."""
        raise NotImplementedError

    async def sign_up(
        self, name: str, password: str, code: str = "", profile: Profile | None = None, address: str = ""
    ) -> User:
        """Make one's own account. Denied without an open registration or a good code."""
        raise NotImplementedError
