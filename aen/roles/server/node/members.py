"""Members: the nodes that have joined, what they were given, and how that is taken away again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from aen import names
from aen.bus.broker import Broker
from aen.bus.broker_config import Known
from aen.ca import Authority, Identity, Request, read_certificate, request_pem
from aen.credentials import Credentials
from aen.errors import AenError, Conflict, Denied, NotFound
from aen.messages import CertificateRenewed, KnownNode, NodeRemoved, NodesChanged, RenewCertificate
from aen.model import now
from aen.model.node import GivenCertificate, Membership
from aen.model.session import LIVE, Phase, Session
from aen.roles.server.background import held
from aen.roles.server.changes import change, every
from aen.roles.server.domain import Part
from aen.roles.server.permissions import Actor, Permission, check
from aen.service import Service
from aen.store import Query

if TYPE_CHECKING:
    from aen.roles.server.domain import Domain

log = structlog.get_logger(__name__)

_BROKER = "broker"  # the word by which a gateway tells where its broker is
SERVER = "server"  # the name of the server's own node
_TEND_SECONDS = 3600.0
_READ_SECONDS = 30.0  # between two looks at what other servers stored
_ANNOUNCED_DAYS, _CHANGE_DAYS = 7, 365  # the authority changes a year before its end; a week later the new one signs
_DAY = 86_400_000  # ms


class Members(Part):
    """Who belongs. The store keeps it; here it is in memory, for the broker and for each certificate."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(domain)
        self.authority: Authority | None = None
        self.broker: Broker | None = None  # the one that AEN runs beside this server
        self._members: dict[str, Membership] = {}
        self._reading = asyncio.Event()

    async def begin(self, service: Service) -> None:
        """See Part."""
        config = self.domain.config
        if config.bus.mode != "local":
            self.authority = await asyncio.to_thread(Authority.load_or_make, config.data_dir / "authority")
        async for doc in every(self.store, "memberships"):
            self.know(Membership.model_validate(doc))
        for member in self._members.values():
            if member.removed:
                self._forget_certificates(member)  # a removal that was cut short
        await service.enter(held(self.bus.respond(names.address("server"), RenewCertificate, self._renew)))
        await self.changed()
        if not self.domain.company.alone:  # another server let somebody in, or removed them
            await service.enter(held(self.bus.subscribe(NodesChanged, self._read_again)))
            self.domain.company.hear("changed", lambda told: self._reading.set())
            service.spawn(self._read_for_life(), "members")
        service.spawn(self._tend_for_life(), "certificates")

    async def _read_again(self, event: NodesChanged) -> None:
        self._reading.set()

    async def _read_for_life(self) -> None:
        """Now and then, and when it was told: who belongs, as the store has it."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reading.wait(), _READ_SECONDS)
            self._reading.clear()
            try:
                async for doc in every(self.store, "memberships"):
                    self.know(Membership.model_validate(doc))
            except AenError as error:
                log.warning("who belongs can't be read; trying again", reason=error.message)
            for member in self._members.values():
                if member.removed:
                    self._forget_certificates(member)

    def need_authority(self) -> Authority:
        """AEN's own authority. Conflict where there is none."""
        if self.authority is None:
            raise Conflict(
                "This AEN runs all its roles in one process: there is nothing to join. A server that nodes can join "
                "is started with `aen serve --role server` (see docs/install.md)."
            )
        return self.authority

    def every(self) -> list[Membership]:
        """All that belong, by name."""
        return sorted((one for one in self._members.values() if not one.removed), key=lambda one: one.id)

    def get(self, name: str) -> Membership | None:
        """The node's membership, of a removed one too; or None."""
        return self._members.get(name)

    def know(self, member: Membership) -> None:
        """It has been stored."""
        self._members[member.id] = member

    def owner_of(self, host: str, but: str) -> str:
        """Who else is reached by that name or address: a node's name, or an empty string."""
        if host == urlsplit(self.domain.config.server.url).hostname or host in self._own_names():
            return "the server"
        return next((one.id for one in self.every() if one.id != but and host in one.names), "")

    def bus_url(self, member: Membership) -> str:
        """The broker that this node talks to: its gateway's, or the server's for a gateway."""
        bus = self.domain.config.bus
        if bus.mode == "external":
            return bus.url
        if "gateway" not in member.roles:
            for other in self.every():
                if "gateway" in other.roles and other.datacenter == member.datacenter and _BROKER in other.addresses:
                    return f"tls://{other.addresses[_BROKER]}"
            raise Conflict(f"Data center {member.datacenter} has no gateway that has joined. Let that join first.")
        host = urlsplit(self.domain.config.server.url).hostname or "localhost"
        shown = f"[{host}]" if ":" in host else host
        return f"tls://{shown}:{bus.listen.rpartition(':')[2]}"

    def revoked(self) -> list[str]:
        """Serial numbers that count for nothing, hex."""
        return sorted(f"{serial:x}" for serial in self.authority.revoked()) if self.authority else []

    async def changed(self, datacenter: str = "") -> None:
        """Whoever guards the bus is told who belongs."""
        if self.broker is not None:
            known = (Known(one.id, tuple(one.roles), one.datacenter, one.nkey) for one in self.every())
            await self.broker.set_nodes(known)
        if datacenter:
            try:
                await self.bus.publish(NodesChanged(datacenter=datacenter))
            except AenError as error:
                log.warning("gateways find out by asking", datacenter=datacenter, reason=error.message)

    # ── leaving ─────────────────────────────────────────────────────────────────────────────────────

    async def remove(self, actor: Actor, name: str) -> None:
        """The node belongs no more: nothing it has is good for anything, and what ran there is LOST. NotFound."""
        check(actor, Permission.ADMIN)
        member, heard = self._members.get(name), self.domain.nodes.get(name)
        if (member is None or member.removed) and heard is None:
            raise NotFound(f"There is no node named {name!r}.")
        if member is None:
            await self.domain.nodes.forget(name)  # never joined: a part of this very process, or gone
            return
        if not member.removed:

            def edit(stored: Membership) -> None:
                stored.removed = now()

            member = await change(self.store, "memberships", Membership, name, edit)
            self.know(member)
            await self.domain.activity.record(actor, "node.removed", name, detail=member.datacenter, security=True)
        await self.changed(member.datacenter)
        await self.revoke(member)
        await self.domain.nodes.drop(name)
        await self._lose_sessions(name, f"the compute node {name} was removed by {actor.name}")
        log.info("a node was removed", node=name, by=actor.name)

    async def revoke(self, member: Membership) -> None:
        """Its certificates count for nothing from now on; everybody is told."""
        self._forget_certificates(member)
        event = NodeRemoved(node=member.id, datacenter=member.datacenter, revoked=self.revoked())
        try:
            await self.bus.publish(event)
        except AenError as error:
            log.warning("a removal was not told; nodes find out by asking", node=member.id, reason=error.message)

    def _forget_certificates(self, member: Membership) -> None:
        if self.authority is None:
            return
        known = self.authority.revoked()
        for given in member.certificates:
            if int(given.serial, 16) not in known and given.expires > now():
                self.authority.revoke(int(given.serial, 16), given.expires)

    async def _lose_sessions(self, node: str, reason: str) -> None:
        for phase in LIVE:
            query = Query(equal=(("node", node), ("phase", phase.value)))
            found = [Session.model_validate(doc) async for doc in every(self.store, "sessions", query)]
            for session in found:
                await self.domain.sessions.dispatch.ended(session, Phase.LOST, reason)

    # ── certificates ────────────────────────────────────────────────────────────────────────────────

    async def _renew(self, command: RenewCertificate) -> CertificateRenewed:
        authority, member = self.need_authority(), self._members.get(command.node)
        if member is None or member.removed:
            raise Denied(f"{command.node} does not belong to this AEN (any more). Let it join: `aen node invite`.")
        certificate = b""
        if command.csr:
            identity = Identity(member.id, tuple(member.roles), member.datacenter)
            request = Request.read(command.csr.encode())
            issued = await asyncio.to_thread(authority.issue, request, identity, member.names)
            given = GivenCertificate(serial=f"{issued.serial:x}", expires=issued.expires)

            def edit(stored: Membership) -> None:
                if stored.removed:
                    raise Denied(f"{command.node} does not belong to this AEN any more.")
                stored.certificates = [*(one for one in stored.certificates if one.expires > now()), given]

            self.know(await change(self.store, "memberships", Membership, member.id, edit))
            certificate = issued.certificate
            log.info("a certificate was renewed", node=member.id)
        return CertificateRenewed(
            certificate=certificate.decode(),
            authority=authority.bundle().decode(),
            revoked=self.revoked(),
            nodes=[_known(one) for one in self.every() if "gateway" in member.roles and _beside(one, member)],
        )

    async def _tend_for_life(self) -> None:
        while True:
            if self.authority is not None:
                await asyncio.to_thread(self._tend, self.authority)
            await asyncio.sleep(_TEND_SECONDS)

    def _tend(self, authority: Authority) -> None:
        """The server's own certificate, and the authority itself, are made anew in time."""
        authority.tend(change_days=_CHANGE_DAYS, announced_days=_ANNOUNCED_DAYS)
        own = Credentials.load(self.domain.config.data_dir)
        if own is None:
            return
        seen = read_certificate(own.certificate.read_bytes())
        if now() < seen.renew_at and own.authority.read_bytes() == authority.bundle():
            return
        request = Request.read(request_pem(own.key.read_bytes(), seen.identity.node, seen.names))
        own.renew(certificate=authority.issue(request, seen.identity).certificate, authority=authority.bundle())
        log.info("the server's own certificate was renewed")

    def _own_names(self) -> tuple[str, ...]:
        own = Credentials.load(self.domain.config.data_dir)
        return read_certificate(own.certificate.read_bytes()).names if own else ()


def _beside(one: Membership, gateway: Membership) -> bool:
    return one.datacenter == gateway.datacenter


def _known(member: Membership) -> KnownNode:
    return KnownNode(node=member.id, roles=member.roles, datacenter=member.datacenter, nkey=member.nkey)
