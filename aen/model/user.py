"""User, login, API token, invitation: who people are and how they are signed in."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, field_validator

from aen.model import Document, Word, now


class PublicKey(Word):
    """An SSH key of a person: installed on compute nodes in accounts that AEN made."""

    line: str  # kind and body, as in authorized_keys
    title: str = ""
    fingerprint: str
    added: int = Field(default_factory=now)


class SecondFactor(Word):
    """An authenticator app (TOTP) and what helps when it is lost. Only the server reads it."""

    secret: str  # base32
    since: int = Field(default_factory=now)
    last: int = 0  # the number of the 30 s step whose code was used last: it works once
    recovery: list[str] = Field(default_factory=list)  # sha256 hex of the codes that are left


class Allowance(Word):
    """How much a person may take, as an administrator said of them; 0: as for everybody."""

    projects: int = Field(0, ge=0, le=1_000_000)  # that they own
    sessions: int = Field(0, ge=0, le=1_000_000)  # of theirs, alive at a time
    space: int = Field(0, ge=0, le=1 << 60)  # bytes of all projects that they own
    memory: int = Field(0, ge=0, le=1 << 50)  # bytes, of one session
    cpus: float = Field(0, ge=0, le=10_000)  # of one session

    @field_validator("memory")
    @classmethod
    def _enough(cls, value: int) -> int:
        if value and value < 16 << 20:
            raise ValueError("must be at least 16M")
        return value


class User(Document):
    """A person. `id` is the name; `incarnation` tells a recreated name from its first bearer."""

    incarnation: str
    full_name: str = ""
    email: str = ""
    company: str = ""
    location: str = ""
    url: str = ""
    admin: bool = False
    staff: bool = False  # may what AEN 4 let its staff do; administrators may that anyway
    locked: bool = False
    password: str = ""  # Argon2id, PHC string; empty: can't sign in by password
    login_backend: str = "local"
    login_subject: str = ""  # who that is at the back end, for good: a later person of the same name is somebody else
    login_name: str = ""  # what the back end calls them, where it is not the name here
    second_factor: SecondFactor | None = None
    language: str = ""
    theme: str = "system"
    mail_off: list[str] = Field(default_factory=list)  # kinds of notices that are not wanted by mail
    picture: int = 0  # when the one that they show was chosen; 0: initials stand for them
    starred: list[str] = Field(default_factory=list)  # project ids
    allowance: Allowance = Field(default_factory=Allowance)
    ssh_keys: list[PublicKey] = Field(default_factory=list)
    created: int = Field(default_factory=now)
    last_login: int = 0
    search: str = ""  # lower-case text that prefix search runs on

    @property
    def called(self) -> str:
        """What pages call them: their full name, or their user name where they told none."""
        return self.full_name or self.id


class LoginKind(StrEnum):
    """How somebody is signed in."""

    BROWSER = "browser"
    TOKEN = "token"  # noqa: S105
    HALF = "half"  # the password was right, the second factor is waited for: it opens nothing else


class Login(Document):
    """A person's signed-in state in one browser, or one API token. Ending it ends every grant made from it."""

    user: str
    incarnation: str
    kind: LoginKind
    token_hash: str = ""  # sha256 hex of an API token; the token itself is never stored
    csrf: str = ""
    title: str = ""
    scope: list[str] = Field(default_factory=list)  # empty: all that the person may
    created: int = Field(default_factory=now)
    last_seen: int = 0
    expires: int  # ms since 1970
    address: str = ""
    agent: str = ""
    acting: str = ""  # the administrator who acts as this person, for support
    behind: str = ""  # that administrator's own login: it ends, this one ends
    reason: str = ""  # why
    backend: str = ""  # who proved it; empty: local, or made before that was kept


class Invitation(Document):
    """A link by which one person may sign up. `id` is the sha256 of the code in the link."""

    email: str = ""
    admin: bool = False
    project: str = ""  # id of the project the person joins
    role: str = "member"
    created_by: str
    created: int = Field(default_factory=now)
    expires: int


class Proof(Document):
    """Something that counts once and not for long: a reset link, a provider's answer. `id`: `<kind>:<sha256 of the secret>`."""

    user: str = ""
    incarnation: str = ""
    made_by: str = ""
    created: int = Field(default_factory=now)
    expires: int  # ms since 1970
