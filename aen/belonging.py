"""Belonging: what joining means for a node: its configuration follows from it, its certificate is renewed, removals are heard."""

from __future__ import annotations

import asyncio
import contextlib
import random

import structlog

from aen import names
from aen.bus import Bus
from aen.bus.broker import Broker
from aen.bus.broker_config import Known
from aen.ca import read_certificate, request_pem
from aen.config import Config
from aen.credentials import Credentials
from aen.errors import AenError, Denied, Invalid
from aen.messages import CertificateRenewed, NodeRemoved, NodesChanged, RenewCertificate
from aen.model import now
from aen.service import Service

log = structlog.get_logger(__name__)

_ASK_SECONDS = 6 * 3600.0  # between two looks at what has changed about the authority
_AGAIN_SECONDS = 10.0  # after one that failed


def follow(config: Config, roles: tuple[str, ...], credentials: Credentials) -> Config:
    """The configuration with what was decided when the node joined: its name, data center and server.

    Raises Invalid when the file says otherwise, or when it joined for other roles.
    """
    joined = credentials.joined
    if missing := [role for role in roles if role not in joined.roles]:
        raise Invalid(
            f"This node joined as {' and '.join(joined.roles)}, not as {missing[0]}: start it with "
            f"--role {','.join(joined.roles)}, or let it join again."
        )
    decided = (
        ("server", "url", joined.server_url),
        ("gateway", "datacenter", joined.datacenter),
        ("compute", "name", joined.node),
    )
    for section, option, value in decided:
        part = getattr(config, section)
        given = getattr(part, option).rstrip("/")
        if option in part.model_fields_set and given not in ("", value.rstrip("/")):
            raise Invalid(
                f"{section}.{option} is {given!r} in the configuration, but this node joined with {value!r}. "
                f"Leave {section}.{option} out, or let the node join again."
            )
        config = config.model_copy(update={section: part.model_copy(update={option: value})})
    return config


class Belonging(Service):
    """For life: a new certificate at two thirds of the old one's, a changed authority, and what counts no more."""

    name = "belonging"

    def __init__(self, bus: Bus, credentials: Credentials, broker: Broker | None = None) -> None:
        """`broker`: of a gateway; it lets in the nodes of its data center."""
        super().__init__()
        self._bus, self._credentials, self._broker = bus, credentials, broker
        self._changed = asyncio.Event()

    async def open(self) -> None:
        """See Service."""
        for subscription in (
            self._bus.subscribe(NodeRemoved, self._removed),
            self._bus.subscribe(NodesChanged, self._nodes_changed),
        ):
            self._stack.callback(subscription.cancel)
        self.spawn(self._renew_for_life(), "certificate")

    async def _renew_for_life(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self.renew()
                pause = _ASK_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - not all nodes at once
            except AenError as error:
                level = log.error if isinstance(error, Denied) else log.warning
                level("the certificate could not be looked after; it is tried again", reason=error.message)
                pause = _AGAIN_SECONDS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause)

    async def renew(self) -> None:
        """Ask the server what has changed, and for a new certificate when it is time. Raises AenErrors."""
        mine = self._credentials
        seen = read_certificate(mine.certificate.read_bytes())
        csr = ""
        if now() >= seen.renew_at:
            csr = request_pem(mine.key.read_bytes(), mine.joined.node, seen.names).decode()
        command = RenewCertificate(node=mine.joined.node, csr=csr)
        answer: CertificateRenewed = await self._bus.request(names.address("server"), command)
        trusted = answer.authority != mine.authority.read_text()
        mine.renew(certificate=answer.certificate.encode(), authority=answer.authority.encode())
        mine.keep_revoked(int(serial, 16) for serial in answer.revoked)
        if self._broker is not None:
            known = (Known(one.node, tuple(one.roles), one.datacenter, one.nkey) for one in answer.nodes)
            await self._broker.set_nodes(known)
        if csr or trusted:
            log.info("certificate and authority are up to date", renewed=bool(csr), authority_changed=trusted)

    async def _nodes_changed(self, event: NodesChanged) -> None:
        if event.datacenter == self._credentials.joined.datacenter:
            self._changed.set()

    async def _removed(self, event: NodeRemoved) -> None:
        self._credentials.keep_revoked(int(serial, 16) for serial in event.revoked)
        if event.node == self._credentials.joined.node:
            log.error("this node was removed by an administrator: nobody talks to it any more", node=event.node)
