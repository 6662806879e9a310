"""Gateways: what the server answers them: tickets, grants, tokens, keys, routes, revocations, and who may open what."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import structlog

from aen import names
from aen.apps import App, title_of
from aen.errors import AenError, Denied, Invalid, NotFound, NotSignedIn
from aen.links import BOARD
from aen.messages import (
    CheckToken,
    Keys,
    OpenPublic,
    OpenSession,
    PublicView,
    ReadKeys,
    ReadRevocations,
    ReadRoutes,
    RedeemTicket,
    RenewGrant,
    Revocations,
    Routes,
    SessionView,
    SignedGrant,
)
from aen.model import now
from aen.model.project import Project
from aen.model.route import Grant, TokenLogin
from aen.model.session import LIVE, Phase, Session
from aen.model.user import Login
from aen.roles.server.background import again_and_again, held
from aen.roles.server.changes import every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, allows
from aen.service import Service
from aen.store import Duplicate, Query
from aen.tickets import GRANT_HOURS, Verifier, hash_nonce

if TYPE_CHECKING:
    from aen.apps import App, title_of

log = structlog.get_logger(__name__)

_AGAIN = "This sign-in is not (or no longer) good here. Please sign in again."
_PRUNE_SECONDS = 300.0
_LONGEST_NEXT = 8192  # characters
_TAIL_LINES, _TAIL_CHARACTERS = 30, 8000


class Gateways(Part):
    """The server's side of every gateway."""

    async def begin(self, service: Service) -> None:
        """See Part."""
        address, answer = names.address("server"), self.bus.respond
        subscriptions = (
            answer(address, RedeemTicket, self._redeem),
            answer(address, RenewGrant, self._renew),
            answer(address, CheckToken, self._check_token),
            answer(address, ReadKeys, self._keys),
            answer(address, ReadRoutes, self._routes),
            answer(address, ReadRevocations, self._revocations),
            answer(address, OpenSession, self._open),
            answer(address, OpenPublic, self._open_public),
        )
        await service.enter(held(*subscriptions))
        service.spawn(again_and_again("tickets", self.prune, _PRUNE_SECONDS), "tickets")

    async def enter(self, actor: Actor, audience: str, nonce_hash: str, next: str) -> str:
        """Where to send a signed-in browser that a gateway sent: `<audience>/.aen/enter?ticket=…&next=…`.

        Raises NotSignedIn, Invalid (not one of our gateways, bad nonce hash or next).
        """
        if actor.user is None or actor.login is None:
            raise NotSignedIn("Sign in first.")
        if actor.login.acting:
            raise Denied("While you act as somebody else their apps stay closed to you. End it first.")
        if not any(_is_origin(audience, center.gateway_url) for center in self.domain.nodes.datacenters()):
            raise Invalid("That is not the address of a gateway of this AEN. Open the app from its project's page.")
        if not re.fullmatch(r"[0-9a-f]{64}", nonce_hash):
            raise Invalid("The gateway sent an incomplete sign-in. Open the app from its project's page.")
        ticket = self.domain.signer.ticket(actor.user.id, actor.login.id, audience, nonce_hash)
        return f"{audience}/.aen/enter?ticket={quote(ticket, safe='')}&next={quote(_path(next), safe='')}"

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────

    async def _redeem(self, command: RedeemTicket) -> SignedGrant:
        claims = Verifier(self.domain.signer.public_keys()).ticket(command.ticket, command.audience)
        if hash_nonce(command.nonce) != claims.nonce_hash:
            raise NotSignedIn(_AGAIN)
        try:
            await self.store.insert("claims", {"id": f"ticket:{claims.id}", "expires": claims.expires})
        except Duplicate as error:
            raise NotSignedIn("This sign-in was used already. Please sign in again.") from error
        return await self._grant(claims.login, claims.user, command.audience)

    async def _renew(self, command: RenewGrant) -> SignedGrant:
        return await self._grant(command.login, command.user, command.audience)

    async def _grant(self, login: str, user: str, audience: str) -> SignedGrant:
        """A grant for 12 h, no longer than the login itself, if that is still good."""
        actor = await self.domain.accounts.actor_of_login(login)
        if actor is None or actor.user is None or actor.login is None or actor.user.id != user:
            raise NotSignedIn("This login has ended. Please sign in again.")
        # Later than what ended all before, also when this machine's clock was put back since.
        issued = max(now(), await self.domain.revocations.ended(user) + 1)
        expires = min(issued + GRANT_HOURS * 3_600_000, actor.login.expires)
        speaks = actor.user.language
        grant = Grant(user=user, login=login, audience=audience, issued=issued, expires=expires, language=speaks)
        return SignedGrant(grant=self.domain.signer.grant(grant))

    async def _check_token(self, command: CheckToken) -> TokenLogin:
        return await self.domain.accounts.check_token(command.token_hash, command.address)

    async def _keys(self, _: ReadKeys) -> Keys:
        return Keys(keys=self.domain.signer.public_keys())

    async def _routes(self, command: ReadRoutes) -> Routes:
        return await self.domain.sessions.routes.read(command)

    async def _revocations(self, command: ReadRevocations) -> Revocations:
        latest, entries = await self.domain.revocations.after(command.after)
        return Revocations(latest=latest, entries=entries)

    # ── the start page ──────────────────────────────────────────────────────────────────────────────

    async def _open(self, command: OpenSession) -> SessionView:
        actor = await self._actor(command)
        if command.app_server.startswith(BOARD):
            return await self._open_dashboard(actor, command)
        project = await self.domain.projects.get(actor, command.owner, command.project)
        entry = self._entry(command)
        if not self._in_team(actor, project):
            raise NotFound("There is no such project, or you may not see it.")
        if command.look:
            view = await self._look(actor, project, entry, command.user)
            return await self._with_tail(actor, view) if command.tail else view
        session = await self.domain.sessions.open(actor, command.owner, command.project, entry.name)
        return _shown(session, entry, may_start=True)

    async def _open_dashboard(self, actor: Actor, command: OpenSession) -> SessionView:
        """For whom a dashboard is for, also outside the team. Its log is its team's."""
        dashboards, id = self.domain.dashboards, command.app_server.removeprefix(BOARD)
        project, board = await dashboards.get(actor, command.owner, command.project, id)
        entry = App(board.title, board.title, "", "chart", command.app_server, "")
        if not command.look:
            session = await dashboards.open(actor, command.owner, command.project, id)
        else:
            session_id = names.session_id(project.id, "*", command.app_server)
            doc = await self.store.get("sessions", session_id)
            if doc is None:
                return SessionView(session=session_id, phase=Phase.STOPPED, title=board.title, may_start=True)
            session = Session.model_validate(doc)
        view = _shown(session, entry, may_start=True)
        return view if self._in_team(actor, project) else view.model_copy(update={"log_tail": ""})

    async def _open_public(self, command: OpenPublic) -> PublicView:
        session = await self.domain.shares.open(command)
        reason = session.reason if session.phase not in LIVE else ""  # what strangers are told of a start is nothing
        return PublicView(phase=session.phase, reason=reason, path=f"/{session.owner}/{session.name}/")

    def _in_team(self, actor: Actor, project: Project) -> bool:
        """Apps of a project are its team's: seeing a public project, or administering, does not lead to them."""
        return actor.user is not None and project.role_of(actor.user.id) is not None

    async def _look(self, actor: Actor, project: Project, entry: App, user: str) -> SessionView:
        shared = self.domain.sessions.servers[entry.server].shared
        id = names.session_id(project.id, "*" if shared else user, entry.server)
        may_start = allows(actor, self.domain.admitting.permission(entry.server), project)
        doc = await self.store.get("sessions", id)
        if doc is None:
            return SessionView(session=id, phase=Phase.STOPPED, title=entry.title, may_start=may_start)
        return _shown(Session.model_validate(doc), entry, may_start)

    async def _with_tail(self, actor: Actor, view: SessionView) -> SessionView:
        """With the end of its log, if it runs, its node can be asked and this person may read it."""
        if view.phase is not Phase.RUNNING:
            return view
        try:
            text = await self.domain.sessions.log(actor, view.session, _TAIL_LINES)
        except AenError:
            return view
        return view.model_copy(update={"log_tail": text[-_TAIL_CHARACTERS:]})

    def _entry(self, command: OpenSession) -> App:
        """The app that was asked for, or the first of its app server, called as what they share."""
        apps = [app for app in self.domain.sessions.apps.values() if app.server == command.app_server]
        if not apps:
            raise NotFound("There is no such app.")
        title = title_of(self.domain.sessions.servers[command.app_server])
        return next((app for app in apps if app.name == command.app), replace(apps[0], title=title))

    async def _actor(self, command: OpenSession) -> Actor:
        """Who stands behind a browser login or an API token that the gateway has let in."""
        actor = await self.domain.accounts.actor_of_login(command.login)
        if actor is None:
            actor = await self._token_actor(command.login)
        if actor is None or actor.user is None or actor.user.id != command.user:
            raise NotSignedIn("This login has ended. Please sign in again.")
        return actor

    async def _token_actor(self, login_id: str) -> Actor | None:
        doc = await self.store.get("logins", login_id)
        login = Login.model_validate(doc) if doc else None
        if login is None or login.expires <= now():
            return None
        user = await self.domain.accounts.find(login.user)
        if user is None or user.locked or user.incarnation != login.incarnation:
            return None
        return Actor(user, login)

    async def prune(self) -> None:
        """Forget redeemed tickets that have expired: nobody can redeem these a second time."""
        query = Query(sort="id", low="ticket:", high="ticket:~")
        for id in [doc["id"] async for doc in every(self.store, "claims", query) if doc["expires"] < now() - 60_000]:
            await self.store.delete("claims", id)


def _shown(session: Session, entry: App, may_start: bool) -> SessionView:
    return SessionView(
        session=session.id,
        phase=session.phase,
        reason=session.reason,
        log_tail=session.log_tail,
        steps=session.steps,
        title=entry.title,
        may_start=may_start and session.phase not in LIVE,
    )


def _is_origin(audience: str, gateway_url: str) -> bool:
    """Whether `audience` is exactly this gateway's origin; with {project}, that of one project's."""
    known = urlsplit(gateway_url)
    origin = f"{known.scheme}://{known.netloc}"
    if "{project}" not in origin:
        return audience == origin
    before, _, after = origin.partition("{project}")
    return (
        re.fullmatch(re.escape(before) + r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?" + re.escape(after), audience) is not None
    )


def _path(next: str) -> str:
    """`next`, if it is a path at the gateway and nothing that leads elsewhere. Raises Invalid."""
    plain = next.startswith("/") and not next.startswith("//") and "\\" not in next
    if not plain or len(next) > _LONGEST_NEXT or any(ord(c) < 33 or ord(c) == 127 for c in next):
        raise Invalid("The address to go on to is not one of the gateway's. Open the app from its project's page.")
    return next
