"""Joining: how hosts become nodes: invitations used once, keys made there, certificates signed here."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

import structlog
from pydantic import Field

from aen import names, nkeys, reaching
from aen.ca import Identity, Issued, Request
from aen.errors import Conflict, Denied, Invalid, NotFound
from aen.messages import JoinNode, NodeJoined
from aen.model import Word, now
from aen.model.node import GivenCertificate, Membership, NodeInvitation
from aen.roles.server.account.limits import Attempts
from aen.roles.server.background import held
from aen.roles.server.changes import change, every, put
from aen.roles.server.domain import Part
from aen.roles.server.node.members import SERVER
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service
from aen.store import Query
from aen.web.security import is_loopback

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

_HOUR = 3_600_000  # ms
_ROLES = (["gateway"], ["compute"], ["compute", "gateway"])
_REFUSED = (
    "This token is not (or no longer) good: it was used, has expired, or never was. Ask an administrator for a "
    "new one: `aen node invite`, on the server."
)


class InviteWish(Word):
    """What an administrator invites a host to be."""

    roles: list[str] = Field(min_length=1, max_length=2)
    datacenter: str = Field(max_length=63)
    node: str = Field("", max_length=63)
    hosts: list[str] = Field(default_factory=list, max_length=20)
    again: bool = False
    hours: float = Field(1.0, gt=0, le=24)


class Joining(Part):
    """Invitations and what comes of them. All verbs raise AenErrors."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self._attempts = Attempts(domain.config.server.login.attempts)
        self._one_at_a_time = asyncio.Lock()

    async def begin(self, service: Service) -> None:
        """See Part."""
        await service.enter(held(self.bus.respond(names.address("server"), JoinNode, self._relayed)))

    # ── invitations ─────────────────────────────────────────────────────────────────────────────────

    async def invite(self, actor: Actor, wish: InviteWish) -> tuple[NodeInvitation, str, str]:
        """An invitation, its token and the command to give on the new host; the last two are shown once."""
        check(actor, Permission.ADMIN)
        authority = self.domain.members.need_authority()
        roles = sorted(set(wish.roles))
        if roles not in _ROLES:
            raise Invalid("A node is a gateway, a compute node, or both. Servers don't join: see docs/install.md.")
        datacenter = names.node(wish.datacenter)
        if wish.node:
            self._check_free(names.node(wish.node), wish.again)
        elif wish.again:
            raise Invalid("Say which node is to join again: --name.")
        where = self._where(roles, datacenter)
        token = f"{secrets.token_urlsafe(24)}.{_mark(authority.bundle())}"
        invitation = NodeInvitation(
            id=_digest(token),
            roles=roles,
            datacenter=datacenter,
            node=wish.node,
            hosts=wish.hosts,
            again=wish.again,
            created_by=actor.name,
            expires=now() + round(wish.hours * _HOUR),
        )
        await self.store.insert("node_invitations", invitation.model_dump(mode="json"))
        await self._record(actor, "node.invited", wish.node or datacenter, detail=f"{'+'.join(roles)} in {datacenter}")
        name = f" --name {wish.node}" if wish.node else ""
        return invitation, token, f"aen node join {where} --role {','.join(roles)} --token {token}{name}"

    async def invitations(self, actor: Actor) -> list[NodeInvitation]:
        """The invitations that are open, the one that ends first in front."""
        check(actor, Permission.ADMIN)
        query = Query(sort="expires", low=now())
        found = [NodeInvitation.model_validate(doc) async for doc in every(self.store, "node_invitations", query)]
        return [invitation for invitation in found if not invitation.used_by]

    async def withdraw(self, actor: Actor, id: str) -> None:
        """Nobody can use this invitation any more. `id` may be its beginning. NotFound."""
        check(actor, Permission.ADMIN)
        found = [one for one in await self.invitations(actor) if len(id) >= 8 and one.id.startswith(id)]
        if len(found) != 1 or not await self.store.delete("node_invitations", found[0].id):
            raise NotFound("There is no such open invitation: it was used, withdrawn, or has expired.")
        await self._record(actor, "node.invitation_withdrawn", found[0].node or found[0].datacenter)

    # ── joining ─────────────────────────────────────────────────────────────────────────────────────

    async def join(self, wish: JoinNode) -> NodeJoined:
        """The host becomes a node. Asked again by the same host (an answer was lost), it is answered again.

        Raises Denied for the token, TooMany for guessing, Invalid and Conflict for the rest.
        """
        self._attempts.check(wish.address, wish.address)
        authority = self.domain.members.need_authority()
        invitation = await self._invitation(wish)
        request = Request.read(wish.csr.encode())
        nkeys.check_public(wish.nkey)
        async with self._one_at_a_time:
            self._check_wish(wish, request, invitation)
            await self._use(invitation, wish)
            identity = Identity(wish.node, tuple(invitation.roles), invitation.datacenter)
            allowed = sorted({*request.names, *invitation.hosts})
            issued = await asyncio.to_thread(authority.issue, request, identity, allowed)
            member = await self._keep(wish, invitation, allowed, issued)
            await self.domain.members.changed(member.datacenter)
        log.info("a node joined", node=wish.node, datacenter=member.datacenter, roles="+".join(member.roles))
        await self._record(None, "node.joined", wish.node, detail=_told(invitation), address=wish.address)
        answer = self._answer(member, issued.certificate)
        if not wish.datacenter:  # else its gateway looks: nobody else need reach it
            answer.unreached = await reaching.look(wish.addresses, wish.nkey)
        return answer

    async def _relayed(self, wish: JoinNode) -> NodeJoined:
        """From a gateway, for a compute node of its data center."""
        return await self.join(wish)

    async def _invitation(self, wish: JoinNode) -> NodeInvitation:
        doc = await self.store.get("node_invitations", _digest(wish.token))
        found = NodeInvitation.model_validate(doc) if doc else None
        if found is not None and found.expires > now() and found.used_by in ("", wish.nkey):
            return found
        self._attempts.failed(wish.address, wish.address)
        await self._record(None, "node.join_refused", wish.node, address=wish.address)
        raise Denied(_REFUSED)

    def _check_wish(self, wish: JoinNode, request: Request, invitation: NodeInvitation) -> None:
        """Everything that must be right before the invitation counts as used."""
        names.node(wish.node)
        if wish.datacenter and (wish.datacenter != invitation.datacenter or "gateway" in invitation.roles):
            raise Conflict(
                f"This invitation is not for a compute node of data center {wish.datacenter}: give `aen node join` "
                "the address that `aen node invite` printed."
            )
        if invitation.node not in ("", wish.node):
            raise Conflict(f"This invitation is for the name {invitation.node}: add --name {invitation.node}.")
        if request.node != wish.node:
            raise Invalid("The certificate request names another node.")
        known = self.domain.members.get(wish.node)
        if known is None or known.nkey != wish.nkey:  # else it asks again
            self._check_free(wish.node, invitation.again)
        if any(other.nkey == wish.nkey and other.id != wish.node for other in self.domain.members.every()):
            raise Conflict("Another node has that nkey: each makes its own.")
        if not invitation.hosts:
            self._check_hosts(wish.node, request)
        elif strange := set(request.names) - set(invitation.hosts):
            raise Conflict(
                f"The invitation allows {', '.join(invitation.hosts)}, not {', '.join(sorted(strange))}. Say the same here: "
                f"`aen node join … {_host_options(invitation.hosts)}`."
            )

    def _check_free(self, name: str, again: bool) -> None:
        known = self.domain.members.get(name)
        if name == SERVER:
            raise Conflict(f"{SERVER!r} is the server's own name. Choose another: --name.")
        if known is not None and not known.removed and not again:
            raise Conflict(
                f"There is a node named {name} already. Choose another name with --name; if this host replaces it: "
                f"`aen node remove {name}` first, or `aen node invite --again --name {name}`."
            )

    def _check_hosts(self, node: str, request: Request) -> None:
        """No certificate for what is another node's: with it one could stand in its place."""
        for host in request.names:
            if is_loopback(host):
                continue
            owner = self.domain.members.owner_of(host, node)
            if owner:
                raise Conflict(
                    f"{host} is where {owner} is reached. If both run on one host, name this one's addresses: "
                    f"`aen node invite … {_host_options(request.names)}`, without those that only {owner} should have."
                )

    async def _use(self, invitation: NodeInvitation, wish: JoinNode) -> None:
        def edit(stored: NodeInvitation) -> None:
            if stored.used_by not in ("", wish.nkey):
                raise Denied(_REFUSED)
            stored.used_by = wish.nkey

        try:
            await change(self.store, "node_invitations", NodeInvitation, invitation.id, edit)
        except NotFound:  # withdrawn at this moment
            raise Denied(_REFUSED) from None

    async def _keep(self, wish: JoinNode, invitation: NodeInvitation, allowed: list[str], issued: Issued) -> Membership:
        before = self.domain.members.get(wish.node)
        given = [GivenCertificate(serial=f"{issued.serial:x}", expires=issued.expires)]
        if before is not None and before.nkey != wish.nkey:
            await self.domain.members.revoke(before)  # another host had this name
        elif before is not None:
            given = [*before.certificates, *given]
        member = Membership(
            id=wish.node,
            roles=invitation.roles,
            datacenter=invitation.datacenter,
            nkey=wish.nkey,
            names=allowed,
            addresses=dict(wish.addresses),
            certificates=given,
            invited_by=invitation.created_by,
        )
        member = await put(self.store, "memberships", member)
        self.domain.members.know(member)
        return member

    def _answer(self, member: Membership, certificate: bytes) -> NodeJoined:
        members = self.domain.members
        return NodeJoined(
            node=member.id,
            roles=member.roles,
            datacenter=member.datacenter,
            server_url=self.domain.config.server.url,
            bus_url=members.bus_url(member),
            certificate=certificate.decode(),
            authority=members.need_authority().bundle().decode(),
            revoked=members.revoked(),
            now=now(),
        )

    def _where(self, roles: list[str], datacenter: str) -> str:
        """The address that the new host joins at: its gateway's, or the server's for a gateway."""
        if "gateway" in roles:
            return self.domain.config.server.url
        center = self.domain.nodes.datacenter(datacenter)
        if center is None or not center.gateway_url:
            raise Conflict(
                f"Data center {datacenter} has no gateway yet, and compute nodes join through theirs. First: "
                f"`aen node invite --role gateway --datacenter {datacenter}`, and start it."
            )
        return center.gateway_url.replace("{project}", "join")

    async def _record(self, actor: Actor | None, act: str, node: str, *, detail: str = "", address: str = "") -> None:
        await self.domain.activity.record(actor, act, node, detail=detail, address=address, security=True)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _mark(bundle: bytes) -> str:
    """Stands in the token: the host compares it with the authority that it is given, so nobody between can give another."""
    return hashlib.sha256(bundle).hexdigest()[:32]


def _told(invitation: NodeInvitation) -> str:
    return f"{'+'.join(invitation.roles)} in {invitation.datacenter}, invited by {invitation.created_by}"


def _host_options(hosts: Iterable[str]) -> str:
    return " ".join(f"--host {host}" for host in hosts)
