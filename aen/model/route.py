"""Route, grant, revocation: what a gateway needs to let people through and lead them to their session."""

from __future__ import annotations

from enum import StrEnum

from aen.model import Word

#: In `Route.users`: whoever comes, without any login. Such a route is looked at: no login is told, nothing can be changed.
ANYONE = "*public*"

#: In `Route.users`: whoever is signed in, by a login that counts. What they do there is done as themselves.
SIGNED_IN = "*signed-in*"


class Route(Word):
    """Where one session is. A gateway ignores a route older (smaller `generation`) than what it has for the session."""

    session: str
    generation: int
    owner: str
    project: str
    project_id: str
    app_server: str
    user: str  # whose session it is; `*`: shared by all of `users`; ANYONE
    users: list[str]  # who may go through
    node: str
    upstream: str  # `unix:/run/aen/<short>/s`, `tcp:127.0.0.1:4711`; `node:host:5002` on another host
    uid: int  # the listener's uid: checked on each new upstream connection, where the app runs
    secret: str  # per launch: goes upstream as X-AEN-App-Token
    strip: bool = False  # the app sees paths without its prefix

    @property
    def key(self) -> tuple[str, str, str]:
        """What the address of a request is looked up by."""
        return (self.owner, self.project, self.app_server)


class Grant(Word):
    """What a gateway's cookie says, signed by the server (JWT, EdDSA)."""

    user: str
    login: str  # login id
    audience: str  # the exact origin of the gateway
    issued: int  # ms since 1970
    expires: int
    language: str = ""  # what the person chose to read; empty: as their browser


class RevocationKind(StrEnum):
    """What is no longer allowed."""

    LOGIN = "login"  # subject: login id (browser login or API token)
    USER = "user"  # subject: user name: all that was issued before `at`
    MEMBER = "member"  # subject: "project_id user": left the team


class Revocation(Word):
    """One entry of the numbered log. A gateway that misses a number asks for it."""

    number: int
    kind: RevocationKind
    subject: str
    at: int


class TokenLogin(Word):
    """What the server says of an API token."""

    login: str
    user: str
    scope: list[str]
    expires: int
