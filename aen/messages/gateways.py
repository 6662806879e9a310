"""What a gateway asks of the server, and what the server tells gateways."""

from __future__ import annotations

from pydantic import Field

from aen.messages.kinds import Command, Event
from aen.model import Word
from aen.model.route import Revocation, Route, TokenLogin
from aen.model.session import Phase, Step

# ── gateway → server ────────────────────────────────────────────────────────────────────────────────


class RedeemTicket(Command):
    """Redeem a ticket, once. Answered with a signed grant."""

    ticket: str
    audience: str
    nonce: str


class RenewGrant(Command):
    """A new grant for a login that is still good."""

    login: str
    user: str
    audience: str


class SignedGrant(Word):
    """A grant as it stands in the cookie."""

    grant: str


class CheckToken(Command):
    """What the API token with this sha256 (hex) may do. NotSignedIn when there is none."""

    token_hash: str
    address: str = ""


class ReadKeys(Command):
    """The public keys (PEM by key id) that grants are checked with."""


class Keys(Word):
    """The answer to ReadKeys."""

    keys: dict[str, str]


class ReadRoutes(Command):
    """What has changed of a data center's routes since the gateway last asked this server; all of them, if it never did.

    `have` and `after` are for servers of the version before, which number no changes: all routes, or nothing new.
    """

    datacenter: str
    have: str = ""  # their version, as it was told
    after: str = ""  # cursor: the last session id of the page before
    known: dict[str, int] | None = (
        None  # history → number of the newest change taken in; None: a gateway that reads no numbers
    )
    again: list[str] = Field(default_factory=list)  # sessions to tell of in any case


class RouteEnded(Word):
    """A session of this generation (or older) can't be reached any more."""

    session: str
    generation: int


class Routes(Word):
    """A page of routes; `more` when another follows. Read in order they are as the server had them at `number`."""

    version: str
    unchanged: bool = False
    routes: list[Route] = Field(default_factory=list)
    more: bool = False
    history: str = ""  # whose numbers these are: another one after each start of a server
    since: int = 0  # the page goes on from this change; 0: it begins with the oldest, and what is on no page is nowhere
    number: int = 0
    ended: list[RouteEnded] = Field(default_factory=list)


class ReadRevocations(Command):
    """What was revoked after `after`."""

    after: int


class Revocations(Word):
    """The answer to ReadRevocations; `latest` is the newest number there is."""

    latest: int
    entries: list[Revocation] = Field(default_factory=list)


class OpenSession(Command):
    """Somebody is at the start page: start their session, or (`look`) only say how it is doing.

    NotFound when they may not see the project or there is no such app server.
    """

    user: str
    login: str
    owner: str
    project: str
    app_server: str
    app: str = ""
    look: bool = False
    tail: bool = False  # with the end of its log, also while it runs, for whoever may read that


class OpenPublic(Command):
    """Somebody without a login here is at an address that may be open to anyone: start what shows it, if it is not running.

    NotFound when nothing is open to them there: no public project, no such link (any more).
    """

    owner: str
    project: str
    app_server: str
    secret: str = ""  # of a link


class PublicView(Word):
    """How that is doing; `path` is where it is now: projects may be renamed."""

    phase: Phase
    reason: str = ""
    path: str = ""


class SessionView(Word):
    """What the start page shows."""

    session: str
    phase: Phase
    reason: str = ""
    log_tail: str = ""
    steps: list[Step] = Field(default_factory=list)
    title: str = ""  # the app's title
    may_start: bool = True


RedeemTicket.answer = SignedGrant
RenewGrant.answer = SignedGrant
CheckToken.answer = TokenLogin
ReadKeys.answer = Keys
ReadRoutes.answer = Routes
ReadRevocations.answer = Revocations
OpenSession.answer = SessionView
OpenPublic.answer = PublicView

# ── server → gateways ───────────────────────────────────────────────────────────────────────────────


class RouteAdded(Event):
    """A session can be reached (or its route changed). `history`, `number`: see Routes; a gap says that some were missed."""

    datacenter: str
    route: Route
    history: str = ""
    number: int = 0


class RouteRemoved(Event):
    """A session of this generation (or older) can no longer be reached."""

    datacenter: str
    session: str
    generation: int
    history: str = ""
    number: int = 0


class LanguageChosen(Event):
    """A person chose another language to read: grants from before tell the old one. (Missed: until they are renewed.)"""

    user: str
    at: int  # ms since 1970


class Revoked(Event):
    """Something is no longer allowed; a gap in the numbers says that some were missed."""

    revocation: Revocation
